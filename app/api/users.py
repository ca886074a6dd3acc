"""/user: users, their budgets and limits."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app.access import keys, people, rights
from app.api import shown
from app.api.base import Schema
from app.api.fields import Count, Email, Flag, Moment, Text, lifetime
from app.api.guards import AdminBlueprint, admin_key, refuse_master_key, virtual_key
from app.api.schemas import NOT_YET_OF_USERS, KeySchema, LimitsSchema, PageSchema, UserSchema, says
from app.errors import BadRequest, NotAllowed, NotFound

blueprint = AdminBlueprint(
    "Users",
    __name__,
    url_prefix="/user",
    description="The people whose budgets and limits are kept, over all their keys.",
)

MOST_PER_PAGE = 100
LONGEST_LIST = 10_000


class UserFieldsSchema(LimitsSchema):
    """What a user has."""

    not_yet = NOT_YET_OF_USERS

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


class DeletedUsersSchema(Schema):
    """Users to delete."""

    user_ids = fields.List(
        Text(), required=True, validate=validate.Length(1, 1000), metadata=says("The ids of the users to delete.")
    )


class UserListQuerySchema(PageSchema):
    """Which users."""

    not_yet = frozenset({"organization_ids", "role", "search", "sort_by", "sort_order", "sso_user_ids", "team"})

    page_size = Count(least=1, most=MOST_PER_PAGE, load_default=25, metadata=says("Users on a page."))
    user_ids = Text(longest=LONGEST_LIST, metadata=says("Only these users: ids with commas between them."))
    user_email = Text(metadata=says("Only users with this text in their e-mail address."))


class ListedUserSchema(UserSchema):
    """A user in a list."""

    key_count = fields.Integer(metadata=says("How many keys the user has."))


class UserListSchema(AnswerSchema):
    """One page of users."""

    users = fields.List(fields.Nested(ListedUserSchema), metadata=says("The users on this page, oldest first."))
    total = fields.Integer(metadata=says("How many users there are on all pages."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Users on a page."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


@blueprint.route("/new", methods=["POST"])
@blueprint.arguments(
    NewUserSchema, example={"models": ["azure-models"], "max_budget": 0, "user_id": "krrish3@berri.ai"}
)
@blueprint.answers(MadeUserSchema)
@blueprint.errors(400, 409)
def new(given: dict[str, Any]) -> dict[str, Any]:
    """Make a user, and a first key.

    Budget, models and limits are the user's and count over all of the user's keys; duration, key_alias and key are the
    key's.
    """
    refuse_master_key(given.get("key"))
    rights.check_admins_grant(admin_key(), given.get("user_role"), None, {})
    user, made = people.create(given)
    if made is None:
        return shown.row(
            user, key="", key_name=None, key_alias=None, token=None, token_id=None, key_id=None, expires=None
        )
    row = made.row
    return shown.row(
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
    user_id, email = given.pop("user_id", None), given.get("user_email")
    if user_id is None and email is None:
        raise BadRequest("Say which user: user_id, or user_email.", param="user_id")
    found = people.find(user_id, email=email)
    rights.check_admins_grant(admin_key(), given.get("user_role"), None, {})
    user = people.change(found, given, shown.has_room)
    return {"user_id": user.user_id, "data": shown.row(user)}


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
    return {"user_id": user.user_id, "user_info": shown.row(user), "keys": shown.keys(keys.of_user(user.user_id))}


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
    found, total = people.listed(page=page, size=size, user_ids=wanted, email=given.get("user_email"))
    rows = shown.rows([row for row, _ in found])
    for row, (_, key_count) in zip(rows, found, strict=True):
        row["key_count"] = key_count
    return {"users": rows, "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}
