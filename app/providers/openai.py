"""OpenAI, and every server that speaks its language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from app.providers import openai_answers
from app.providers.base import Counts, Outgoing, StreamReader, Target

API_BASE = "https://api.openai.com/v1"
STREAMED_ROUTES = frozenset({"chat/completions", "completions"})
ROUTES = STREAMED_ROUTES | {"embeddings"}

# The client's headers that change what the model does. Everything else, its credentials first of all, stays here.
PASSED_HEADERS = frozenset({"openai-beta"})


class OpenAIAnswers:
    """How answers in OpenAI's format are read."""

    routes = ROUTES

    def counts(self, _route: str, answer: bytes) -> Counts | None:
        """See `base.WireFormat`."""
        return openai_answers.usage_counts(openai_answers.parsed(answer).get("usage"))

    def text_bytes(self, _route: str, answer: bytes) -> int:
        """See `base.WireFormat`."""
        return openai_answers.output_bytes(openai_answers.parsed(answer))

    def reader(self, _route: str, usage_asked: bool) -> StreamReader:  # noqa: FBT001 - as in base.WireFormat
        """See `base.WireFormat`."""
        return openai_answers.StreamReader(usage_asked=usage_asked)


class OpenAI(OpenAIAnswers):
    """`POST {api_base}/{route}` with a bearer token."""

    name = "openai"
    local: Literal[False] = False

    def prepare(self, target: Target, route: str, body: dict[str, Any], incoming: Mapping[str, str]) -> Outgoing:
        """See `base.Provider`. Without a key no Authorization is sent: servers of one's own often want none."""
        headers = request_headers(incoming)
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        base = (target.api_base or API_BASE).rstrip("/")
        return Outgoing(f"{base}/{route}", headers, request_body(route, body))


def request_headers(incoming: Mapping[str, str]) -> dict[str, str]:
    """The headers of a call, but for its credentials.

    The answer is asked for uncompressed, because usage is read from it as it comes.
    """
    passed = {name: value for name, value in incoming.items() if name.lower() in PASSED_HEADERS}
    return passed | {"Content-Type": "application/json", "Accept-Encoding": "identity"}


def request_body(route: str, body: dict[str, Any]) -> bytes:
    """The request as JSON; a stream is made to end with its usage."""
    if body.get("stream") is True and route in STREAMED_ROUTES:
        options = body.get("stream_options")
        # Options of a wrong type are left for the provider to refuse.
        if options is None or isinstance(options, dict):
            body = body | {"stream_options": {**(options or {}), "include_usage": True}}
    return orjson.dumps(body)
