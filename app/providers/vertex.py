"""Google's Vertex AI: Gemini as Google's own API speaks it, and Anthropic's models in their own format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.providers.anthropic import MessagesAnswers
from app.providers.anthropic_betas import ON_VERTEX, betas
from app.providers.base import Outgoing, Sent, Target, WireFormat
from app.providers.chat_over_messages import ChatOverMessages
from app.providers.gemini import GeminiFormat
from app.providers.messages_over_chat import MessagesOverChat
from app.providers.splice import spliced
from app.providers.vertex_access import model_url, request_headers
from app.providers.vertex_embeddings import VertexEmbeddings

VERSION = "vertex-2023-10-16"


class VertexGemini(GeminiFormat):
    """Chat completions of Gemini models; the bodies are those of Google's other API."""

    def _url(self, target: Target, *, stream: bool) -> str:
        return model_url(
            target, "google", target.model, "streamGenerateContent?alt=sse" if stream else "generateContent"
        )

    def _headers(self, target: Target) -> dict[str, str]:
        return request_headers(target)


class VertexMessages(MessagesAnswers):
    """`…/publishers/anthropic/models/{model}:rawPredict`: the client's body with a version, and without the model."""

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        url = model_url(target, "anthropic", target.model, "streamRawPredict" if sent.stream else "rawPredict")
        return Outgoing(url, _headers(target, sent), spliced(sent.raw, _changes(sent) | {"model": None}))


class VertexTokenCount(MessagesAnswers):
    """`…/models/count-tokens:rawPredict`, which reads the model from the body. It costs nothing."""

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        url = model_url(target, "anthropic", "count-tokens", "rawPredict")
        return Outgoing(url, _headers(target, sent), spliced(sent.raw, _changes(sent) | {"model": target.model}))


class Vertex:
    """Models of Google's."""

    name = "vertex_ai"
    local: Literal[False] = False
    formats: Mapping[str, WireFormat] = {
        "chat/completions": VertexGemini(),
        "messages": MessagesOverChat(VertexGemini(), name),
        "embeddings": VertexEmbeddings(),
    }


class VertexClaude:
    """Anthropic's models on Vertex AI."""

    name = "vertex_ai"
    local: Literal[False] = False
    formats: Mapping[str, WireFormat] = {
        "messages": VertexMessages(),
        "messages/count_tokens": VertexTokenCount(),
        "chat/completions": ChatOverMessages(VertexMessages()),
    }


def _changes(sent: Sent) -> dict[str, object]:
    return {**sent.changes} | ({} if "anthropic_version" in sent.body else {"anthropic_version": VERSION})


def _headers(target: Target, sent: Sent) -> dict[str, str]:
    asked = betas(sent.headers, ON_VERTEX)
    return request_headers(target) | ({"anthropic-beta": ",".join(asked)} if asked else {})
