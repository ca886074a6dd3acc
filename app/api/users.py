"""/user: users, their budgets and limits."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from marshmallow import RAISE, fields, validate
from marshmallow import Schema as AnswerSchema

from app.access import keys, members, people, rights
from app.api import shown
from app.api.base import Schema
from app.api.fields import Count, Email, Flag, Moment, Text, lifetime
from app.api.guards import AdminBlueprint, admin_key, refuse_master_key, virtual_key
from app.api.schemas import (
    NOT_YET_OF_USERS,
    KeySchema,
    LimitsSchema,
    MembershipSchema,
    PageSchema,
    UserSchema,
    says,
)
from app.api.team_bodies import NewMembershipSchema
from app.errors import BadRequest, NotAllowed, NotFound, TollgateError
from app.models import User

blueprint = AdminBlueprint(
    "Users",
    __name__,
    url_prefix="/user",
    description="The people whose budgets and limits are kept, over all their keys.",
)

MOST_PER_PAGE = 100
MOST_AT_ONCE = 500
MOST_TEAMS = 100
LONGEST_LIST = 10_000


class UserFieldsSchema(LimitsSchema):
    """What a user has."""

    not_yet = NOT_YET_OF_USERS | {"teams"}

    user_id = Text(allow_none=True, metadata=says("The user's id.", example="ada@example.com"))
    user_email = Email(
        longest=320, allow_none=True, metadata=says("The user's e-mail address; each belongs to one user.")
    )
    user_alias = Text(allow_none=True, metadata=says("A name for people."))
    user_role = fields.String(
        allow_none=True,
        validate=validate.OneOf(list(rights.ROLES)),
        metadata=says(
            "`proxy_admin` administrates everything with own keys, `proxy_admin_viewer` reads everything, "
            "`internal_user` (the default) manages own keys, `internal_user_viewer` reads what is their own."
        ),
    )


class NewUserSchema(UserFieldsSchema):
    """A new user, and the key that is made with it."""

    not_yet = NOT_YET_OF_USERS

    teams = fields.List(
        fields.Nested(NewMembershipSchema),
        allow_none=True,
        validate=validate.Length(0, MOST_TEAMS),
        metadata=says(
            "Teams that the user becomes a member of: their ids, or objects.",
            example=[{"team_id": "blue", "max_budget_in_team": 10, "user_role": "user"}],
        ),
    )
    auto_create_key = Flag(allow_none=True, metadata=says("False: no key is made. True, the default: one is."))
    duration = lifetime(
        allow_none=True, metadata=says("The key's lifetime: `20m`, `30d`, `1mo`. Null: no end.", example="30d")
    )
    key_alias = Text(allow_none=True, metadata=says("The key's name for people; each belongs to one key."))
    key = Text(
        longest=200,
        allow_none=True,
        metadata=says("A key of your own: starts with `sk-`, 16 to 200 characters. Null: a random one is made."),
    )


class MadeUserSchema(UserSchema):
    """The new user and its key."""

    key = fields.String(metadata=says("The virtual key. It is shown this once. Empty where none was made."))
    key_name = fields.String(allow_none=True, metadata=says("The key's last four characters."))
    key_alias = fields.String(allow_none=True, metadata=says("The key's name for people."))
    token = fields.String(allow_none=True, metadata=says("The key's SHA-256 in hex; it stands for the key elsewhere."))
    token_id = fields.String(allow_none=True, metadata=says("The same as token."))
    key_id = fields.String(allow_none=True, metadata=says("The key's id in the ledger."))
    expires = Moment(allow_none=True, metadata=says("When the key ends (UTC); null: never."))


class ChangedUserSchema(AnswerSchema):
    """The user after the change."""

    user_id = fields.String(metadata=says("The user's id."))
    data = fields.Nested(UserSchema, metadata=says("The user."))


class UserQuerySchema(Schema):
    """Which user."""

    user_id = Text(metadata=says("The user's id. A virtual key can leave it out and gets its own user."))


class UserInfoSchema(AnswerSchema):
    """A user and its keys."""

    user_id = fields.String(metadata=says("The user's id."))
    user_info = fields.Nested(UserSchema, metadata=says("The user."))
    keys = fields.List(fields.Nested(KeySchema), metadata=says("The user's keys, oldest first."))
    teams = fields.List(
        fields.Nested(MembershipSchema), metadata=says("The user's teams, with what the user may spend in each.")
    )


class DeletedUsersSchema(Schema):
    """Users to delete."""

    user_ids = fields.List(
        Text(), required=True, validate=validate.Length(1, 1000), metadata=says("The ids of the users to delete.")
    )


class UserListQuerySchema(PageSchema):
    """Which users."""

    not_yet = frozenset({"organization_ids", "sso_user_ids"})

    page_size = Count(least=1, most=MOST_PER_PAGE, load_default=25, metadata=says("Users on a page."))
    user_ids = Text(longest=LONGEST_LIST, metadata=says("Only these users: ids with commas between them."))
    user_email = Text(metadata=says("Only users with this text in their e-mail address."))
    role = fields.String(validate=validate.OneOf(list(rights.ROLES)), metadata=says("Only users with this role."))
    team = Text(metadata=says("Only members of this team."))
    search = Text(metadata=says("Only users with this text in their id, e-mail address or alias."))
    sort_by = fields.String(
        load_default="created_at",
        validate=validate.OneOf(list(people.SORTS)),
        metadata=says("What the users are sorted by; `spend` is all that was ever spent. Users without it stand last."),
    )
    sort_order = fields.String(
        load_default="asc", validate=validate.OneOf(["asc", "desc"]), metadata=says("`asc` or `desc`.")
    )


class ListedUserSchema(UserSchema):
    """A user in a list."""

    key_count = fields.Integer(metadata=says("How many keys the user has."))


class UserListSchema(AnswerSchema):
    """One page of users."""

    users = fields.List(fields.Nested(ListedUserSchema), metadata=says("The users on this page."))
    total = fields.Integer(metadata=says("How many users there are on all pages."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Users on a page."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


class EveryUserSchema(UserFieldsSchema):
    """What users can have in common."""

    class Meta:
        """What belongs to one of them is no field here."""

        unknown = RAISE
        exclude = ("user_id", "user_email")


class ChangedUsersSchema(Schema):
    """Changes of many users, or one change of all."""

    users = fields.List(
        fields.Nested(UserFieldsSchema),
        allow_none=True,
        validate=validate.Length(0, MOST_AT_ONCE),
        metadata=says("For each user what /user/update takes."),
    )
    all_users = Flag(allow_none=True, metadata=says("True: every user is changed as user_updates says."))
    user_updates = fields.Nested(
        EveryUserSchema, allow_none=True, metadata=says("With all_users: what is changed, as /user/update takes it.")
    )


class UserChangeSchema(AnswerSchema):
    """What became of one change."""

    user_id = fields.String(allow_none=True, metadata=says("The user's id; null where only an address was given."))
    user_email = fields.String(allow_none=True, metadata=says("The user's e-mail address."))
    success = fields.Boolean(metadata=says("Whether the user was changed."))
    error = fields.String(allow_none=True, metadata=says("Why the user is as it was; null: it was changed."))
    updated_user = fields.Nested(
        UserSchema, allow_none=True, metadata=says("The user after the change; null: there was none.")
    )


class UsersChangedSchema(AnswerSchema):
    """What became of many changes."""

    results = fields.List(fields.Nested(UserChangeSchema), metadata=says("Each user, in the order of the request."))
    total_requested = fields.Integer(metadata=says("How many users were to be changed."))
    successful_updates = fields.Integer(metadata=says("How many were."))
    failed_updates = fields.Integer(metadata=says("How many were not."))


@blueprint.route("/new", methods=["POST"])
@blueprint.arguments(
    NewUserSchema, example={"models": ["azure-models"], "max_budget": 0, "user_id": "krrish3@berri.ai"}
)
@blueprint.answers(MadeUserSchema)
@blueprint.errors(400, 404, 409)
def new(given: dict[str, Any]) -> dict[str, Any]:
    """Make a user, and a first key.

    Budget, models and limits are the user's and count over all of the user's keys; duration, key_alias and key are the
    key's.
    """
    refuse_master_key(given.get("key"))
    rights.check_admins_grant(admin_key(), given.get("user_role"), None, {})
    user, made = people.create(given)
    if made is None:
        return shown.user(
            user, key="", key_name=None, key_alias=None, token=None, token_id=None, key_id=None, expires=None
        )
    row = made.row
    return shown.user(
        user,
        key=made.secret,
        key_name=row.key_name,
        key_alias=row.key_alias,
        token=row.token,
        token_id=row.token,
        key_id=row.id,
        expires=row.expires,
    )


@blueprint.route("/update", methods=["POST"])
@blueprint.arguments(UserFieldsSchema, example={"user_id": "krrish3@berri.ai", "max_budget": 10})
@blueprint.answers(ChangedUserSchema)
@blueprint.errors(400, 404, 409)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a user.

    Only the fields that are sent are changed; null clears one. The user is named by user_id, or else by user_email.
    """
    user = _changed(given)
    return {"user_id": user.user_id, "data": shown.user(user)}


@blueprint.route("/bulk_update", methods=["POST"])
@blueprint.arguments(ChangedUsersSchema, example={"users": [{"user_id": "krrish3@berri.ai", "max_budget": 10}]})
@blueprint.answers(UsersChangedSchema)
@blueprint.errors(400)
def bulk_update(given: dict[str, Any]) -> dict[str, Any]:
    """Change many users, or all, each as /user/update does.

    Each user is changed wholly or not at all, and one who cannot be changed holds up no other. A body that is wrong
    anywhere changes none.
    """
    wanted = given.get("users") or []
    if given.get("all_users"):
        updates = given.get("user_updates")
        if wanted or not updates:
            raise BadRequest("all_users goes with user_updates, and without users.", param="user_updates")
        wanted = [{"user_id": user_id, **updates} for user_id in people.all_ids()]
    elif not wanted or given.get("user_updates"):
        raise BadRequest("Say which users: users, or all_users with user_updates.", param="users")
    results = [_outcome(changes) for changes in wanted]
    changed = sum(result["success"] for result in results)
    return {
        "results": results,
        "total_requested": len(results),
        "successful_updates": changed,
        "failed_updates": len(results) - changed,
    }


def _outcome(changes: dict[str, Any]) -> dict[str, Any]:
    named = {"user_id": changes.get("user_id"), "user_email": changes.get("user_email")}
    try:
        user = _changed(changes)
    except TollgateError as error:
        return named | {"success": False, "error": error.message, "updated_user": None}
    named = {"user_id": user.user_id, "user_email": user.user_email}
    return named | {"success": True, "error": None, "updated_user": shown.user(user)}


def _changed(given: dict[str, Any]) -> User:
    user_id, email = given.pop("user_id", None), given.get("user_email")
    if user_id is None and email is None:
        raise BadRequest("Say which user: user_id, or user_email.", param="user_id")
    found = people.find(user_id, email=email)
    rights.check_admins_grant(admin_key(), given.get("user_role"), None, {})
    return people.change(found, given, shown.has_room)


@blueprint.route("/available_roles")
@blueprint.open_to_virtual_keys()
@blueprint.answers(
    {"type": "object", "additionalProperties": {"type": "object"}},
    description="Roles by name, with a description each.",
)
def available_roles() -> Response:
    """List the roles that users can have."""
    labels = {role: role.replace("_", " ").capitalize() for role in rights.ROLES}
    return jsonify({role: {"description": text, "ui_label": labels[role]} for role, text in rights.ROLES.items()})


@blueprint.route("/info")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(UserQuerySchema, location="query")
@blueprint.answers(UserInfoSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """Show a user, with spend, budget and keys.

    A virtual key sees its own user and no other.
    """
    user_id = given.get("user_id")
    asking = virtual_key()
    if asking is not None:
        user_id = user_id or asking.user_id
        if user_id is None:
            raise NotFound("This key belongs to no user.", param="user_id")
        if user_id != asking.user_id:
            raise NotAllowed("A virtual key can only read its own user.", param="user_id")
    if user_id is None:
        raise BadRequest("Say which user: user_id.", param="user_id")
    user = people.find(user_id)
    return {
        "user_id": user.user_id,
        "user_info": shown.user(user),
        "keys": shown.keys(keys.of_user(user.user_id)),
        "teams": shown.memberships(members.of_user(user.user_id)),
    }


@blueprint.route("/delete", methods=["POST"])
@blueprint.arguments(DeletedUsersSchema, example={"user_ids": ["krrish3@berri.ai"]})
@blueprint.answers({"type": "integer", "example": 1}, description="How many users were deleted, as a bare number.")
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> Response:
    """Delete users with all their keys.

    All of them or, where one is unknown, none. What they spent stays in the ledger.
    """
    return jsonify(people.delete(given["user_ids"]))


@blueprint.route("/list")
@blueprint.arguments(UserListQuerySchema, location="query")
@blueprint.answers(UserListSchema)
@blueprint.errors(400)
def list_users(given: dict[str, Any]) -> dict[str, Any]:
    """List users."""
    page, size = given["page"], given["page_size"]
    wanted = given["user_ids"].split(",") if given.get("user_ids") else None
    found, total = people.listed(
        people.Wanted(wanted, given.get("user_email"), given.get("role"), given.get("team"), given.get("search")),
        page=page,
        size=size,
        sort_by=given["sort_by"],
        descending=given["sort_order"] == "desc",
    )
    rows = shown.users([row for row, _ in found])
    for row, (_, key_count) in zip(rows, found, strict=True):
        row["key_count"] = key_count
    return {"users": rows, "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}
