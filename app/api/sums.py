"""How sums of calls are shown: the fields that every report has, and what a key is called in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.access import key_names
from app.api.fields import Dollars
from app.api.schemas import says
from app.ledger.totals import Sums


class SumsSchema(AnswerSchema):
    """What calls took and cost. Each attempt at a provider counts as a request, as it has its own row in the ledger."""

    spend = Dollars(attribute="cost", metadata=says("Dollars."))
    prompt_tokens = fields.Integer(attribute="input_tokens", metadata=says("Input tokens, cached ones included."))
    completion_tokens = fields.Integer(attribute="output_tokens", metadata=says("Output tokens."))
    total_tokens = fields.Integer(metadata=says("Input and output tokens."))
    api_requests = fields.Integer(attribute="requests", metadata=says("Requests: rows of the ledger."))
    successful_requests = fields.Integer(metadata=says("Those of them that did not fail."))
    failed_requests = fields.Integer(
        metadata=says("Those that failed: the provider refused or broke, or the gateway's process died.")
    )


class MetricsSchema(SumsSchema):
    """The same with tokens of the provider's cache, which are not known of tags."""

    cache_read_input_tokens = fields.Integer(
        attribute="cache_read_tokens", metadata=says("Input tokens that were read from the provider's cache.")
    )
    cache_creation_input_tokens = fields.Integer(
        attribute="cache_write_tokens", metadata=says("Input tokens that were written to it.")
    )


class KeyNameSchema(AnswerSchema):
    """Which key."""

    api_key = fields.String(
        allow_none=True,
        metadata=says("The key's hash; null: it is deleted, or the master key, whose key_id is `master`."),
    )
    key_id = fields.String(metadata=says("The key's id, which it keeps for ever."))
    key_name = fields.String(allow_none=True, metadata=says("The key's last four characters; null: it is deleted."))
    key_alias = fields.String(allow_none=True, metadata=says("The key's name for people."))


def shown(sums: Sums) -> dict[str, int]:
    """Sums as SumsSchema and MetricsSchema dump them."""
    return sums | {
        "total_tokens": sums["input_tokens"] + sums["output_tokens"],
        "successful_requests": sums["requests"] - sums["failed_requests"],
    }


def key_columns(ids: Iterable[str]) -> Mapping[str, dict[str, Any]]:
    """What KeyNameSchema dumps, with the key's user, by its id. Raises DatabaseUnavailable."""
    return {
        key_id: {
            "api_key": name.token,
            "key_id": key_id,
            "key_name": name.key_name,
            "key_alias": name.key_alias,
            "user_id": name.user_id,
        }
        for key_id, name in key_names.of_ids(ids).items()
    }
