"""/spend: the ledger, a row for each call that was admitted; and what calls hold that are not in it yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import ValidationError, fields

from app import books
from app.access import keys
from app.access.callers import Caller
from app.api.fields import Count, Dollars, Moment, Text
from app.api.guards import AdminBlueprint, virtual_key
from app.api.schemas import PageSchema, says
from app.books import Hold
from app.errors import NotAllowed
from app.ledger import rows
from app.models import LedgerRow

blueprint = AdminBlueprint("Spend", __name__, url_prefix="/spend", description="What was spent, call by call.")


class Boundary(fields.String):
    """A day or a moment in ISO 8601, UTC where no zone is stated. `ends`: a day stands for its end."""

    def __init__(self, *, ends: bool = False, **options: Any) -> None:
        """`ends` for the upper boundary, which then includes the whole day."""
        super().__init__(**options)
        self._ends = ends

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = super()._deserialize(value, attr, data, **options)
        try:
            try:
                day = date.fromisoformat(text) + timedelta(days=self._ends)
                return datetime.combine(day, time(), UTC)
            except ValueError:
                moment = datetime.fromisoformat(text)
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValidationError("Must be a day (2026-11-23) or a moment (2026-11-23T08:00:00Z).") from error


class LogsQuerySchema(PageSchema):
    """Which rows."""

    not_yet = frozenset({"summarize"})

    page_size = Count(least=1, most=1000, load_default=100, metadata=says("Rows on a page."))
    user_id = Text(metadata=says("Only this user's calls."))
    api_key = Text(metadata=says("Only calls with this key: the key itself, or its hash."))
    request_id = Text(metadata=says("Only the call with this id, as in its x-request-id header."))
    start_date = Boundary(
        metadata=says("Only calls that started then or later: a day or a moment.", example="2026-11-23")
    )
    end_date = Boundary(
        ends=True,
        metadata=says("Only calls that started before this moment, or on or before this day.", example="2026-11-24"),
    )


class LogSchema(AnswerSchema):
    """One row of the ledger."""

    request_id = fields.String(metadata=says("The call's id, as in its x-request-id header."))
    attempt = fields.Integer(metadata=says("Which attempt it was, where a call needed several deployments."))
    call_type = fields.String(
        attribute="route", metadata=says("The route that was called.", example="chat/completions")
    )
    api_key = fields.String(attribute="token", metadata=says("The hash of the key that called."))
    key_id = fields.String(metadata=says("The id of the key that called."))
    user = fields.String(attribute="user_id", allow_none=True, metadata=says("The key's user."))
    end_user = fields.String(allow_none=True, metadata=says("The end user whom the call named."))
    status = fields.String(
        attribute="outcome",
        metadata=says(
            "`success`, `failure` (the provider refused or broke), `cancelled` (the caller left) or `abandoned` (the "
            "gateway's process died)."
        ),
    )
    http_status = fields.Integer(metadata=says("The status that the provider gave; 0: none."))
    spend = Dollars(attribute="cost", metadata=says("What the call cost, in dollars."))
    price = fields.String(metadata=says("The price list and its version, by which the call was charged."))
    usage_source = fields.String(
        metadata=says(
            "Where the token numbers are from: `provider`, `counted` (from what was relayed), `held` (the estimate) or "
            "`none` (nothing was used)."
        )
    )
    prompt_tokens = fields.Integer(attribute="input_tokens", metadata=says("Input tokens, cached ones included."))
    completion_tokens = fields.Integer(attribute="output_tokens", metadata=says("Output tokens, reasoning included."))
    total_tokens = fields.Function(
        lambda row: row.input_tokens + row.output_tokens,
        metadata={"type": "integer", "description": "Input and output tokens."},
    )
    cache_read_tokens = fields.Integer(metadata=says("Input tokens that were read from the provider's cache."))
    cache_write_5m_tokens = fields.Integer(metadata=says("Input tokens that were written to it for 5 minutes."))
    cache_write_1h_tokens = fields.Integer(metadata=says("Input tokens that were written to it for an hour."))
    reasoning_tokens = fields.Integer(metadata=says("Output tokens that were reasoning."))
    audio_input_tokens = fields.Integer(metadata=says("Input tokens that were audio."))
    audio_output_tokens = fields.Integer(metadata=says("Output tokens that were audio."))
    model = fields.String(metadata=says("The provider's name of the model."))
    model_group = fields.String(attribute="model_name", metadata=says("The model's name as the caller used it."))
    model_id = fields.String(attribute="deployment_id", metadata=says("The deployment's id, as in /model/info."))
    custom_llm_provider = fields.String(attribute="provider", metadata=says("The provider."))
    stream = fields.Boolean(metadata=says("Whether the answer was streamed."))
    startTime = Moment(attribute="started_at", metadata=says("When the call was admitted (UTC)."))  # noqa: N815
    completionStartTime = Moment(  # noqa: N815
        attribute="first_byte_at", allow_none=True, metadata=says("When its answer began (UTC); null: it never did.")
    )
    endTime = Moment(attribute="ended_at", metadata=says("When it ended (UTC)."))  # noqa: N815


TOTAL_HEADER = {
    "x-total-count": {"description": "How many rows there are on all pages.", "schema": {"type": "integer"}}
}


@blueprint.route("/logs")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(LogsQuerySchema, location="query")
@blueprint.answers(LogSchema(many=True), headers=TOTAL_HEADER)
@blueprint.errors(400)
def logs(given: dict[str, Any]) -> tuple[list[LedgerRow], int, dict[str, str]]:
    """List calls with their tokens and cost, newest first.

    A virtual key sees its own calls and no others. The header x-total-count says how many rows there are on all pages.
    """
    token = keys.token_of(given["api_key"]) if "api_key" in given else None
    asking = virtual_key()
    if asking is not None and not _asks_for_its_own(asking, token, given.get("user_id")):
        raise NotAllowed("A virtual key can only read its own calls.")
    found, total = rows.find(
        user_id=given.get("user_id"),
        key_id=asking.key_id if asking is not None else None,
        token=token,
        request_id=given.get("request_id"),
        start=given.get("start_date"),
        end=given.get("end_date"),
        page=given["page"],
        page_size=given["page_size"],
    )
    return list(found), 200, {"x-total-count": str(total)}


def _asks_for_its_own(asking: Caller, token: str | None, user_id: str | None) -> bool:
    return token in (None, asking.token) and user_id in (None, asking.user_id)


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
    asking = virtual_key()
    if asking is not None and not _asks_for_its_own(asking, None, given.get("user_id")):
        raise NotAllowed("A virtual key can only read its own calls.")
    found, total = books.in_flight(
        user_id=given.get("user_id"),
        key_id=asking.key_id if asking is not None else None,
        page=given["page"],
        page_size=given["page_size"],
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
