"""Our errors in the shape that each wire format's clients read: as an answer's body, and as the last event of a stream.

OpenAI's shape is everybody's but that of Anthropic's clients ("Errors" in Anthropic's API reference).
"""

from __future__ import annotations

from typing import Any

import orjson

from app.errors import TollgateError
from app.providers.anthropic_errors import error_type

ANTHROPIC_ROUTES = frozenset({"messages", "messages/count_tokens"})


def body(openai_body: dict[str, Any], status: int, route: str | None) -> dict[str, Any]:
    """The answer to a client of that route (None: of no model route), made of the error in OpenAI's shape.

    Anthropic's clients go by the type; what else is known (code, scope, resets_at) stands beside it.
    """
    if route not in ANTHROPIC_ROUTES:
        return openai_body
    rest = {name: value for name, value in openai_body["error"].items() if name not in {"type", "message"}}
    return {"type": "error", "error": {"type": error_type(status), "message": openai_body["error"]["message"]} | rest}


def event(error: TollgateError, route: str) -> bytes:
    """The event that tells a client that its stream has broken off."""
    if route == "responses":
        # "error" of OpenAI's "Streaming events" in the reference of the Responses API.
        told = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        return b"event: error\ndata: " + orjson.dumps(told) + b"\n\n"
    data = b"data: " + orjson.dumps(body(error.body(), error.status, route)) + b"\n\n"
    return b"event: error\n" + data if route in ANTHROPIC_ROUTES else data
