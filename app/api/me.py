"""GET /me: what the holder of a key may know of it: money left, limits as they stand, spend, own keys."""

from __future__ import annotations

from typing import Any

from flask import g
from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.access import keys, people, teams
from app.api import limits, shown, sums
from app.api.fields import Dollars
from app.api.guards import AdminBlueprint
from app.api.limits import MeterSchema
from app.api.periods import RecentQuerySchema, recent
from app.api.schemas import KeySchema, UserSchema, says
from app.errors import BadRequest
from app.ledger import totals
from app.meter_names import GATEWAY

blueprint = AdminBlueprint("Me", __name__, description="For the holder of a key.")


class DayModelSchema(sums.SumsSchema):
    """What one model cost on one day."""

    date = fields.Date(metadata=says("The day (UTC)."))
    model = fields.String(metadata=says("The model, by the name that was called."))


class MeSchema(AnswerSchema):
    """The key that asks, and everything that its calls count in."""

    key = fields.Nested(KeySchema, metadata=says("The key that asks."))
    user = fields.Nested(UserSchema, allow_none=True, metadata=says("Whose key it is; null: nobody's."))
    teams = fields.List(fields.String(), metadata=says("The ids of the user's teams."))
    budget_left = Dollars(
        allow_none=True,
        metadata=says("Dollars that may still be spent: what the tightest budget has left; null: there is no budget."),
    )
    limits = fields.List(fields.Nested(MeterSchema), metadata=says("Every meter that the key's calls count in."))
    spend_by_day = fields.List(
        fields.Nested(DayModelSchema),
        metadata=says("What the user's keys, or this key if it is nobody's, spent by day and model."),
    )
    keys = fields.List(fields.Nested(KeySchema), metadata=says("The user's keys, oldest first."))


@blueprint.route("/me")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.answers(MeSchema)
@blueprint.errors(400)
def me(given: dict[str, Any]) -> dict[str, Any]:
    """Show the key that asks: what is left, how its limits stand, what was spent, and the user's other keys.

    The limits of its team count for others too and are shown; those of the whole gateway are the admins' to know.
    """
    if g.caller is None:
        raise BadRequest("The master key is nobody's. Ask with a virtual key.")
    row = keys.find(g.caller.token)
    first, last = recent(given)
    where = {"key_id": [row.id]} if row.user_id is None else {"user_id": [row.user_id]}
    with totals.one_moment() as session:
        spent = totals.by(session, ["day", "model_name"], totals.Part(first, last, where))
    standings = limits.live(row)
    lefts = [one.left for one in standings if one.left is not None]
    return {
        "key": shown.key(row),
        "user": None if row.user_id is None else shown.user(people.find(row.user_id)),
        "teams": [] if row.user_id is None else teams.teams_of([row.user_id]).get(row.user_id, []),
        "budget_left": min(lefts, default=None),
        "limits": [limits.shown(one) for one in standings if one.meter.name != GATEWAY],
        "spend_by_day": [{"date": day, "model": model} | sums.shown(amounts) for (day, model), amounts in spent],
        "keys": shown.keys([row] if row.user_id is None else keys.of_user(row.user_id)),
    }
