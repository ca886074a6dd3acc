"""/webhooks: the messages that were sent or are to be sent, and one to try the receiver with."""

from __future__ import annotations

import secrets
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app import queue, webhooks
from app.api.base import Schema
from app.api.fields import Count, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.schemas import PageSchema, says
from app.errors import BadRequest
from app.extensions import write_transaction

blueprint = AdminBlueprint(
    "Webhooks", __name__, url_prefix="/webhooks", description="What budgets have told, and whether it has arrived."
)

MOST_PER_PAGE = 100
STATES = tuple(webhooks.STATES)


class WebhookQuerySchema(PageSchema):
    """Which messages."""

    page_size = Count(least=1, most=MOST_PER_PAGE, load_default=25, metadata=says("Messages on a page."))
    event = Text(metadata=says("Only messages of this kind.", example="budget_threshold"))
    state = fields.String(
        validate=validate.OneOf(STATES, error="Must be pending, delivered or given_up."),
        metadata=says("Only `pending`, `delivered` or `given_up` messages."),
    )


class WebhookSchema(AnswerSchema):
    """A message."""

    id = fields.String(metadata=says("The message's id: `webhook-id` in every attempt to deliver it."))
    event = fields.String(
        metadata=says("`budget_threshold`, `soft_budget` or `test`: what it is about.", example="budget_threshold")
    )
    occasion = fields.String(
        metadata=says("What is told once and never again.", example="threshold:user:ada@1700000000:80")
    )
    state = fields.Function(
        webhooks.state,
        metadata=says(
            "`pending`: it is to be sent, or sent again. `delivered`: the receiver took it. `given_up`: the receiver "
            "did not take it for 24 hours."
        )
        | {"type": "string", "enum": list(STATES)},
    )
    message = fields.Function(webhooks.message, metadata=says("The body that is sent.") | {"type": "object"})
    attempts = fields.Integer(metadata=says("How many times it was sent, one that runs included."))
    last_error = fields.String(allow_none=True, metadata=says("Why the last attempt failed; null: none has."))
    next_attempt_at = Moment(allow_none=True, metadata=says("When it is sent next (UTC); null: not again."))
    delivered_at = Moment(allow_none=True, metadata=says("When the receiver took it (UTC); null: it has not."))
    created_at = Moment(metadata=says("When it was written (UTC)."))


class WebhookListSchema(AnswerSchema):
    """One page of messages."""

    webhooks = fields.List(fields.Nested(WebhookSchema), metadata=says("The messages on this page, newest first."))
    total = fields.Integer(metadata=says("How many messages there are on all pages."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Messages on a page."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


class TestSchema(Schema):
    """Nothing can be said about a test message."""


class TestedSchema(AnswerSchema):
    """The test message."""

    id = fields.String(metadata=says("The message's id; GET /webhooks shows what becomes of it."))


@blueprint.route("")
@blueprint.arguments(WebhookQuerySchema, location="query")
@blueprint.answers(WebhookListSchema)
@blueprint.errors(400)
def list_webhooks(given: dict[str, Any]) -> dict[str, Any]:
    """List messages, with what has become of each.

    Those that came to their end are deleted after 30 days, unless the window of their budget is still open.
    """
    page, size = given["page"], given["page_size"]
    found, total = webhooks.listed(page=page, size=size, event=given.get("event"), state=given.get("state"))
    return {"webhooks": found, "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}


@blueprint.route("/test", methods=["POST"])
@blueprint.arguments(TestSchema, example={})
@blueprint.answers(TestedSchema)
@blueprint.errors(400)
def test(_given: dict[str, Any]) -> dict[str, Any]:
    """Send a message that says nothing, to try the receiver and its check of signatures."""
    with write_transaction() as session:
        message_id = webhooks.enqueue(session, webhooks.TEST, f"test:{secrets.token_hex(12)}", {})
    if message_id is None:
        raise BadRequest("There is no receiver: general_settings.webhook_url is not set in config.yaml.")
    queue.send(queue.WEBHOOKS)
    return {"id": message_id}
