"""Credit for a meter's budget, and LiteLLM's way to say it: a spend that is set back."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import ValidationError, fields

from app import meter_names, money
from app.access import credits as giving
from app.access import keys, path
from app.api import shown
from app.api.base import Schema
from app.api.fields import Dollars, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.limits import MeterSchema, find, live
from app.api.limits import shown as shown_meter
from app.api.schemas import says
from app.errors import BadRequest

blueprint = AdminBlueprint("Credits", __name__, description="Money on top of a budget, in the window that is open now.")


class Credit(fields.Float):
    """Dollars that may be negative; nano-dollars inside."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> Any:  # noqa: ARG002
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value == 0:
            raise ValidationError("Must be a number of dollars other than 0.")
        try:
            return money.budget_from_json(abs(value)) * (1 if value > 0 else -1)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class NewCreditSchema(Schema):
    """A credit."""

    amount = Credit(
        required=True,
        metadata=says("Dollars on top of the budget in the present window; negative: taken back.", example=5),
    )
    reason = Text(allow_none=True, metadata=says("Why, for the people who read the books later."))
    id = Text(
        longest=64,
        allow_none=True,
        metadata=says("A name of your own for this credit: sent again, it is not given again. Null: one is made."),
    )


class ResetSchema(Schema):
    """What a key's spend is to count as."""

    reset_to = Dollars(required=True, metadata=says("Dollars that the present window's spend shall count as."))


class ResetAnswerSchema(AnswerSchema):
    """The key's budget after the reset."""

    key_hash = fields.String(metadata=says("The key's hash."))
    spend = Dollars(metadata=says("Dollars that the spend counts as now."))
    previous_spend = Dollars(metadata=says("Dollars spent in the present window, by the ledger."))
    max_budget = Dollars(allow_none=True, metadata=says("The key's budget in dollars."))
    effective_budget = Dollars(
        allow_none=True, metadata=says("Dollars that may be spent in the present window, credit included.")
    )
    budget_reset_at = Moment(allow_none=True, metadata=says("When the window ends (UTC); null: never."))


@blueprint.route("/limits/<any(key, user, team, team_member, customer):kind>/<path:reference>/credit", methods=["POST"])
@blueprint.arguments(NewCreditSchema)
@blueprint.answers(MeterSchema)
@blueprint.errors(400, 404, 409)
def give(given: dict[str, Any], kind: str, reference: str) -> dict[str, Any]:
    """Add to a budget in its present window, or take back what was added.

    The ledger and max_budget stay as they are. Credit goes with its window; where the budget has none it stays. Keys
    that were revoked because the budget was spent open again.
    """
    row = find(kind, reference)
    meter = path.meter_of(row)
    giving.give(meter, given["amount"], given.get("reason"), given.get("id"))
    return next(shown_meter(one) for one in live(row) if one.meter.name == meter)


@blueprint.route("/key/<path:key>/reset_spend", methods=["POST"])
@blueprint.arguments(ResetSchema, example={"reset_to": 0})
@blueprint.answers(ResetAnswerSchema)
@blueprint.errors(400, 404)
def reset_spend(given: dict[str, Any], key: str) -> dict[str, Any]:
    """Let a key spend as if it had spent `reset_to` in the present window.

    The difference is given as credit; the ledger and the spend that is shown elsewhere stay as they are.
    """
    row = keys.find(key)
    standing = shown.standings([row])[0]
    if given["reset_to"] > standing.spend:
        raise BadRequest("A spend can be set back, not forward.", param="reset_to")
    amount = standing.spend - given["reset_to"]
    if amount:
        giving.give(meter_names.name("key", row.id), amount, "reset_spend")
        standing_now = shown.standings([keys.find(key)])[0]
    else:
        standing_now = standing
    return {
        "key_hash": row.token,
        "spend": given["reset_to"],
        "previous_spend": standing.spend,
        "max_budget": row.max_budget,
        "effective_budget": standing_now.effective_budget,
        "budget_reset_at": standing_now.budget_reset_at,
    }
