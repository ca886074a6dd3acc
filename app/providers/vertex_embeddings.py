"""Embeddings on Vertex AI, which has another call for them than Google's other API."""

from __future__ import annotations

from typing import Any

import orjson

from app.errors import BadRequest
from app.providers import gemini_answers, gemini_embeddings
from app.providers.base import EVENT_STREAM, Outgoing, Sent, StreamReader, Target, Whole
from app.providers.events import dumped
from app.providers.gemini_stream import GeminiReader
from app.providers.openai_answers import parsed
from app.providers.vertex_access import model_url, request_headers


class VertexEmbeddings:
    """`…:predict` with a text in each instance (Google, "Text embeddings API"): OpenAI's, translated both ways."""

    streams = EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for texts that come as tokens."""
        given = sent.body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadRequest("input is text or a list of texts; Vertex AI takes no tokens.", param="input")
        body: dict[str, Any] = {"instances": [{"content": text} for text in texts]}
        if sent.body.get("dimensions") is not None:
            body["parameters"] = {"outputDimensionality": sent.body["dimensions"]}
        url = model_url(target, "google", target.model, "predict")
        return Outgoing(url, request_headers(target), orjson.dumps(body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(gemini_answers.error_body(status, answer))
        told = parsed(answer).get("predictions")
        items = told if isinstance(told, list) else []
        predictions = [item.get("embeddings") if isinstance(item, dict) else None for item in items]
        tokens = [_tokens(prediction) for prediction in predictions]
        counts = {"input": sum(tokens), "output": 0} if tokens and min(tokens) >= 0 else None
        return Whole(dumped(gemini_embeddings.embeddings({"embeddings": predictions}, sent.body, counts)), counts)

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`. Embeddings have no streams; nothing ever comes this way."""
        return GeminiReader(str(sent.body.get("model", "")), usage_asked=sent.usage_asked)


def _tokens(prediction: object) -> int:
    """The tokens of one text, which are written as a number with a point; -1 where they are not told."""
    statistics = prediction.get("statistics") if isinstance(prediction, dict) else None
    count = statistics.get("token_count") if isinstance(statistics, dict) else None
    return int(count) if isinstance(count, int | float) and count == count // 1 else -1
