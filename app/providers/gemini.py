"""Google's Gemini API: chat completions by way of generateContent, embeddings by way of batchEmbedContents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from app.errors import BadRequest
from app.providers import gemini_answers, gemini_embeddings, openai_answers
from app.providers.base import EVENT_STREAM, JSON, Outgoing, Sent, StreamReader, Target, Whole, WireFormat
from app.providers.events import dumped
from app.providers.gemini_request import generate_content
from app.providers.gemini_stream import GeminiReader
from app.providers.messages_over_chat import MessagesOverChat

# All that stands before "/models/…".
API_BASE = "https://generativelanguage.googleapis.com/v1beta"


class GeminiFormat:
    """Chat completions, translated both ways. Vertex speaks the same with other addresses and another credential."""

    streams = EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for what Gemini has no words for."""
        body = generate_content(target.model, asked(sent))
        return Outgoing(self._url(target, stream=sent.stream), self._headers(target), dumped(body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(gemini_answers.error_body(status, answer))
        parsed = openai_answers.parsed(answer)
        completion = gemini_answers.completion(parsed, str(sent.body.get("model", "")))
        return Whole(
            dumped(completion),
            gemini_answers.counts_of(parsed),
            gemini_answers.tier_of(parsed.get("usageMetadata")),
            openai_answers.output_bytes(completion),
        )

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return GeminiReader(str(sent.body.get("model", "")), usage_asked=sent.usage_asked)

    def _url(self, target: Target, *, stream: bool) -> str:
        return model_url(target, "streamGenerateContent?alt=sse" if stream else "generateContent")

    def _headers(self, target: Target) -> dict[str, str]:
        return request_headers(target)


class GeminiEmbeddings:
    """Embeddings, translated both ways."""

    streams = EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for texts that come as tokens: Gemini takes none."""
        body = gemini_embeddings.batch(target.model.removeprefix("models/"), asked(sent))
        return Outgoing(model_url(target, "batchEmbedContents"), request_headers(target), dumped(body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. Older models tell no usage: it is left to be counted."""
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(gemini_answers.error_body(status, answer))
        parsed = openai_answers.parsed(answer)
        counts = gemini_answers.usage_counts(parsed.get("usageMetadata"))
        return Whole(dumped(gemini_embeddings.embeddings(parsed, sent.body, counts)), counts)

    def reader(self, sent: Sent) -> StreamReader:
        """Embeddings have no streams; nothing ever comes this way."""
        return GeminiReader(str(sent.body.get("model", "")), usage_asked=sent.usage_asked)


class Gemini:
    """`POST {api_base}/models/{model}:generateContent` with an `x-goog-api-key` header."""

    name = "gemini"
    local: Literal[False] = False

    def __init__(self) -> None:
        """The routes are OpenAI's and Anthropic's; all are translations."""
        chat = GeminiFormat()
        self.formats: Mapping[str, WireFormat] = {
            "chat/completions": chat,
            "messages": MessagesOverChat(chat, self.name),
            "embeddings": GeminiEmbeddings(),
        }


def asked(sent: Sent) -> dict[str, Any]:
    """The request's members with the gateway's changes; a member that is null says nothing, and is left out."""
    return {name: value for name, value in {**sent.body, **sent.changes}.items() if value is not None}


def model_url(target: Target, method: str) -> str:
    """The address of a model's method. Tuned models are named "tunedModels/…", Google's own with or without a path.

    Raises BadRequest for a name that would lead to another model than the one whose price counts.
    """
    if not {".", ".."}.isdisjoint(target.model.split("/")):
        raise BadRequest("A model's name has no '.' or '..' between slashes.", param="model")
    name = target.model if target.model.startswith("tunedModels/") else f"models/{target.model.removeprefix('models/')}"
    return f"{(target.api_base or API_BASE).rstrip('/')}/{quote(name, safe='/')}:{method}"


def request_headers(target: Target) -> dict[str, str]:
    """The answer is asked for uncompressed, because usage is read from it as it comes."""
    headers = {"Content-Type": JSON, "Accept-Encoding": "identity"}
    return headers | ({"x-goog-api-key": target.api_key} if target.api_key else {})
