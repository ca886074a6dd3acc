"""Bodies, queries and answers of /key."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate
from marshmallow import Schema as AnswerSchema

from app.access import key_lists, routes_allowed
from app.api.base import Schema
from app.api.fields import Count, Flag, Names, Text, lifetime
from app.api.schemas import NOT_YET_OF_KEYS, KeySchema, LimitsSchema, PageSchema, says

MOST_PER_PAGE = 100
SHORTEST_ROTATION_SECONDS = 60
MOST_AT_ONCE = 500
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
    auto_rotate = Flag(
        allow_none=True,
        metadata=says(
            "True: the key gets a new secret every rotation_interval, told by the webhook `key.rotated`. Needs "
            "general_settings.webhook_url."
        ),
    )
    rotation_interval = lifetime(
        least=SHORTEST_ROTATION_SECONDS,
        allow_none=True,
        metadata=says("How often auto_rotate makes a new secret, a minute or more.", example="30d"),
    )
    rotation_grace = lifetime(
        allow_none=True,
        metadata=says("For how long the old secret works beside one that auto_rotate made. Null: `48h`.", example="7d"),
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


class WhichKeysSchema(PageSchema):
    """Which keys, of those that whoever asks may see."""

    size = Count(least=1, most=MOST_PER_PAGE, load_default=10, metadata=says("Entries on a page."))
    user_id = Text(metadata=says("Only this user's keys."))
    team_id = Text(metadata=says("Only this team's keys."))
    search = Text(metadata=says("Only keys with this text in their alias or user_id."))


class KeyListQuerySchema(WhichKeysSchema):
    """Which keys, and how they are shown."""

    not_yet = frozenset({"organization_id"})

    key_hash = Text(metadata=says("Only the key with this hash."))
    key_alias = Text(metadata=says("Only the key with this alias."))
    status = fields.String(
        validate=validate.OneOf(key_lists.STATUSES), metadata=says("Only keys with this status, as /key/info shows it.")
    )
    include_team_keys = fields.Boolean(
        load_default=False, metadata=says("True: with user_id, also the keys of teams whose admin that user is.")
    )
    include_created_by_keys = fields.Boolean(
        load_default=False, metadata=says("True: with user_id, also the keys that this user has made. For admins.")
    )
    sort_by = fields.String(
        load_default="created_at",
        validate=validate.OneOf(list(key_lists.SORTS)),
        metadata=says("What the keys are sorted by; `spend` is all that was ever spent. Keys without it stand last."),
    )
    sort_order = fields.String(
        load_default="desc", validate=validate.OneOf(["asc", "desc"]), metadata=says("`asc` or `desc`.")
    )
    return_full_object = fields.Boolean(
        load_default=False, metadata=says("True: whole keys. False, the default: their hashes alone.")
    )
    expand = fields.String(
        validate=validate.OneOf(["user"]), metadata=says("`user`: whole keys, each with its user, or null, as `user`.")
    )


class KeyListSchema(AnswerSchema):
    """One page of keys."""

    keys = fields.List(fields.Raw(), metadata=says("The keys on this page: hashes, or whole keys as in /key/info."))
    total_count = fields.Integer(metadata=says("How many keys there are on all pages."))
    current_page = fields.Integer(metadata=says("This page, from 1."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


class OwnerSchema(AnswerSchema):
    """Whose key it is."""

    user_id = fields.String(metadata=says("The user's id."))
    user_email = fields.String(allow_none=True, metadata=says("The user's e-mail address."))
    user_alias = fields.String(allow_none=True, metadata=says("A name for people."))
    user_role = fields.String(metadata=says("What the user is to the gateway."))


class AliasesQuerySchema(WhichKeysSchema):
    """Which aliases."""

    size = Count(least=1, most=MOST_PER_PAGE, load_default=50, metadata=says("Aliases on a page."))


class AliasesSchema(AnswerSchema):
    """One page of aliases."""

    aliases = fields.List(fields.String(), metadata=says("The aliases on this page, in order."))
    total_count = fields.Integer(metadata=says("How many aliases there are on all pages."))
    current_page = fields.Integer(metadata=says("This page, from 1."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))
    size = fields.Integer(metadata=says("Aliases on a page."))


class KeyHealthSchema(AnswerSchema):
    """That a key works."""

    key = fields.String(metadata=says("`healthy`: the key is known, open and not expired. Other keys get a 401."))
    logging_callbacks = fields.Raw(metadata=says("Null: there are no callbacks by key.") | {"nullable": True})


class ChangedKeysSchema(Schema):
    """Changes of many keys."""

    keys = fields.List(
        fields.Nested(ChangedKeySchema),
        required=True,
        validate=validate.Length(1, MOST_AT_ONCE),
        metadata=says("For each key what /key/update takes."),
    )


class KeyChangeSchema(AnswerSchema):
    """What became of one change."""

    key = fields.String(metadata=says("The key's hash, or the alias by which it was named."))
    key_info = fields.Nested(KeySchema, metadata=says("The key after the change; not there where it failed."))
    failed_reason = fields.String(metadata=says("Why the key is as it was; not there where it was changed."))


class KeysChangedSchema(AnswerSchema):
    """What became of many changes."""

    total_requested = fields.Integer(metadata=says("How many keys were to be changed."))
    successful_updates = fields.List(fields.Nested(KeyChangeSchema), metadata=says("Those that were."))
    failed_updates = fields.List(fields.Nested(KeyChangeSchema), metadata=says("Those that were not."))
