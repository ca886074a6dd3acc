"""/spend/logs: the ledger, a row for each call that was admitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flask
from flask import Response
from marshmallow import Schema as AnswerSchema
from marshmallow import ValidationError, fields, validate

from app import money
from app.access import key_names
from app.api import own
from app.api.fields import Count, Dollars, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.own import OwnerQuerySchema
from app.api.periods import Boundary, whole_days
from app.api.schemas import PageSchema, says
from app.errors import BadRequest, NotFound
from app.ledger import rows, totals
from app.ledger.totals import Part
from app.models import LedgerRow

blueprint = AdminBlueprint("Spend", __name__, url_prefix="/spend", description="What was spent, call by call.")

OUTCOMES = ("success", "failure", "cancelled", "abandoned")
# What daily totals do not know of a call.
NOT_OF_DAYS = ("request_id", "end_user", "tag", "status_filter", "min_spend", "max_spend")


class DollarsInQuery(Dollars):
    """Dollars in a query, where everything is text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        try:
            number = float(value)
        except ValueError as error:
            raise ValidationError("Must be a number of dollars, 0 or more.") from error
        return super()._deserialize(number, attr, data, **options)


class RowsQuerySchema(OwnerQuerySchema):
    """Which rows of the ledger."""

    team_id = Text(metadata=says("Only this team's."))
    end_user = Text(metadata=says("Only calls that named this end user, a customer or not."))
    customer_id = Text(metadata=says("Only this customer's."))
    model = Text(metadata=says("Only calls of this model, by the name that callers use (`model_group`)."))
    tag = Text(metadata=says("Only calls with this tag."))
    status_filter = fields.String(
        validate=validate.OneOf(OUTCOMES), metadata=says("Only calls with this `status`.", example="failure")
    )
    request_id = Text(metadata=says("Only the call with this id, as in its x-request-id header."))
    min_spend = DollarsInQuery(metadata=says("Only rows that cost so many dollars or more."))
    max_spend = DollarsInQuery(metadata=says("Only rows that cost so many dollars or less."))
    start_date = Boundary(
        metadata=says("Only calls that started then or later: a day or a moment.", example="2026-11-23")
    )
    end_date = Boundary(
        ends=True,
        metadata=says("Only calls that started before this moment, or on or before this day.", example="2026-11-24"),
    )


class OrderedQuerySchema(RowsQuerySchema, PageSchema):
    """Which rows, in which order."""

    sort_by = fields.String(
        load_default="startTime",
        validate=validate.OneOf(list(rows.SORTS)),
        metadata=says("What the rows are ordered by; rows that are equal in it come newest first."),
    )
    sort_order = fields.String(
        load_default="desc", validate=validate.OneOf(["asc", "desc"]), metadata=says("`desc`: the largest first.")
    )


class LogsQuerySchema(OrderedQuerySchema):
    """Which rows, or which days."""

    page_size = Count(least=1, most=1000, load_default=100, metadata=says("Rows on a page."))
    summarize = fields.Boolean(
        load_default=False,
        metadata=says("True: not rows but a sum for each day between start_date and end_date, which are then needed."),
    )


class LogPageQuerySchema(OrderedQuerySchema):
    """Which rows."""

    page_size = Count(least=1, most=1000, load_default=50, metadata=says("Rows on a page."))


class LogSchema(AnswerSchema):
    """One row of the ledger."""

    request_id = fields.String(metadata=says("The call's id, as in its x-request-id header."))
    attempt = fields.Integer(
        metadata=says("Which attempt it was, where a call needed several deployments; 10,000 and more: corrections.")
    )
    call_type = fields.String(
        attribute="route", metadata=says("The route that was called.", example="chat/completions")
    )
    api_key = fields.String(attribute="token", metadata=says("The hash of the key that called."))
    key_id = fields.String(metadata=says("The id of the key that called."))
    user = fields.String(attribute="user_id", allow_none=True, metadata=says("The key's user."))
    team_id = fields.String(allow_none=True, metadata=says("The key's team."))
    end_user = fields.String(allow_none=True, metadata=says("The end user whom the call named."))
    customer_id = fields.String(
        allow_none=True, metadata=says("Who of the customers that is; null: nobody, or nobody was named.")
    )
    request_tags = fields.List(fields.String(), attribute="tags", metadata=says("The key's and the request's tags."))
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
    cache_read_audio_tokens = fields.Integer(metadata=says("Audio tokens that were read from the provider's cache."))
    cache_read_image_tokens = fields.Integer(metadata=says("Image tokens that were read from the provider's cache."))
    image_input_tokens = fields.Integer(metadata=says("Input tokens that were images or videos."))
    image_output_tokens = fields.Integer(metadata=says("Output tokens that were images or videos."))
    web_searches = fields.Integer(metadata=says("Searches in the web that the provider made and charges."))
    images = fields.Integer(metadata=says("Images that were made."))
    audio_ms = fields.Integer(metadata=says("Milliseconds of audio that was heard or spoken."))
    characters = fields.Integer(metadata=says("Characters of a text that was spoken."))
    requests = fields.Integer(metadata=says("Requests, or searches of a reranker, that the provider counts."))
    pages = fields.Integer(metadata=says("Pages that were read."))
    service_tier = fields.String(
        attribute="tier",
        metadata=says("The provider's word for how the call was served; empty: as usual.", example="flex"),
    )
    entry = fields.String(
        metadata=says(
            "`call`; or `reversal` (takes back what a call had cost) and `correction` (what it costs now) where it was "
            "priced again: these took no tokens and are no requests.",
            example="call",
        )
    )
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
    request_duration_ms = fields.Function(
        lambda row: round((row.ended_at - row.started_at).total_seconds() * 1000),
        metadata={"type": "integer", "description": "Milliseconds from startTime to endTime."},
    )


class LogPageSchema(AnswerSchema):
    """One page of the ledger."""

    data = fields.List(fields.Nested(LogSchema), metadata=says("The rows on this page."))
    total = fields.Integer(metadata=says("How many rows there are on all pages; counting ends at 10,000."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Rows on a page."))
    total_pages = fields.Integer(
        metadata=says("How many pages `total` makes; where it is capped, more can be asked for.")
    )
    total_is_capped = fields.Boolean(metadata=says("True: there are more rows than `total` says."))


class LogDaySchema(AnswerSchema):
    """One day. There is also a field for each key, named by its hash, or its id where it is deleted: dollars."""

    startTime = fields.Date(metadata=says("The day (UTC)."))  # noqa: N815
    spend = Dollars(metadata=says("What the day's calls cost, in dollars: the sum over its users, models or keys."))
    users = fields.Dict(metadata=says("Dollars by user_id; under the empty name those of keys that are nobody's."))
    models = fields.Dict(metadata=says("Dollars by model, as callers name it."))


HEADERS = {
    "x-total-count": {
        "description": "How many rows there are on all pages; counting ends at 10,000.",
        "schema": {"type": "integer"},
    },
    "x-total-is-capped": {
        "description": "`true` where there are more rows than x-total-count says.",
        "schema": {"type": "string"},
    },
}
ROWS_OR_DAYS = {"anyOf": [{"type": "array", "items": LogSchema}, {"type": "array", "items": LogDaySchema}]}


@blueprint.route("/logs")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(LogsQuerySchema, location="query")
@blueprint.answers(ROWS_OR_DAYS, headers=HEADERS)
@blueprint.errors(400, 404)
def logs(given: dict[str, Any]) -> Response:
    """List calls with their tokens and cost, newest first, or with `summarize=true` a sum for each day.

    A virtual key sees its own calls and no others. Old rows are deleted in the end; the sums of days are kept.
    """
    if given["summarize"]:
        return flask.jsonify(_days(given))
    found, total, capped = _found(given)
    answer = flask.jsonify(LogSchema(many=True).dump(found))
    answer.headers["x-total-count"] = str(total)
    if capped:
        answer.headers["x-total-is-capped"] = "true"
    return answer


@blueprint.route("/logs/v2")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(LogPageQuerySchema, location="query")
@blueprint.answers(LogPageSchema)
@blueprint.errors(400, 404)
def logs_page(given: dict[str, Any]) -> dict[str, Any]:
    """List calls with their tokens and cost, newest first, in pages that say how many there are.

    A virtual key sees its own calls and no others.
    """
    found, total, capped = _found(given)
    page, size = given["page"], given["page_size"]
    return {
        "data": found,
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": -(-total // size),
        "total_is_capped": capped,
    }


def wanted(given: dict[str, Any]) -> rows.Wanted:
    """What a RowsQuerySchema asks for. Raises NotAllowed, NotFound, DatabaseUnavailable."""
    whose = own.calls(given)
    return {
        "user_id": whose.user_id,
        "key_id": whose.key_id,
        "token": whose.token,
        "team_id": given.get("team_id"),
        "end_user": given.get("end_user"),
        "customer_id": given.get("customer_id"),
        "model_name": given.get("model"),
        "outcome": given.get("status_filter"),
        "request_id": given.get("request_id"),
        "tag": given.get("tag"),
        "least_cost": given.get("min_spend"),
        "most_cost": given.get("max_spend"),
        "start": given.get("start_date"),
        "end": given.get("end_date"),
    }


def _found(given: dict[str, Any]) -> tuple[Sequence[LedgerRow], int, bool]:
    """A page, how many rows there are as far as they are counted, and whether there are more."""
    found, counted = rows.find(
        page=given["page"],
        page_size=given["page_size"],
        sort_by=given["sort_by"],
        descending=given["sort_order"] == "desc",
        **wanted(given),
    )
    return found, min(counted, rows.MOST_COUNTED), counted > rows.MOST_COUNTED


def _days(given: dict[str, Any]) -> list[dict[str, Any]]:
    for name in NOT_OF_DAYS:
        if name in given:
            raise BadRequest(f"`{name}` does not go with summarize: days are not kept by it.", param=name)
    start, end = whole_days(given)
    columns = {"team_id": "team_id", "customer_id": "customer_id", "model": "model_name"}
    named = {column: [given[name]] for name, column in columns.items() if name in given}
    whose = own.calls(given)
    if whose.token is not None:
        raise NotFound("There is no such key. One that is deleted is found by its key_id.", param="api_key")
    with totals.one_moment() as session:
        found = totals.by(session, ("day", "user_id", "key_id", "model_name"), Part(start, end, whose.where() | named))
    names = key_names.of_ids(key_id for (_, _, key_id, _), _ in found)
    days: dict[Any, dict[str, Any]] = {}
    for (day, user_id, key_id, model), sums in found:
        one = days.setdefault(day, {"keys": {}, "spend": 0, "users": {}, "models": {}})
        one["spend"] += sums["cost"]
        for kind, name in (("keys", names[key_id].token or key_id), ("users", user_id), ("models", model)):
            one[kind][name] = one[kind].get(name, 0) + sums["cost"]
    return [_shown_day(day, one) for day, one in days.items()]


def _shown_day(day: Any, sums: dict[str, Any]) -> dict[str, Any]:
    by = {
        kind: {name: money.to_json(nano) for name, nano in sums[kind].items()} for kind in ("keys", "users", "models")
    }
    return {**by.pop("keys"), **LogDaySchema().dump({"startTime": day, "spend": sums["spend"], **by})}
