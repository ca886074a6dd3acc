"""/key: virtual keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate
from marshmallow import Schema as AnswerSchema

from app import durations
from app.access import keys, rights, rotation, routes_allowed
from app.api import shown
from app.api.base import Schema
from app.api.fields import Count, Flag, Names, Text, lifetime
from app.api.guards import (
    AdminBlueprint,
    admin_key,
    asker,
    gateway,
    refuse_master_key,
    rights_of_asker,
    virtual_key,
)
from app.api.schemas import NOT_YET_OF_KEYS, KeySchema, LimitsSchema, PageSchema, says
from app.errors import BadRequest, NotAllowed
from app.models import VirtualKey, now

blueprint = AdminBlueprint(
    "Keys", __name__, url_prefix="/key", description="Virtual keys: what callers hold instead of a provider's key."
)

MOST_PER_PAGE = 100
MOST_ALIASES = 100
REFERENCE = "The key itself, or its hash (`token`)."


class Route(Text):
    """A group of routes, a path, or a wildcard."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if not text.startswith("/") and text not in routes_allowed.GROUPS:
            raise ValidationError(f"Must be a path such as /key/info, or one of {', '.join(routes_allowed.GROUPS)}.")
        return text


class KeyFieldsSchema(LimitsSchema):
    """What a key has."""

    not_yet = NOT_YET_OF_KEYS

    key_alias = Text(allow_none=True, metadata=says("A name for people; each belongs to one key."))
    user_id = Text(allow_none=True, metadata=says("Whose key it is: the user's budget and limits count too."))
    team_id = Text(allow_none=True, metadata=says("The team that the key belongs to: its budget and limits count too."))
    aliases = fields.Dict(
        keys=Text(),
        values=Text(),
        allow_none=True,
        validate=validate.Length(0, MOST_ALIASES),
        metadata=says("Other models by the name that is asked for.", example={"gpt-4o": "gpt-4o-mini"}),
    )
    tags = Names(metadata=says("Tags of all calls with this key, for the reports.", example=["team-web"]))
    allowed_routes = fields.List(
        Route(),
        allow_none=True,
        validate=validate.Length(0, MOST_ALIASES),
        metadata=says(
            "The routes that the key may use: paths, wildcards such as `/key/*`, or the groups `llm_api_routes`, "
            "`info_routes` and `management_routes`. Empty or null: as its type.",
            example=["llm_api_routes"],
        ),
    )
    key_type = fields.String(
        allow_none=True,
        validate=validate.OneOf(routes_allowed.KEY_TYPES),
        metadata=says(
            "`llm_api`: calls of models alone; `management`: admin routes alone; `read_only`: reading alone; `default` "
            "or null: all that its user may."
        ),
    )
    duration = lifetime(
        allow_none=True, metadata=says("The key's lifetime: `20m`, `30d`, `1mo`. Null: no end.", example="20m")
    )


class NewKeySchema(KeyFieldsSchema):
    """A new key."""

    not_yet = NOT_YET_OF_KEYS | {"blocked"}

    key = Text(
        longest=200,
        allow_none=True,
        metadata=says("A key of your own: starts with `sk-`, 16 to 200 characters. Null: a random one is made."),
    )


class IdempotencySchema(AnswerSchema):
    """A header that names a request."""

    class Meta:
        """A request has other headers as well."""

        unknown = EXCLUDE

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Length(1, 255),
        metadata=says("A name of your own for this request: sent again, it gets the same answer and changes nothing."),
    )


class MadeKeySchema(KeySchema):
    """The new key."""

    key = fields.String(metadata=says("The virtual key. It is shown this once."))
    token_id = fields.String(metadata=says("The same as token."))


class ChangedKeySchema(KeyFieldsSchema):
    """Changes of a key."""

    key = Text(allow_none=True, metadata=says(REFERENCE + " Without it, key_alias says which key."))
    blocked = Flag(allow_none=True, metadata=says("Whether the key is blocked by hand."))


class RegenerateSchema(KeyFieldsSchema):
    """A new secret for a key, and changes of the key where there are any."""

    not_yet = NOT_YET_OF_KEYS | {"new_master_key"}

    key = Text(allow_none=True, metadata=says(REFERENCE + " Here or in the path."))
    new_key = Text(
        longest=200,
        allow_none=True,
        metadata=says("A key of your own: starts with `sk-`, 16 to 200 characters. Null: a random one is made."),
    )
    grace_period = lifetime(
        allow_none=True,
        metadata=says("For how long the old secret works beside the new one. Null: it ends now.", example="24h"),
    )


class ServiceAccountSchema(NewKeySchema):
    """A new key of a team, for a program."""

    not_yet = NewKeySchema.not_yet | {"user_id"}

    team_id = Text(required=True, metadata=says("The team that the key belongs to."))


class KeyReferenceSchema(Schema):
    """Which key."""

    key = Text(required=True, metadata=says(REFERENCE))


class KeyQuerySchema(Schema):
    """Which key."""

    key = Text(metadata=says(REFERENCE + " A virtual key can leave it out and gets its own."))


class KeyInfoSchema(AnswerSchema):
    """A key."""

    key = fields.String(metadata=says("The key's hash."))
    info = fields.Nested(KeySchema, metadata=says("The key."))


class DeletedKeysSchema(Schema):
    """Keys to delete: by `keys` or by `key_aliases`."""

    keys = fields.List(
        Text(), allow_none=True, validate=validate.Length(0, 1000), metadata=says("Keys, or their hashes.")
    )
    key_aliases = fields.List(
        Text(), allow_none=True, validate=validate.Length(0, 1000), metadata=says("Aliases of keys.")
    )


class KeysGoneSchema(AnswerSchema):
    """What was deleted."""

    deleted_keys = fields.List(fields.String(), metadata=says("The hashes of the deleted keys."))


class KeyListQuerySchema(PageSchema):
    """Which keys."""

    not_yet = frozenset(
        [
            "expand",
            "include_created_by_keys",
            "include_team_keys",
            "organization_id",
            "search",
            "sort_by",
            "sort_order",
            "status",
            "team_id",
        ]
    )

    size = Count(least=1, most=MOST_PER_PAGE, load_default=10, metadata=says("Keys on a page."))
    user_id = Text(metadata=says("Only this user's keys."))
    key_hash = Text(metadata=says("Only the key with this hash."))
    key_alias = Text(metadata=says("Only the key with this alias."))
    return_full_object = fields.Boolean(
        load_default=False, metadata=says("True: whole keys. False, the default: their hashes alone.")
    )


class KeyListSchema(AnswerSchema):
    """One page of keys."""

    keys = fields.List(
        fields.Raw(), metadata=says("The keys on this page, newest first: hashes, or whole keys as in /key/info.")
    )
    total_count = fields.Integer(metadata=says("How many keys there are on all pages."))
    current_page = fields.Integer(metadata=says("This page, from 1."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


@blueprint.route("/generate", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(NewKeySchema, example={"duration": "20m", "max_parallel_requests": 1})
@blueprint.answers(MadeKeySchema)
@blueprint.errors(400, 409)
def generate(given: dict[str, Any]) -> dict[str, Any]:
    """Make a key.

    A user_id that nobody has yet gets a user without limits of its own.
    """
    refuse_master_key(given.get("key"))
    return _made(keys.generate(_granted(None, given), asker()))


@blueprint.route("/service-account/generate", methods=["POST"])
@blueprint.arguments(ServiceAccountSchema, example={"team_id": "blue", "key_alias": "nightly"})
@blueprint.answers(MadeKeySchema)
@blueprint.errors(400, 404, 409)
def generate_service_account(given: dict[str, Any]) -> dict[str, Any]:
    """Make a key for a program: it belongs to a team, and to no user who could leave."""
    refuse_master_key(given.get("key"))
    return _made(keys.generate(given, asker(), service_account=True))


@blueprint.route("/<path:key>/regenerate", methods=["POST"], endpoint="regenerate_one")
@blueprint.route("/regenerate", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(RegenerateSchema, example={"key": "sk-...", "grace_period": "24h"})
@blueprint.arguments(IdempotencySchema, location="headers")
@blueprint.answers(MadeKeySchema)
@blueprint.errors(400, 404, 409)
def regenerate(given: dict[str, Any], headers: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Give a key a new secret.

    Its id, limits and spend stay. The old secret works until the end of the grace period, else it ends with this
    request, in every process. Send an Idempotency-Key, and the same request again gets the same answer.
    """
    reference = key or given.pop("key", None)
    given.pop("key", None)
    if reference is None:
        raise BadRequest("Say which key: key.", param="key")
    wanted, grace = given.pop("new_key", None), given.pop("grace_period", None)
    refuse_master_key(wanted)
    wish = rotation.Wish(
        grace=0 if grace is None else durations.seconds(grace, now()),
        idempotency_key=headers.get("idempotency_key"),
        secret=wanted,
        master_key=gateway().settings.master_key,
    )
    found = rotation.find(reference)
    return _made(rotation.regenerate(found, wish, _granted(found, given)))


def _granted(row: VirtualKey | None, given: dict[str, Any]) -> dict[str, Any]:
    """The fields that whoever asks may set on a new key (None), or on one that is there. Raises NotAllowed."""
    asking = rights_of_asker()
    if asking is not None:
        if row is not None:
            asking.check_manages(row)
        return asking.check_grant(row, given)
    user_id = given.get("user_id", None if row is None else row.user_id)
    if admin_key() is not None:
        rights.check_admins_grant(admin_key(), rights.role_of(user_id), row, given)
    return given


def _made(new: keys.NewKey) -> dict[str, Any]:
    return shown.key(new.row, key=new.secret, token_id=new.row.token)


@blueprint.route("/update", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(ChangedKeySchema, example={"key": "sk-...", "max_budget": 5})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404, 409)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a key.

    Only the fields that are sent are changed; null clears one. A duration counts from now. The change acts on the key's
    next call.
    """
    reference, alias = given.pop("key", None), given.get("key_alias")
    if reference is None and alias is None:
        raise BadRequest("Say which key: key, or key_alias.", param="key")
    found = keys.find(reference, alias=alias)
    return shown.key(keys.change(found, _granted(found, given)))


@blueprint.route("/delete", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(DeletedKeysSchema, example={"keys": ["sk-..."]})
@blueprint.answers(KeysGoneSchema)
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> dict[str, Any]:
    """Delete keys.

    All of them or, where one is unknown, none. What they spent stays in the ledger.
    """
    found = [keys.find(reference) for reference in given.get("keys") or []]
    found += [keys.find(alias=alias) for alias in given.get("key_aliases") or []]
    if not found:
        raise BadRequest("Say which keys: keys, or key_aliases.", param="keys")
    _check_manages(found)
    keys.delete(found)
    return {"deleted_keys": list(dict.fromkeys(row.token for row in found))}


@blueprint.route("/info")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(KeyQuerySchema, location="query")
@blueprint.answers(KeyInfoSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """Show a key, with spend, budget and status.

    Without `key` the one that asks. A virtual key sees its user's keys, and a team's admin those of the team.
    """
    reference, asking = given.get("key"), rights_of_asker()
    if asking is not None:
        reference = reference or asking.key.token
    if reference is None:
        raise BadRequest("Say which key: key.", param="key")
    row = keys.find(reference)
    if asking is not None:
        asking.check_sees(row)
    return {"key": row.token, "info": shown.key(row)}


@blueprint.route("/list")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(KeyListQuerySchema, location="query")
@blueprint.answers(KeyListSchema)
@blueprint.errors(400)
def list_keys(given: dict[str, Any]) -> dict[str, Any]:
    """List keys. A virtual key sees its user's."""
    page, size = given["page"], given["size"]
    user_id, token, asking = given.get("user_id"), given.get("key_hash"), virtual_key()
    if asking is not None:
        if user_id not in (None, asking.user_id):
            raise NotAllowed("A virtual key can only list its own user's keys.", param="user_id")
        user_id = asking.user_id
        token = token if user_id is not None else asking.token
    rows, total = keys.listed(page=page, size=size, user_id=user_id, token=token, alias=given.get("key_alias"))
    whole = given["return_full_object"]
    listed = KeySchema(many=True).dump(shown.keys(rows)) if whole else [row.token for row in rows]
    return {"keys": listed, "total_count": total, "current_page": page, "total_pages": -(-total // size)}


@blueprint.route("/block", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(KeyReferenceSchema, example={"key": "sk-..."})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404)
def block(given: dict[str, Any]) -> dict[str, Any]:
    """Block a key, from its next call on."""
    _check_manages([keys.find(given["key"])])
    return shown.key(_blocked(given["key"], blocked=True))


@blueprint.route("/unblock", methods=["POST"])
@blueprint.arguments(KeyReferenceSchema, example={"key": "sk-..."})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404)
def unblock(given: dict[str, Any]) -> dict[str, Any]:
    """Open a blocked key again.

    A key that is revoked because a budget is spent stays revoked.
    """
    return shown.key(_blocked(given["key"], blocked=False))


def _check_manages(found: Sequence[VirtualKey]) -> None:
    asking = rights_of_asker()
    if asking is not None:
        for row in found:
            asking.check_manages(row)


def _blocked(reference: str, *, blocked: bool) -> VirtualKey:
    return keys.change(keys.find(reference), {"blocked": blocked})
