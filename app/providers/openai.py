"""OpenAI, and every server that speaks its language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from app.providers import openai_answers
from app.providers.base import Sent, StreamReader, Target, Whole, WireFormat
from app.providers.messages_over_chat import MessagesOverChat
from app.providers.openai_routes import Endpoint, RouteFormat


class Bearer:
    """`{api_base}/{route}` with a bearer token."""

    def __init__(self, api_base: str) -> None:
        """`api_base` is the vendor's own address, for targets that state none."""
        self._api_base = api_base

    def url(self, target: Target, route: str) -> str:
        """See `Endpoint`."""
        return f"{(target.api_base or self._api_base).rstrip('/')}/{route}"

    def credentials(self, target: Target) -> dict[str, str]:
        """Without a key no Authorization is sent: servers of one's own often want none."""
        return {"Authorization": f"Bearer {target.api_key}"} if target.api_key else {}


class _Format(RouteFormat):
    """A route of texts: its answers have OpenAI's older `usage`."""

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if self.is_error(status):
            return Whole(answer)
        parsed = openai_answers.parsed(answer)
        return Whole(
            answer,
            self._read_usage(parsed.get("usage")),
            openai_answers.tier_of(parsed),
            openai_answers.output_bytes(parsed),
        )

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return openai_answers.StreamReader(usage_asked=sent.usage_asked, read_usage=self._read_usage)

    def _read_usage(self, usage: object) -> dict[str, int] | None:
        """What vendors add to OpenAI's usage, a subclass reads."""
        return openai_answers.usage_counts(usage)


class ChatFormat(_Format):
    """chat/completions and completions."""

    def _changes(self, sent: Sent) -> Mapping[str, Any]:
        """A stream is made to end with its usage."""
        options = sent.body.get("stream_options")
        # Options of a wrong type are left for the provider to refuse.
        if not sent.stream or sent.usage_asked or not isinstance(options, dict | None):
            return sent.changes
        return {**sent.changes, "stream_options": {**(options or {}), "include_usage": True}}


class EmbeddingsFormat(_Format):
    """embeddings."""


class OpenAI:
    """OpenAI's routes, at OpenAI or at a vendor that has the same."""

    local: Literal[False] = False

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        """`name` is what stands before the model in config.yaml."""
        self.name = name
        chat = ChatFormat(endpoint, "chat/completions")
        self.formats: Mapping[str, WireFormat] = {
            "chat/completions": chat,
            "completions": ChatFormat(endpoint, "completions"),
            "embeddings": EmbeddingsFormat(endpoint, "embeddings"),
            "messages": MessagesOverChat(chat, name),
        }
