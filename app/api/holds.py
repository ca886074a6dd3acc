"""/spend/holds: what calls hold that run or are not in the ledger yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app import books
from app.api import own
from app.api.fields import Count, Dollars, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.schemas import PageSchema, says
from app.books import Hold

blueprint = AdminBlueprint(
    "Holds", __name__, url_prefix="/spend", description="What is set aside for calls that are not booked yet."
)


class HoldsQuerySchema(PageSchema):
    """Which calls."""

    page_size = Count(least=1, most=1000, load_default=100, metadata=says("Calls on a page."))
    user_id = Text(metadata=says("Only this user's calls."))


class MeterHoldSchema(AnswerSchema):
    """What a call holds of one budget."""

    meter = fields.String(metadata=says("Whose budget: `user:<user_id>` or `key:<key_id>`.", example="user:ada"))
    window_start = Moment(allow_none=True, metadata=says("When the budget's window began (UTC); null: it has none."))
    held = Dollars(metadata=says("Dollars of this budget that are set aside for the call."))


class HoldSchema(AnswerSchema):
    """One call that runs, or that has ended and is not in the ledger yet."""

    request_id = fields.String(metadata=says("The call's id, as in its x-request-id header."))
    key_id = fields.String(metadata=says("The id of the key that called."))
    user_id = fields.String(allow_none=True, metadata=says("The key's user."))
    model = fields.String(metadata=says("The model's name as the caller used it."))
    state = fields.String(
        metadata=says("`running`, or `unsettled`: the call has ended and the worker has not booked it yet.")
    )
    held = Dollars(
        metadata=says(
            "Dollars: for a running call the most that it is charged if the gateway's process dies; for an unsettled "
            "one its cost."
        )
    )
    meters = fields.List(
        fields.Nested(MeterHoldSchema), metadata=says("The budgets in which it is set aside; empty: there is none.")
    )
    started_at = Moment(metadata=says("When the call was admitted (UTC)."))
    lease_ends_at = Moment(
        allow_none=True,
        metadata=says(
            "When hold and slots are given up unless the gateway's process renews them, as it does while the call runs "
            "(UTC); null: the call has ended."
        ),
    )


HOLDS_TOTAL_HEADER = {
    "x-total-count": {"description": "How many calls there are on all pages.", "schema": {"type": "integer"}}
}


@blueprint.route("/holds")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(HoldsQuerySchema, location="query")
@blueprint.answers(HoldSchema(many=True), headers=HOLDS_TOTAL_HEADER)
@blueprint.errors(400)
def holds(given: dict[str, Any]) -> tuple[list[dict[str, Any]], int, dict[str, str]]:
    """List who holds how much for which call until when, oldest first.

    A virtual key sees its own calls and no others. At most 10,000 calls that run and 10,000 that are not booked yet are
    looked at.
    """
    whose = own.calls(given)
    found, total = books.in_flight(
        user_id=whose.user_id, key_id=whose.key_id, page=given["page"], page_size=given["page_size"]
    )
    return [_shown(hold) for hold in found], 200, {"x-total-count": str(total)}


def _shown(hold: Hold) -> dict[str, Any]:
    event = hold.event
    return {
        "request_id": event.request_id,
        "key_id": event.key_id,
        "user_id": event.user_id,
        "model": event.model_name,
        "state": hold.state,
        "held": hold.held,
        "meters": [
            {"meter": meter, "window_start": _moment(start * 1000) if start else None, "held": held}
            for (meter, start), held in hold.meters
        ],
        "started_at": _moment(event.started_ms),
        "lease_ends_at": None if hold.lease_ends_ms is None else _moment(hold.lease_ends_ms),
    }


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
