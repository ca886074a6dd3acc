"""/user/daily/activity and its like for teams, customers and tags: days, each with its parts, and the whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import ValidationError, fields, validate

from app.access import key_names
from app.api import own
from app.api.fields import Count, Dollars, Text
from app.api.guards import AdminBlueprint
from app.api.own import OwnerQuerySchema
from app.api.periods import RecentQuerySchema, recent
from app.api.schemas import says
from app.api.sums import MetricsSchema, shown
from app.ledger import totals
from app.ledger.totals import Part, Sums, Table
from app.models import DailySpend, DailyTag

blueprint = AdminBlueprint("Activity", __name__, description="Days with their parts. Days are days in UTC.")

MOST_NAMES = 1000
# The parts of a day, and the columns of the daily totals for them.
BREAKDOWN = {"models": "model_name", "providers": "provider", "api_keys": "key_id"}
# The whole, as it is called in the answer, and its names in SumsSchema.
WHOLE = {
    "total_spend": "cost",
    "total_prompt_tokens": "input_tokens",
    "total_completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "total_api_requests": "requests",
    "total_successful_requests": "successful_requests",
    "total_failed_requests": "failed_requests",
    "total_cache_read_input_tokens": "cache_read_tokens",
    "total_cache_creation_input_tokens": "cache_write_tokens",
}


class NameList(fields.String):
    """Names with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        names = [name for name in super()._deserialize(value, attr, data, **options).split(",") if name]
        if not 1 <= len(names) <= MOST_NAMES:
            raise ValidationError(f"Must be 1 to {MOST_NAMES} names with commas between them.")
        return names


class DaysQuerySchema(RecentQuerySchema):
    """Which days."""

    timezone = fields.Integer(
        validate=validate.Equal(0, error="Must be 0: days begin at midnight in UTC."),
        metadata=says("Minutes from UTC: 0, because days begin at midnight in UTC."),
    )


class PagedQuerySchema(DaysQuerySchema):
    """Which days, page by page."""

    page = Count(least=1, most=1_000_000, load_default=1, metadata=says("The page, from 1."))
    page_size = Count(least=1, most=1000, load_default=50, metadata=says("Days on a page."))


class OfUserQuerySchema(OwnerQuerySchema):
    """Whose, and of which model."""

    model = Text(metadata=says("Only this model, by the name that callers use."))


class UserPageQuerySchema(OfUserQuerySchema, PagedQuerySchema):
    """Whose, of which model, which days."""


class UserDaysQuerySchema(OfUserQuerySchema, DaysQuerySchema):
    """Whose, of which model, which days."""


class TeamPageQuerySchema(PagedQuerySchema, OfUserQuerySchema):
    """Which teams, which days."""

    team_ids = NameList(metadata=says("Only these teams, by their ids with commas between them.", example="red,blue"))


class CustomerPageQuerySchema(PagedQuerySchema, OfUserQuerySchema):
    """Which customers, which days."""

    end_user_ids = NameList(metadata=says("Only these customers, by their ids with commas between them."))


class TagPageQuerySchema(PagedQuerySchema):
    """Which tags, which days."""

    tags = NameList(metadata=says("Only these tags, with commas between them."))


class ActivityPartSchema(AnswerSchema):
    """One part of a day."""

    metrics = fields.Nested(MetricsSchema, metadata=says("What it took and cost."))
    metadata = fields.Dict(metadata=says("Of a key: `key_alias`, `team_id` and `key_id`. Else empty."))


def parts(what: str) -> fields.Dict:
    """The parts of a day, by their names."""
    return fields.Dict(keys=fields.String(), values=fields.Nested(ActivityPartSchema), metadata=says(what))


class ActivityBreakdownSchema(AnswerSchema):
    """The parts of a day. Each of these adds up to the day, but for tags: a call with two counts under both."""

    models = parts("By model, as callers name it.")
    providers = parts("By provider; empty: calls of which it is not known, because the gateway's process died.")
    api_keys = parts("By the key's hash, or its key_id where it is deleted.")
    entities = parts("By what the route is about: user, team, customer or tag; under the empty name: none.")


class ActivityDaySchema(AnswerSchema):
    """One day."""

    date = fields.Date(metadata=says("The day (UTC)."))
    metrics = fields.Nested(MetricsSchema, metadata=says("What its calls took and cost."))
    breakdown = fields.Nested(ActivityBreakdownSchema, metadata=says("The same by its parts."))


class ActivityTotalsSchema(AnswerSchema):
    """All of the days that were asked for, whatever page this is."""

    total_spend = Dollars(metadata=says("Dollars."))
    total_prompt_tokens = fields.Integer(metadata=says("Input tokens."))
    total_completion_tokens = fields.Integer(metadata=says("Output tokens."))
    total_tokens = fields.Integer(metadata=says("Input and output tokens."))
    total_api_requests = fields.Integer(metadata=says("Requests: rows of the ledger."))
    total_successful_requests = fields.Integer(metadata=says("Those of them that did not fail."))
    total_failed_requests = fields.Integer(metadata=says("Those that failed."))
    total_cache_read_input_tokens = fields.Integer(metadata=says("Tokens read from the provider's cache."))
    total_cache_creation_input_tokens = fields.Integer(metadata=says("Tokens written to it."))
    page = fields.Integer(metadata=says("This page, from 1."))
    total_pages = fields.Integer(metadata=says("How many pages there are; 0: there was nothing."))
    has_more = fields.Boolean(metadata=says("Whether there is a page after this one."))


class ActivitySchema(AnswerSchema):
    """Days, the newest first."""

    results = fields.List(fields.Nested(ActivityDaySchema), metadata=says("The days of this page that had any calls."))
    metadata = fields.Nested(ActivityTotalsSchema, metadata=says("The sum over all pages, and which page this is."))


@blueprint.route("/user/daily/activity")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(UserPageQuerySchema, location="query")
@blueprint.answers(ActivitySchema)
@blueprint.errors(400, 404)
def user(given: dict[str, Any]) -> dict[str, Any]:
    """List the days with what users' calls took and cost, by model, provider, key and user.

    A virtual key sees the calls of its own user. The sums in `metadata` are those of all pages.
    """
    return _activity(given, "user_id", _of_user(given))


@blueprint.route("/user/daily/activity/aggregated")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(UserDaysQuerySchema, location="query")
@blueprint.answers(ActivitySchema)
@blueprint.errors(400, 404)
def user_on_one_page(given: dict[str, Any]) -> dict[str, Any]:
    """As /user/daily/activity, with all days on one page."""
    return _activity(given, "user_id", _of_user(given))


@blueprint.route("/team/daily/activity")
@blueprint.arguments(TeamPageQuerySchema, location="query")
@blueprint.answers(ActivitySchema)
@blueprint.errors(400, 404)
def team(given: dict[str, Any]) -> dict[str, Any]:
    """List the days with what teams' calls took and cost, by model, provider, key and team."""
    return _activity(given, "team_id", _of_user(given) | _named("team_id", given.get("team_ids")))


@blueprint.route("/customer/daily/activity")
@blueprint.arguments(CustomerPageQuerySchema, location="query")
@blueprint.answers(ActivitySchema)
@blueprint.errors(400, 404)
def customer(given: dict[str, Any]) -> dict[str, Any]:
    """List the days with what calls for customers took and cost, by model, provider, key and customer."""
    return _activity(given, "customer_id", _of_user(given) | _named("customer_id", given.get("end_user_ids")))


@blueprint.route("/tag/daily/activity")
@blueprint.arguments(TagPageQuerySchema, location="query")
@blueprint.answers(ActivitySchema)
@blueprint.errors(400)
def tag(given: dict[str, Any]) -> dict[str, Any]:
    """List the days with what calls with tags took and cost, by tag. A call with two tags counts under both."""
    return _activity(given, "tag", _named("tag", given.get("tags")), DailyTag)


def _of_user(given: dict[str, Any]) -> dict[str, Sequence[str]]:
    model = [given["model"]] if "model" in given else None
    return {**own.totals(given).where(), **_named("model_name", model)}


def _named(column: str, names: Sequence[str] | None) -> dict[str, Sequence[str]]:
    return {} if names is None else {column: names}


def _activity(
    given: dict[str, Any], entity: str, where: dict[str, Sequence[str]], table: Table = DailySpend
) -> dict[str, Any]:
    """One page of days, newest first, each with its parts; and the sum of all days. Raises DatabaseUnavailable."""
    breakdown = {"entities": entity} if table is DailyTag else BREAKDOWN | {"entities": entity}
    with totals.one_moment() as session:
        days = totals.by(session, ["day"], Part(*recent(given), where), table)[::-1]
        page, size = given.get("page", 1), given.get("page_size") or max(1, len(days))
        on_page = days[(page - 1) * size : page * size]
        broken: dict[str, list[tuple[tuple[Any, ...], Sums]]] = {}
        if on_page:
            (first,), (last,) = on_page[-1][0], on_page[0][0]
            part = Part(first, last, where)
            broken = {kind: totals.by(session, ["day", column], part, table) for kind, column in breakdown.items()}
    by_day = _by_day(broken)
    whole = shown(totals.added([sums for _, sums in days], table))
    pages = -(-len(days) // size)
    return {
        "results": [{"date": day, "metrics": shown(sums), "breakdown": by_day[day]} for (day,), sums in on_page],
        "metadata": {name: whole[of] for name, of in WHOLE.items() if of in whole}
        | {"page": page, "total_pages": pages, "has_more": page < pages},
    }


def _by_day(broken: dict[str, list[tuple[tuple[Any, ...], Sums]]]) -> dict[date, dict[str, Any]]:
    """The parts of each day, by kind and name."""
    keys = key_names.of_ids(key_id for (_, key_id), _ in broken.get("api_keys", []))
    days: dict[date, dict[str, Any]] = {}
    for kind, found in broken.items():
        for (day, name), sums in found:
            one: dict[str, Any] = {"metrics": shown(sums), "metadata": {}}
            called = name
            if kind == "api_keys":
                key = keys[name]
                called = key.token or name
                one["metadata"] = {"key_alias": key.key_alias, "team_id": key.team_id, "key_id": name}
            days.setdefault(day, {each: {} for each in broken})[kind][called] = one
    return days
