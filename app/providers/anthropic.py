"""Anthropic: messages in its own format, and its models for those who speak OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.providers.anthropic_answers import StreamReader, output_bytes, tier_of, usage_counts
from app.providers.base import EVENT_STREAM, JSON, Outgoing, Sent, Target, Whole, WireFormat
from app.providers.base import StreamReader as Reader
from app.providers.chat_over_messages import ChatOverMessages
from app.providers.openai_answers import parsed
from app.providers.splice import spliced

# For clients that name no version, OpenAI's first of all: later ones refuse their temperature ("Versions").
VERSION = "2023-06-01"
FIRST_ERROR_STATUS = 400

# The client's headers that change what the model does. Everything else, its credentials first of all, stays here.
PASSED_HEADERS = frozenset({"anthropic-version", "anthropic-beta"})


class MessagesAnswers:
    """How answers in Anthropic's format are read."""

    streams = EVENT_STREAM

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if status >= FIRST_ERROR_STATUS:
            return Whole(answer)
        message = parsed(answer)
        usage = message.get("usage")
        return Whole(answer, usage_counts(usage), tier_of(usage), output_bytes(message))

    def reader(self, _sent: Sent) -> Reader:
        """See `base.WireFormat`. Anthropic's streams always tell their usage, and every client of theirs reads it."""
        return StreamReader()


class CountAnswers(MessagesAnswers):
    """How answers of "messages/count_tokens" are read, which is free ("Token counting", Pricing)."""

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. The tokens that it tells are not taken by it."""
        return Whole(answer) if status >= FIRST_ERROR_STATUS else Whole(answer, {"input": 0, "output": 0})


class Messages(MessagesAnswers):
    """`POST {api_base}/v1/{route}` with an `x-api-key` header; the body but for the model is the client's own."""

    def __init__(self, api_base: str) -> None:
        """`api_base` is the vendor's own address, for targets that state none."""
        self._api_base = api_base

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. The base address may end with /v1 or not."""
        headers = request_headers(sent.headers)
        if target.api_key:
            headers["x-api-key"] = target.api_key
        base = (target.api_base or self._api_base).rstrip("/").removesuffix("/v1/messages").removesuffix("/v1")
        body = spliced(sent.raw, {**sent.changes, "model": target.model}, sent.body)
        return Outgoing(f"{base}/v1/{sent.route}", headers, body)


class CountTokens(CountAnswers, Messages):
    """`messages/count_tokens`, at the same place."""


class Anthropic:
    """Anthropic's routes, at Anthropic or at a vendor that has the same."""

    local: Literal[False] = False

    def __init__(self, name: str, api_base: str) -> None:
        """`name` is what stands before the model in config.yaml; `api_base` is the vendor's own address."""
        self.name = name
        messages = Messages(api_base)
        self.formats: Mapping[str, WireFormat] = {
            "messages": messages,
            "messages/count_tokens": CountTokens(api_base),
            "chat/completions": ChatOverMessages(messages),
        }


def request_headers(incoming: Mapping[str, str]) -> dict[str, str]:
    """The headers of a call, but for its credentials.

    The answer is asked for uncompressed, because usage is read from it as it comes.
    """
    passed = {name: value for name in PASSED_HEADERS if (value := incoming.get(name)) is not None}
    passed.setdefault("anthropic-version", VERSION)
    return passed | {"Content-Type": JSON, "Accept-Encoding": "identity"}
