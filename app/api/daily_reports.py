"""/global: what was spent and asked for day by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.api import own
from app.api.fields import Dollars, Text
from app.api.guards import AdminBlueprint
from app.api.periods import RecentQuerySchema, recent
from app.api.schemas import says
from app.extensions import database_errors, db
from app.ledger import totals
from app.ledger.totals import Part
from app.models import Team
from app.money import to_json

blueprint = AdminBlueprint(
    "Daily reports", __name__, url_prefix="/global", description="What was spent day by day. Days are days in UTC."
)


class DaysQuerySchema(RecentQuerySchema):
    """Which days, and whose."""

    api_key = Text(metadata=says("Only this key's: the key itself, its hash, or its key_id."))


class SpendOfDaySchema(AnswerSchema):
    """One day."""

    date = fields.Date(metadata=says("The day (UTC)."))
    spend = Dollars(metadata=says("Dollars."))


class SpendOfTeamSchema(AnswerSchema):
    """One team."""

    team_id = fields.String(allow_none=True, metadata=says("The team; null: calls with keys that are in none."))
    team_alias = fields.String(allow_none=True, metadata=says("The team's name for people."))
    total_spend = Dollars(metadata=says("Dollars in all of these days."))


class SpendOfTeamsSchema(AnswerSchema):
    """What teams spent."""

    daily_spend = fields.List(
        fields.Dict(),
        metadata=says(
            "A day each: `date`, and under each team_id the dollars of that day; the empty name is no team. "
            "A team whose id is `date` is missing here."
        ),
    )
    teams = fields.List(fields.String(), metadata=says("The team_ids that occur; empty: no team."))
    total_spend_per_team = fields.List(fields.Nested(SpendOfTeamSchema), metadata=says("The teams, the dearest first."))


class RequestsOfDaySchema(AnswerSchema):
    """One day."""

    date = fields.Date(metadata=says("The day (UTC)."))
    api_requests = fields.Integer(attribute="requests", metadata=says("Requests: rows of the ledger."))
    total_tokens = fields.Function(
        lambda day: day["input_tokens"] + day["output_tokens"],
        metadata={"type": "integer", "description": "Input and output tokens."},
    )


class RequestsSchema(AnswerSchema):
    """Requests and tokens."""

    daily_data = fields.List(fields.Nested(RequestsOfDaySchema), metadata=says("The days on which there were any."))
    sum_api_requests = fields.Integer(metadata=says("Requests on all of these days."))
    sum_total_tokens = fields.Integer(metadata=says("Input and output tokens on all of these days."))


class RequestsOfModelSchema(RequestsSchema):
    """One model."""

    model = fields.String(metadata=says("The model, by the name that callers use."))


@blueprint.route("/spend/logs")
@blueprint.arguments(DaysQuerySchema, location="query")
@blueprint.answers(SpendOfDaySchema(many=True))
@blueprint.errors(400, 404)
def days(given: dict[str, Any]) -> list[dict[str, Any]]:
    """List the days with what was spent on each, of late, the oldest first."""
    with totals.one_moment() as session:
        found = totals.by(session, ["day"], Part(*recent(given), own.totals(given).where()))
    return [{"date": day, "spend": sums["cost"]} for (day,), sums in found]


@blueprint.route("/spend/teams")
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.answers(SpendOfTeamsSchema)
@blueprint.errors(400)
def teams(given: dict[str, Any]) -> dict[str, Any]:
    """List what teams spent, of late, day by day and altogether."""
    with totals.one_moment() as session:
        found = totals.by(session, ["day", "team_id"], Part(*recent(given)))
    daily: dict[date, dict[str, Any]] = {}
    spent: dict[str, int] = {}
    for (day, team_id), sums in found:
        daily.setdefault(day, {})[team_id] = to_json(sums["cost"])
        spent[team_id] = spent.get(team_id, 0) + sums["cost"]
    aliases = team_aliases(spent)
    dearest = sorted(spent, key=lambda team_id: (-spent[team_id], team_id))
    return {
        "daily_spend": [by_team | {"date": day.isoformat()} for day, by_team in daily.items()],
        "teams": dearest,
        "total_spend_per_team": [
            {"team_id": team_id or None, "team_alias": aliases.get(team_id), "total_spend": spent[team_id]}
            for team_id in dearest
        ],
    }


@blueprint.route("/activity")
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.answers(RequestsSchema)
@blueprint.errors(400)
def activity(given: dict[str, Any]) -> dict[str, Any]:
    """List the days with requests and tokens, of late."""
    with totals.one_moment() as session:
        found = totals.by(session, ["day"], Part(*recent(given)))
    return _activity([{"date": day} | sums for (day,), sums in found])


@blueprint.route("/activity/model")
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.answers(RequestsOfModelSchema(many=True))
@blueprint.errors(400)
def activity_of_models(given: dict[str, Any]) -> list[dict[str, Any]]:
    """List models, and for each the days with requests and tokens, of late; the most asked for first."""
    with totals.one_moment() as session:
        found = totals.by(session, ["day", "model_name"], Part(*recent(given)))
    by_model: dict[str, list[dict[str, Any]]] = {}
    for (day, model), sums in found:
        by_model.setdefault(model, []).append({"date": day} | sums)
    listed = [{"model": model} | _activity(its_days) for model, its_days in by_model.items()]
    return sorted(listed, key=lambda one: (-one["sum_api_requests"], one["model"]))


def _activity(its_days: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "daily_data": its_days,
        "sum_api_requests": sum(day["requests"] for day in its_days),
        "sum_total_tokens": sum(day["input_tokens"] + day["output_tokens"] for day in its_days),
    }


def team_aliases(team_ids: Iterable[str]) -> Mapping[str, str | None]:
    """The aliases of those teams that there still are, by their ids. Raises DatabaseUnavailable."""
    wanted = set(team_ids)
    with database_errors():
        found = db.session.execute(sa.select(Team.team_id, Team.team_alias))
        aliases = {team_id: alias for team_id, alias in found if team_id in wanted}
        db.session.rollback()
    return aliases
