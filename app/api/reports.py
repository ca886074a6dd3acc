"""/spend and /global/spend: what was spent by key, user, team, model, provider, customer or tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.api import own
from app.api.base import Schema
from app.api.fields import Count, Dollars, Text
from app.api.guards import AdminBlueprint, gateway
from app.api.own import OwnerQuerySchema
from app.api.periods import Day, PeriodQuerySchema, RecentQuerySchema, recent
from app.api.schemas import says
from app.api.sums import KeyNameSchema, SumsSchema, key_columns, shown
from app.ledger import totals
from app.ledger.totals import Part, Sums, Table
from app.models import DailySpend, DailyTag

blueprint = AdminBlueprint("Reports", __name__, description="What was spent, added up. Days are days in UTC.")

MOST_LISTED = 10_000
COUNT_HEADER = {
    "x-total-count": {"description": "How many there are without `limit`.", "schema": {"type": "integer"}},
}
Listed = tuple[list[dict[str, Any]], int, dict[str, str]]


def limit(usual: int) -> Count:
    """How long a list may become."""
    return Count(least=1, most=MOST_LISTED, load_default=usual, metadata=says("The most that are listed: the dearest."))


class RankedQuerySchema(PeriodQuerySchema):
    """Which days, and how many of the dearest."""

    limit = limit(100)


class OwnRankedQuerySchema(RankedQuerySchema, OwnerQuerySchema):
    """Whose, which days, and how many of the dearest."""


class RecentRankedQuerySchema(RecentQuerySchema):
    """Which days, and how many of the dearest."""

    limit = limit(100)


class RecentModelsQuerySchema(RecentQuerySchema):
    """Which days, and how many of the dearest."""

    limit = limit(10)


class SpendOfKeySchema(KeyNameSchema, SumsSchema):
    """One key."""

    user_id = fields.String(allow_none=True, metadata=says("Whose key it is; null: nobody's, or it is deleted."))


class SpendOfUserSchema(SumsSchema):
    """One user."""

    user_id = fields.String(allow_none=True, metadata=says("The user; null: calls with keys that are nobody's."))


class SpendOfTagSchema(AnswerSchema):
    """One tag."""

    individual_request_tag = fields.String(metadata=says("The tag."))
    log_count = fields.Integer(metadata=says("Requests with it; one with two tags counts under both."))
    total_spend = Dollars(metadata=says("Dollars that they cost."))


class GlobalSpendSchema(AnswerSchema):
    """The whole gateway."""

    spend = Dollars(metadata=says("Dollars spent ever, by everybody."))
    max_budget = Dollars(allow_none=True, metadata=says("The gateway's own budget in dollars; null: it has none."))


class TopKeySchema(KeyNameSchema):
    """One key."""

    total_spend = Dollars(metadata=says("Dollars."))


class TopModelSchema(AnswerSchema):
    """One model."""

    model = fields.String(metadata=says("The model, by the name that callers use."))
    total_spend = Dollars(metadata=says("Dollars."))


class SpendOfProviderSchema(AnswerSchema):
    """One provider."""

    provider = fields.String(
        metadata=says("The provider; empty: calls of which nobody knows it, because the gateway's process died.")
    )
    spend = Dollars(metadata=says("Dollars."))


class NamedTagSchema(AnswerSchema):
    """One tag."""

    name = fields.String(metadata=says("The tag."))
    spend = Dollars(metadata=says("Dollars that its requests cost."))
    log_count = fields.Integer(metadata=says("Requests with it; one with two tags counts under both."))


class SpendOfTagsSchema(AnswerSchema):
    """All tags."""

    spend_per_tag = fields.List(fields.Nested(NamedTagSchema), metadata=says("The tags, the dearest first."))


class TagNamesSchema(AnswerSchema):
    """The names of tags."""

    tag_names = fields.List(fields.String(), metadata=says("Every tag that a booked call ever had, by the alphabet."))


class CustomersQuerySchema(Schema):
    """Which calls."""

    api_key = Text(allow_none=True, metadata=says("Only this key's: the key itself, its hash, or its key_id."))
    startTime = Day(allow_none=True, metadata=says("The first day (UTC). Null: 29 days before the last."))  # noqa: N815
    endTime = Day(allow_none=True, metadata=says("The last day (UTC), included. Null: today."))  # noqa: N815


class SpendOfCustomerSchema(AnswerSchema):
    """One customer."""

    end_user = fields.String(
        allow_none=True, metadata=says("The customer; null: calls that named nobody, or nobody who is a customer.")
    )
    total_count = fields.Integer(metadata=says("Requests made for it."))
    total_spend = Dollars(metadata=says("Dollars that they cost."))


@blueprint.route("/spend/keys")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(OwnRankedQuerySchema, location="query")
@blueprint.answers(SpendOfKeySchema(many=True), headers=COUNT_HEADER)
@blueprint.errors(400, 404)
def keys(given: dict[str, Any]) -> Listed:
    """List keys with what they have spent, the dearest first. A virtual key sees the keys of its user."""
    found, count = _ranked("key_id", given, own.totals(given).where())
    columns = key_columns(key_id for key_id, _ in found)
    return [columns[key_id] | shown(sums) for key_id, sums in found], 200, count


@blueprint.route("/spend/users")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(OwnRankedQuerySchema, location="query")
@blueprint.answers(SpendOfUserSchema(many=True), headers=COUNT_HEADER)
@blueprint.errors(400, 404)
def users(given: dict[str, Any]) -> Listed:
    """List users with what they have spent, the dearest first. A virtual key sees its own user."""
    found, count = _ranked("user_id", given, own.totals(given).where())
    return [{"user_id": user_id or None} | shown(sums) for user_id, sums in found], 200, count


@blueprint.route("/spend/tags")
@blueprint.arguments(RankedQuerySchema, location="query")
@blueprint.answers(SpendOfTagSchema(many=True), headers=COUNT_HEADER)
@blueprint.errors(400)
def tags(given: dict[str, Any]) -> Listed:
    """List tags with what was spent under them, the dearest first."""
    found, count = _ranked("tag", given, {}, DailyTag)
    listed = [
        {"individual_request_tag": tag, "log_count": sums["requests"], "total_spend": sums["cost"]}
        for tag, sums in found
    ]
    return listed, 200, count


@blueprint.route("/global/spend")
@blueprint.answers(GlobalSpendSchema)
def everything() -> dict[str, Any]:
    """Read what the whole gateway has spent."""
    with totals.one_moment() as session:
        return {
            "spend": totals.total(session, Part())["cost"],
            "max_budget": gateway().settings.gateway_limits.max_budget,
        }


@blueprint.route("/global/spend/keys")
@blueprint.arguments(RecentRankedQuerySchema, location="query")
@blueprint.answers(TopKeySchema(many=True), headers=COUNT_HEADER)
@blueprint.errors(400)
def top_keys(given: dict[str, Any]) -> Listed:
    """List the keys that spent the most, of late."""
    found, count = _ranked("key_id", _recent(given))
    columns = key_columns(key_id for key_id, _ in found)
    return [columns[key_id] | {"total_spend": sums["cost"]} for key_id, sums in found], 200, count


@blueprint.route("/global/spend/models")
@blueprint.arguments(RecentModelsQuerySchema, location="query")
@blueprint.answers(TopModelSchema(many=True), headers=COUNT_HEADER)
@blueprint.errors(400)
def top_models(given: dict[str, Any]) -> Listed:
    """List the models that cost the most, of late."""
    found, count = _ranked("model_name", _recent(given))
    return [{"model": model, "total_spend": sums["cost"]} for model, sums in found], 200, count


@blueprint.route("/global/spend/provider")
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.answers(SpendOfProviderSchema(many=True))
@blueprint.errors(400)
def providers(given: dict[str, Any]) -> list[dict[str, Any]]:
    """List what was spent at each provider, of late."""
    found, _ = _ranked("provider", _recent(given))
    return [{"provider": provider, "spend": sums["cost"]} for provider, sums in found]


@blueprint.route("/global/spend/tags")
@blueprint.arguments(RecentRankedQuerySchema, location="query")
@blueprint.answers(SpendOfTagsSchema, headers=COUNT_HEADER)
@blueprint.errors(400)
def top_tags(given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List the tags under which the most was spent, of late."""
    found, count = _ranked("tag", _recent(given), {}, DailyTag)
    listed = [{"name": tag, "spend": sums["cost"], "log_count": sums["requests"]} for tag, sums in found]
    return {"spend_per_tag": listed}, 200, count


@blueprint.route("/global/spend/all_tag_names")
@blueprint.answers(TagNamesSchema)
def tag_names() -> dict[str, Any]:
    """List the names of all tags."""
    with totals.one_moment() as session:
        return {"tag_names": sorted(tag for (tag,), _ in totals.by(session, ["tag"], Part(), DailyTag))}


@blueprint.route("/global/spend/end_users", methods=["POST"])
@blueprint.reads()
@blueprint.arguments(CustomersQuerySchema)
@blueprint.answers(SpendOfCustomerSchema(many=True))
@blueprint.errors(400, 404)
def customers(given: dict[str, Any]) -> list[dict[str, Any]]:
    """List customers with what was spent for them, the dearest first, at most 10,000."""
    start, end = recent({"start_date": given.get("startTime"), "end_date": given.get("endTime")})
    whose = own.totals({"api_key": given["api_key"]} if given.get("api_key") else {})
    with totals.one_moment() as session:
        found = totals.by(session, ["customer_id"], Part(start, end, whose.where()), limit=MOST_LISTED)
    return [
        {"end_user": customer or None, "total_count": sums["requests"], "total_spend": sums["cost"]}
        for (customer,), sums in found
    ]


def _recent(given: dict[str, Any]) -> dict[str, Any]:
    return given | dict(zip(("start_date", "end_date"), recent(given), strict=True))


def _ranked(
    column: str, given: Mapping[str, Any], where: Mapping[str, Any] | None = None, table: Table = DailySpend
) -> tuple[list[tuple[str, Sums]], dict[str, str]]:
    """The dearest by one column, and the header that says how many there are. Raises DatabaseUnavailable."""
    part = Part(given.get("start_date"), given.get("end_date"), where or {})
    with totals.one_moment() as session:
        found = totals.by(session, [column], part, table, limit=given.get("limit"))
        count = totals.count(session, [column], part, table) if "limit" in given else len(found)
    return [(name, sums) for (name,), sums in found], {"x-total-count": str(count)}
