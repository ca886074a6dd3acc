"""/global/spend/report: what was spent, added up for invoices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import flask
from flask import Response
from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app.access import key_names
from app.api import own
from app.api.daily_reports import team_aliases
from app.api.fields import Dollars, Text
from app.api.guards import AdminBlueprint
from app.api.own import OwnerQuerySchema
from app.api.periods import RecentQuerySchema, recent
from app.api.schemas import says
from app.ledger import totals
from app.ledger.totals import Part, Sums

blueprint = AdminBlueprint(
    "Report", __name__, url_prefix="/global/spend", description="What was spent, for invoices. Days are days in UTC."
)

# What the report can be grouped by, and the columns of the daily totals for it.
GROUPS = {
    "team": "team_id",
    "customer": "customer_id",
    "api_key": "key_id",
    "user": "user_id",
    "model": "model_name",
}
BY_DAY = ("team", "customer")


class ReportQuerySchema(RecentQuerySchema, OwnerQuerySchema):
    """Which days, whose, and by what."""

    group_by = fields.String(
        load_default="team", validate=validate.OneOf(list(GROUPS)), metadata=says("What the spend is added up by.")
    )
    team_id = Text(metadata=says("Only this team's."))
    customer_id = Text(metadata=says("Only this customer's."))


class ModelOfKeySchema(AnswerSchema):
    """What one key spent on one model."""

    model = fields.String(metadata=says("The model, by the name that callers use."))
    spend = Dollars(metadata=says("Dollars."))
    total_tokens = fields.Integer(metadata=says("Input and output tokens."))
    api_key = fields.String(metadata=says("The key's hash, or its key_id where it is deleted."))


class TeamOfDaySchema(AnswerSchema):
    """One team on one day."""

    team_id = fields.String(allow_none=True, metadata=says("The team; null: keys that are in none."))
    team_name = fields.String(allow_none=True, metadata=says("Its alias, else its id."))
    total_spend = Dollars(metadata=says("Dollars."))
    metadata = fields.List(fields.Nested(ModelOfKeySchema), metadata=says("What it was spent on, and by which key."))


class CustomerOfDaySchema(AnswerSchema):
    """One customer on one day."""

    customer = fields.String(allow_none=True, metadata=says("The customer; null: calls for nobody who is one."))
    total_spend = Dollars(metadata=says("Dollars."))
    metadata = fields.List(fields.Nested(ModelOfKeySchema), metadata=says("What it was spent on, and by which key."))


class ReportDaySchema(AnswerSchema):
    """One day, where the report is by team or by customer."""

    group_by_day = fields.Date(metadata=says("The day (UTC)."))
    teams = fields.List(fields.Nested(TeamOfDaySchema), metadata=says("With group_by=team: the teams."))
    customers = fields.List(fields.Nested(CustomerOfDaySchema), metadata=says("With group_by=customer: the customers."))


class CostOfModelSchema(AnswerSchema):
    """One model."""

    model = fields.String(metadata=says("The model, by the name that callers use."))
    total_cost = Dollars(metadata=says("Dollars."))
    total_input_tokens = fields.Integer(metadata=says("Input tokens."))
    total_output_tokens = fields.Integer(metadata=says("Output tokens."))


class ReportLineSchema(CostOfModelSchema):
    """One key, user or model over all of these days."""

    api_key = fields.String(metadata=says("With group_by=api_key: the key's hash, or its key_id where it is deleted."))
    user_id = fields.String(
        allow_none=True, metadata=says("With group_by=user: the user; null: keys that are nobody's.")
    )
    model = fields.String(metadata=says("With group_by=model: the model, by the name that callers use."))
    model_details = fields.List(fields.Nested(CostOfModelSchema), metadata=says("What it was spent on."))


REPORT = {"anyOf": [{"type": "array", "items": ReportDaySchema}, {"type": "array", "items": ReportLineSchema}]}


@blueprint.route("/report")
@blueprint.arguments(ReportQuerySchema, location="query")
@blueprint.answers(REPORT)
@blueprint.errors(400, 404)
def report(given: dict[str, Any]) -> Response:
    """Add up what was spent, by team or customer for each day, or by key, user or model for all of these days."""
    column = GROUPS[given["group_by"]]
    named = {name: [given[name]] for name in ("team_id", "customer_id") if name in given}
    part = Part(*recent(given), own.totals(given).where() | named)
    if given["group_by"] in BY_DAY:
        return flask.jsonify(ReportDaySchema(many=True).dump(_by_day(given["group_by"], part)))
    with totals.one_moment() as session:
        found = totals.by(session, [column], part)
        of_models = totals.by(session, [column, "model_name"], part)
    names = _key_names(key for (key,), _ in found) if column == "key_id" else {}
    details: dict[str, list[dict[str, Any]]] = {}
    for (name, model), sums in of_models:
        details.setdefault(name, []).append({"model": model} | _costs(sums))
    lines = [
        {given["group_by"]: names.get(name, name), "user_id": name or None, "model_details": details[name]}
        | _costs(sums)
        for (name,), sums in found
    ]
    wanted = "user_id" if column == "user_id" else given["group_by"]
    unwanted = {"api_key", "user_id", "model"} - {wanted}
    return flask.jsonify(ReportLineSchema(many=True, exclude=unwanted).dump(lines))


def _by_day(group_by: str, part: Part) -> list[dict[str, Any]]:
    """The report of days, oldest first; in each the dearest first."""
    with totals.one_moment() as session:
        found = totals.by(session, ["day", GROUPS[group_by], "model_name", "key_id"], part)
    keys = _key_names(key_id for (_, _, _, key_id), _ in found)
    aliases = team_aliases(name for (_, name, _, _), _ in found) if group_by == "team" else {}
    by_day: dict[date, dict[str, dict[str, Any]]] = {}
    for (day, name, model, key_id), sums in found:
        called = {"customer": name or None, "team_id": name or None, "team_name": aliases.get(name) or name or None}
        one = by_day.setdefault(day, {}).setdefault(name, called | {"total_spend": 0, "metadata": []})
        one["total_spend"] += sums["cost"]
        tokens = sums["input_tokens"] + sums["output_tokens"]
        spent = {"model": model, "spend": sums["cost"], "total_tokens": tokens, "api_key": keys[key_id]}
        one["metadata"].append(spent)
    return [
        {"group_by_day": day, f"{group_by}s": sorted(parts.values(), key=lambda one: -one["total_spend"])}
        for day, parts in by_day.items()
    ]


def _costs(sums: Sums) -> dict[str, int]:
    return {
        "total_cost": sums["cost"],
        "total_input_tokens": sums["input_tokens"],
        "total_output_tokens": sums["output_tokens"],
    }


def _key_names(ids: Iterable[str]) -> dict[str, str]:
    """The hash of each key, or its id where it is deleted."""
    return {key_id: name.token or key_id for key_id, name in key_names.of_ids(ids).items()}
