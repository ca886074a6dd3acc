"""Bodies and answers that more than one resource uses, with a description for every field."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, post_dump, validate

from app.api.base import Schema
from app.api.fields import Count, Dollars, Flag, Metadata, Moment, Names, window

# Fields that clients of LiteLLM send for keys and users alike and that nothing here enforces yet.
NOT_YET = frozenset(
    [
        "agent_id",
        "aliases",
        "allowed_cache_controls",
        "allowed_passthrough_routes",
        "allowed_routes",
        "allowed_vector_store_indexes",
        "budget_fallbacks",
        "budget_id",
        "budget_limits",
        "config",
        "created_by",
        "denied_passthrough_routes",
        "disable_global_guardrails",
        "enable_prompt_caching",
        "enforced_params",
        "guardrails",
        "mcp_rpm_limit",
        "model_max_budget",
        "model_rpm_limit",
        "model_tpm_limit",
        "object_permission",
        "organization_id",
        "permissions",
        "policies",
        "project_id",
        "prompts",
        "rpm_limit_type",
        "send_invite_email",
        "soft_budget",
        "spend",
        "tag_rpm_limit",
        "tags",
        "team_id",
        "temp_budget_expiry",
        "temp_budget_increase",
        "tpd_limit",
        "tpm_limit_type",
    ]
)
NOT_YET_OF_USERS = NOT_YET | {"organizations", "password", "sso_user_id", "teams", "blocked"}
NOT_YET_OF_KEYS = NOT_YET | frozenset(
    [
        "access_group_ids",
        "auto_rotate",
        "default_estimated_output_tokens",
        "default_estimated_output_tokens_per_model",
        "end_user_budget_id",
        "key_type",
        "rotation_interval",
        "router_settings",
        "throttle_on_budget_exceeded",
    ]
)


NAMES = ("key", "key_name", "key_alias", "expires", "status", "user_id", "user_email", "user_alias", "user_role")


def says(description: str, *, example: Any = None) -> dict[str, Any]:
    """A field's metadata: what it means and in which unit."""
    return {"description": description} if example is None else {"description": description, "example": example}


class LimitsSchema(Schema):
    """What a user or a key may do."""

    models = Names(
        metadata=says(
            "Model names, access groups and wildcards such as `openai/*` that may be called. Empty or null: all. "
            "The key's and the user's lists must both allow a model.",
            example=["gpt-4o", "beta-models"],
        )
    )
    max_budget = Dollars(
        allow_none=True,
        metadata=says(
            "The most that may be spent, in dollars. 0: nothing but free models. Null: no limit.", example=10.0
        ),
    )
    strict = Flag(
        allow_none=True,
        metadata=says("True: the budget is never passed, not even by the last call. False: the last call may finish."),
    )
    budget_duration = window(
        allow_none=True,
        metadata=says(
            "How often spend counts from 0 again: seconds, minutes, hours, days, weeks or months (`30s` `20m` `24h` "
            "`30d` `1w` `1mo`), `daily`, `weekly` or `monthly`. Null: never.",
            example="30d",
        ),
    )
    max_parallel_requests = Count(
        strict=True,
        allow_none=True,
        metadata=says("How many calls may run at the same time. Null: no limit.", example=10),
    )
    rpm_limit = Count(
        strict=True,
        allow_none=True,
        metadata=says("How many requests may be made in any 60 seconds. 0: none. Null: no limit.", example=60),
    )
    tpm_limit = Count(
        strict=True,
        allow_none=True,
        metadata=says(
            "How many tokens, input and output together, may be used in any 60 seconds: as estimated when a call is "
            "let in, and as used when it has ended. 0: none. Null: no limit.",
            example=100_000,
        ),
    )
    metadata = Metadata(metadata=says("A JSON object of your own; it is kept and shown, nothing else."))


class ShownLimitsSchema(AnswerSchema):
    """Limits and spend of a user or a key."""

    models = fields.List(fields.String(), metadata=says("What may be called; empty: every model."))
    spend = Dollars(metadata=says("Dollars spent in the budget's present window: the number that is enforced."))
    total_spend = Dollars(metadata=says("Dollars spent ever: the sum of the ledger."))
    max_budget = Dollars(allow_none=True, metadata=says("The budget in dollars; null: no limit."))
    strict = fields.Boolean(metadata=says("Whether the budget is never passed, not even by the last call."))
    budget_duration = fields.String(allow_none=True, metadata=says("The budget's window; null: it never resets."))
    budget_reset_at = Moment(allow_none=True, metadata=says("When the present window ends (UTC); null: never."))
    max_parallel_requests = fields.Integer(
        allow_none=True, metadata=says("How many calls may run at the same time; null: no limit.")
    )
    rpm_limit = fields.Integer(
        allow_none=True, metadata=says("How many requests may be made in any 60 seconds; null: no limit.")
    )
    tpm_limit = fields.Integer(
        allow_none=True, metadata=says("How many tokens may be used in any 60 seconds; null: no limit.")
    )
    metadata = fields.Dict(metadata=says("The JSON object that was sent."))
    created_at = Moment(metadata=says("When it was made (UTC)."))
    updated_at = Moment(metadata=says("When it was last changed (UTC)."))

    @post_dump
    def names_first(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """What people look for in an answer stands at its top; inherited fields would come first."""
        return {name: data[name] for name in NAMES if name in data} | data


class UserSchema(ShownLimitsSchema):
    """A user."""

    user_id = fields.String(metadata=says("The user's id."))
    user_email = fields.String(allow_none=True, metadata=says("The user's e-mail address."))
    user_alias = fields.String(allow_none=True, metadata=says("A name for people."))
    user_role = fields.String(metadata=says("What the user is to the gateway."))


class KeySchema(ShownLimitsSchema):
    """A virtual key. The key itself is shown once, when it is made."""

    token = fields.String(metadata=says("The key's SHA-256 in hex. It stands for the key in every other route."))
    key_id = fields.String(metadata=says("The key's id in the ledger; it never changes."))
    key_name = fields.String(metadata=says("The key's last four characters.", example="sk-...Wx3k"))
    key_alias = fields.String(allow_none=True, metadata=says("The key's name for people."))
    user_id = fields.String(allow_none=True, metadata=says("Whose key it is; null: nobody's."))
    expires = Moment(allow_none=True, metadata=says("When the key ends (UTC); null: never."))
    blocked = fields.Boolean(metadata=says("Whether the key is blocked by hand."))
    status = fields.String(
        validate=validate.OneOf(["active", "expired", "blocked", "revoked"]),
        metadata=says("`revoked`: the user's budget is spent; it opens again with a raise or with a new window."),
    )
    revoked_reason = fields.String(
        allow_none=True, metadata=says("Why the key is revoked: `budget_exceeded`. Null: it is not.")
    )


class PageSchema(Schema):
    """Which page of a list."""

    page = Count(least=1, most=1_000_000, load_default=1, metadata=says("The page, from 1."))
