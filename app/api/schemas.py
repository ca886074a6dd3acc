"""Bodies and answers that more than one resource uses, with a description for every field."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, post_dump, post_load, validate

from app.api.base import Schema
from app.api.fields import Count, Dollars, Flag, Metadata, Moment, Names, Text, weekday, window, zone
from app.errors import BadRequest

LONGEST_QUEUE_SECONDS = 600
MOST_LIMITED_MODELS = 100
EXAMPLE_MOMENT = "2026-12-01T00:00:00Z"

# Fields that clients of LiteLLM send for keys and users alike and that nothing here enforces yet.
NOT_YET = frozenset(
    [
        "agent_id",
        "allowed_cache_controls",
        "allowed_passthrough_routes",
        "allowed_vector_store_indexes",
        "budget_fallbacks",
        "budget_limits",
        "config",
        "created_by",
        "denied_passthrough_routes",
        "disable_global_guardrails",
        "enable_prompt_caching",
        "enforced_params",
        "guardrails",
        "mcp_rpm_limit",
        "object_permission",
        "organization_id",
        "permissions",
        "policies",
        "project_id",
        "prompts",
        "rpm_limit_type",
        "send_invite_email",
        "spend",
        "tag_rpm_limit",
        "tpd_limit",
        "tpm_limit_type",
    ]
)
NOT_YET_OF_USERS = NOT_YET | {
    "aliases",
    "blocked",
    "organizations",
    "password",
    "sso_user_id",
    "tags",
    "team_id",
}
NOT_YET_OF_KEYS = NOT_YET | frozenset(
    [
        "access_group_ids",
        "default_estimated_output_tokens",
        "default_estimated_output_tokens_per_model",
        "end_user_budget_id",
        "router_settings",
        "throttle_on_budget_exceeded",
    ]
)


NAMES = (
    *("key", "key_name", "key_alias", "expires", "status", "team_id", "team_alias", "role", "members_with_roles"),
    *("user_id", "user_email", "user_alias", "user_role", "alias", "blocked"),
)


def says(description: str, *, example: Any = None) -> dict[str, Any]:
    """A field's metadata: what it means and in which unit."""
    return {"description": description} if example is None else {"description": description, "example": example}


class LimitValuesSchema(Schema):
    """What every meter can be limited to."""

    max_budget = Dollars(
        allow_none=True,
        metadata=says(
            "The most that may be spent, in dollars. 0: nothing but free models. Null: no limit.", example=10.0
        ),
    )
    soft_budget = Dollars(
        allow_none=True,
        metadata=says("Dollars at which a webhook is sent and nobody is refused. Null: none.", example=8.0),
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
    timezone = zone(
        allow_none=True,
        metadata=says(
            "The IANA time zone in which days, weeks and months of the budget begin. Null: the gateway's.",
            example="Europe/Berlin",
        ),
    )
    week_start = weekday(
        allow_none=True, metadata=says("The day on which weeks begin. Null: the gateway's.", example="monday")
    )
    rollover = Flag(
        allow_none=True,
        metadata=says("True: what a window leaves unspent is added to the next one, at most one budget."),
    )
    max_parallel_requests = Count(
        strict=True,
        allow_none=True,
        metadata=says("How many calls may run at the same time. Null: no limit.", example=10),
    )
    queue_timeout = fields.Float(
        allow_none=True,
        validate=validate.Range(0, LONGEST_QUEUE_SECONDS),
        metadata=says(
            "For how many seconds a call waits for a parallel slot, first come, first served. 0 or null: not at all."
        ),
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
    alert_thresholds = fields.List(
        Count(strict=True, least=1, most=1000),
        allow_none=True,
        validate=validate.Length(0, 20),
        metadata=says("Percentages of the budget at which a webhook is sent. Null: the gateway's.", example=[50, 80]),
    )


class TemplatedLimitsSchema(LimitValuesSchema):
    """Limits of a meter's own, with the template for what they leave open, and what raises its budget for a while."""

    budget_id = Text(
        allow_none=True,
        metadata=says("The budget template whose values count where this has none of its own. Null: no template."),
    )
    temp_budget_increase = Dollars(
        allow_none=True, metadata=says("Dollars on top of max_budget until temp_budget_expiry. Null: none.")
    )
    temp_budget_expiry = Moment(
        allow_none=True,
        metadata=says(
            "When temp_budget_increase ends (ISO 8601; UTC where no zone is stated).", example=EXAMPLE_MOMENT
        ),
    )
    models = Names(
        metadata=says(
            "Model names, access groups and wildcards such as `openai/*` that may be called. Empty or null: all. "
            "Every list on a call's path must allow a model.",
            example=["gpt-4o", "beta-models"],
        )
    )
    metadata = Metadata(metadata=says("A JSON object of your own; it is kept and shown, nothing else."))

    @post_load
    def check_raise(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """A raise without an end would be no temporary one."""
        if data.get("temp_budget_increase") is not None and data.get("temp_budget_expiry") is None:
            raise BadRequest("Say when temp_budget_increase ends: temp_budget_expiry.", param="temp_budget_expiry")
        return data


class ModelBudgetSchema(Schema):
    """A model's budget as LiteLLM writes it."""

    budget_limit = Dollars(required=True, metadata=says("The model's budget in dollars."))
    time_period = window(allow_none=True, metadata=says("The budget's window, such as `1d`. Null: it has none."))


class LimitsSchema(TemplatedLimitsSchema):
    """What a user or a key may do."""

    model_limits = fields.Dict(
        keys=Text(),
        values=fields.Nested(LimitValuesSchema),
        allow_none=True,
        validate=validate.Length(0, MOST_LIMITED_MODELS),
        metadata=says(
            "Limits by model name, access group or wildcard, each as the limits of the whole. All that fit a "
            "call count.",
            example={"gpt-4o": {"max_budget": 5, "rpm_limit": 10}},
        ),
    )
    model_max_budget = fields.Dict(
        keys=Text(),
        values=fields.Nested(ModelBudgetSchema),
        allow_none=True,
        metadata=says("The same as max_budget and budget_duration in model_limits, as LiteLLM writes it."),
    )
    model_rpm_limit = fields.Dict(
        keys=Text(),
        values=Count(strict=True),
        allow_none=True,
        metadata=says("The same as rpm_limit in model_limits: requests in any 60 seconds by model."),
    )
    model_tpm_limit = fields.Dict(
        keys=Text(),
        values=Count(strict=True),
        allow_none=True,
        metadata=says("The same as tpm_limit in model_limits: tokens in any 60 seconds by model."),
    )

    @post_load
    def gather_model_limits(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """The three ways to write a model's limit become one: `model_limits_parts`, limits by name and by model."""
        parts: dict[str, dict[str, Any]] = {}
        if "model_max_budget" in data:
            budgets = data.pop("model_max_budget") or {}
            parts["max_budget"] = {model: budget["budget_limit"] for model, budget in budgets.items()}
            parts["budget_duration"] = {model: budget.get("time_period") for model, budget in budgets.items()}
        for name, limit in (("model_rpm_limit", "rpm_limit"), ("model_tpm_limit", "tpm_limit")):
            if name in data:
                parts[limit] = data.pop(name) or {}
        return data | {"model_limits_parts": parts} if parts else data


class ShownLimitValuesSchema(AnswerSchema):
    """The limits that are set."""

    max_budget = Dollars(allow_none=True, metadata=says("The budget in dollars; null: no limit of its own."))
    soft_budget = Dollars(allow_none=True, metadata=says("Dollars at which a webhook is sent; null: none."))
    strict = fields.Boolean(metadata=says("Whether the budget is never passed, not even by the last call."))
    budget_duration = fields.String(allow_none=True, metadata=says("The budget's window; null: it never resets."))
    timezone = fields.String(allow_none=True, metadata=says("The time zone of the window; null: the gateway's."))
    week_start = fields.String(allow_none=True, metadata=says("The day on which weeks begin; null: the gateway's."))
    rollover = fields.Boolean(metadata=says("Whether what a window leaves unspent is added to the next one."))
    max_parallel_requests = fields.Integer(
        allow_none=True, metadata=says("How many calls may run at the same time; null: no limit.")
    )
    queue_timeout = fields.Float(
        allow_none=True, metadata=says("For how many seconds a call waits for a parallel slot; null: not at all.")
    )
    rpm_limit = fields.Integer(
        allow_none=True, metadata=says("How many requests may be made in any 60 seconds; null: no limit.")
    )
    tpm_limit = fields.Integer(
        allow_none=True, metadata=says("How many tokens may be used in any 60 seconds; null: no limit.")
    )
    alert_thresholds = fields.List(
        fields.Integer(),
        allow_none=True,
        metadata=says("Percentages of the budget at which a webhook is sent; null: the gateway's."),
    )


class ShownLimitsSchema(ShownLimitValuesSchema):
    """Limits and spend of a meter."""

    models = fields.List(fields.String(), metadata=says("What may be called; empty: every model."))
    spend = Dollars(metadata=says("Dollars spent in the budget's present window: the number that is enforced."))
    total_spend = Dollars(metadata=says("Dollars spent ever: the sum of the ledger."))
    effective_budget = Dollars(
        allow_none=True,
        metadata=says(
            "Dollars that may be spent in the present window: by the template, with temporary raise, credit and what "
            "has rolled over; null: no limit."
        ),
    )
    budget_reset_at = Moment(allow_none=True, metadata=says("When the present window ends (UTC); null: never."))
    budget_id = fields.String(allow_none=True, metadata=says("The budget template; null: none."))
    temp_budget_increase = Dollars(allow_none=True, metadata=says("Dollars on top for a while; null: none."))
    temp_budget_expiry = Moment(allow_none=True, metadata=says("When that ends (UTC); null: there is no raise."))
    model_limits = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ShownLimitValuesSchema),
        metadata=says("Limits by model name, access group or wildcard."),
    )
    metadata = fields.Dict(metadata=says("The JSON object that was sent."))
    created_at = Moment(metadata=says("When it was made (UTC)."))
    updated_at = Moment(metadata=says("When it was last changed (UTC)."))

    @post_dump
    def names_first(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """What people look for in an answer stands at its top; inherited fields would come first."""
        return {name: data[name] for name in NAMES if name in data} | data


class MembershipSchema(ShownLimitsSchema):
    """A member with limits and spend, over the member's keys of this team."""

    class Meta:
        """A member has neither limits by model nor a document of its own."""

        exclude = ("model_limits", "metadata")

    team_id = fields.String(metadata=says("The team's id."))
    user_id = fields.String(metadata=says("The member's user id."))
    role = fields.String(metadata=says("`user` or `admin`."))
    max_budget_in_team = Dollars(
        allow_none=True, metadata=says("The same as max_budget, as LiteLLM writes it; null: as all members.")
    )


class UserSchema(ShownLimitsSchema):
    """A user."""

    teams = fields.List(fields.String(), metadata=says("The ids of the teams that the user is in."))

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
    team_id = fields.String(allow_none=True, metadata=says("The team that the key belongs to; null: none."))
    aliases = fields.Dict(metadata=says("Other models by the name that is asked for."))
    tags = fields.List(fields.String(), metadata=says("Tags of all calls with this key."))
    allowed_routes = fields.List(fields.String(), metadata=says("The routes that the key may use; empty: as its type."))
    key_type = fields.String(metadata=says("`default`, `llm_api`, `management` or `read_only`."))
    service_account = fields.Boolean(metadata=says("Whether the key is a team's and no user's."))
    created_by = fields.String(allow_none=True, metadata=says("Who made it: `master`, or a user or key by id."))
    auto_rotate = fields.Boolean(metadata=says("Whether the key gets new secrets by schedule."))
    rotation_interval = fields.String(allow_none=True, metadata=says("How often; null: not said."))
    rotation_grace = fields.String(
        allow_none=True, metadata=says("For how long the old secret then still works; null: `48h`.")
    )
    rotate_at = Moment(allow_none=True, metadata=says("When the next one is due (UTC); null: none is."))
    rotation_count = fields.Integer(metadata=says("How many new secrets the key has got."))
    expires = Moment(allow_none=True, metadata=says("When the key ends (UTC); null: never."))
    blocked = fields.Boolean(metadata=says("Whether the key is blocked by hand."))
    status = fields.String(
        validate=validate.OneOf(["active", "expired", "blocked", "revoked"]),
        metadata=says("`revoked`: the user's budget is spent; it opens again with a raise or with a new window."),
    )
    revoked_reason = fields.String(
        allow_none=True, metadata=says("Why the key is revoked: `budget_exceeded`. Null: it is not.")
    )


def sort_by(*columns: str, first: str) -> fields.String:
    """The query's field that says by which column a list is sorted; `first` is what it is without it."""
    return fields.String(
        load_default=first,
        validate=validate.OneOf(columns),
        metadata=says("By what the list is sorted; rows without it stand last."),
    )


def sort_order() -> fields.String:
    """The query's field that says in which direction."""
    return fields.String(
        load_default="asc",
        validate=validate.OneOf(["asc", "desc"]),
        metadata=says("`asc`: smallest or oldest first. `desc`: largest or newest first."),
    )


class PageSchema(Schema):
    """Which page of a list."""

    page = Count(least=1, most=1_000_000, load_default=1, metadata=says("The page, from 1."))
