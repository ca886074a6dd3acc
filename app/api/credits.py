"""Credit for budgets: /limits/<kind>/<id>/credit, and /key/<key>/reset_spend as LiteLLM has it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app import meter_names
from app.access import credits as credit_rows
from app.access import keys, path
from app.api import limits, shown
from app.api.base import Schema
from app.api.fields import Dollars, Moment, SignedDollars, Text
from app.api.guards import AdminBlueprint
from app.api.schemas import says
from app.errors import BadRequest
from app.extensions import database_errors, db
from app.gateway.explain import Standing, standings

blueprint = AdminBlueprint(
    "Credits", __name__, description="Money on top of a budget in its present window. The ledger stays as it is."
)

KINDS_WITH_MODELS = ("key", "user")


class CreditQuerySchema(Schema):
    """Which of a key's or user's budgets."""

    model = Text(metadata=says("A name of model_limits: the budget for this model. Without it: the whole budget."))


class CreditSchema(Schema):
    """A credit to give."""

    amount = SignedDollars(
        required=True,
        metadata=says("Dollars on top of the budget. Below 0: takes something back.", example=5.0),
    )
    reason = Text(allow_none=True, metadata=says("Why; it is kept and shown."))
    id = Text(
        longest=64,
        allow_none=True,
        metadata=says("An id of your own. The same one again gives nothing more, so a request can be repeated."),
    )


class ResetSchema(Schema):
    """What is to count as spent."""

    reset_to = Dollars(required=True, metadata=says("Dollars that count as spent afterwards.", example=0.0))


class ResetKeySchema(AnswerSchema):
    """What counts as spent."""

    key_hash = fields.String(metadata=says("The key's hash."))
    spend = Dollars(metadata=says("Dollars that count as spent now: by the ledger, less the credit of this window."))
    previous_spend = Dollars(metadata=says("Dollars that counted as spent before, also those that are not booked yet."))
    max_budget = Dollars(allow_none=True, metadata=says("Dollars of a window without credit; null: as the template."))
    effective_budget = Dollars(metadata=says("Dollars that may be spent in the present window, with all credit."))
    budget_reset_at = Moment(allow_none=True, metadata=says("When the present window ends (UTC); null: never."))


@blueprint.route("/limits/<any(key, user, team, team_member, customer):kind>/<path:reference>/credit", methods=["POST"])
@blueprint.arguments(CreditQuerySchema, location="query")
@blueprint.arguments(CreditSchema, example={"amount": 5, "reason": "an answer that was cut off"})
@blueprint.answers(limits.MeterSchema)
@blueprint.errors(400, 404, 409)
def give(query: dict[str, Any], given: dict[str, Any], kind: str, reference: str) -> dict[str, Any]:
    """Add money to a budget in its present window.

    A key by itself or its hash, everybody else by id; a team's member as `team_id/user_id`. It ends with the window. It
    acts on the next call, and keys that were revoked because the budget was spent open again.
    """
    meter = path.meter_of(limits.find(kind, reference))
    if "model" in query:
        if kind not in KINDS_WITH_MODELS:
            raise BadRequest("Only keys and users have budgets by model.", param="model")
        meter = meter_names.name(f"{kind}_model", meter.partition(":")[2], query["model"])
    credit_rows.give(meter, given, shown.has_room)
    return limits.shown(_standing(meter))


@blueprint.route("/key/<path:key>/reset_spend", methods=["POST"])
@blueprint.arguments(ResetSchema, example={"reset_to": 0})
@blueprint.answers(ResetKeySchema)
@blueprint.errors(400, 404)
def reset(given: dict[str, Any], key: str) -> dict[str, Any]:
    """Have a key's budget count as if only so much were spent in the present window.

    The ledger stays as it is: the difference is given as credit, so `spend` in /key/info stays and effective_budget
    grows.
    """
    row = keys.find(key)
    meter = path.meter_of(row)
    spends = _standing(meter)
    done = credit_rows.reset(
        meter, given["reset_to"], {spends.meter.window_start: spends.spend + spends.live.due}, shown.has_room
    )
    now = _standing(meter)
    return {
        "key_hash": row.token,
        "spend": done.after,
        "previous_spend": done.before,
        "max_budget": row.max_budget,
        "effective_budget": now.budget,
        "budget_reset_at": limits.shown(now)["budget_reset_at"],
    }


def _standing(meter: str) -> Standing:
    """Raises LimitsUnavailable, DatabaseUnavailable."""
    with database_errors():
        session = db.session()
        found = path.limits_by_meter(session, [meter])
        session.rollback()
    return standings(found.values())[0]
