"""/spend/logs: the ledger, a row for each call that was admitted."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import ValidationError, fields

from app.access import keys
from app.access.callers import Caller
from app.api.fields import Count, Dollars, Moment, Text
from app.api.guards import AdminBlueprint, virtual_key
from app.api.schemas import PageSchema, says
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
