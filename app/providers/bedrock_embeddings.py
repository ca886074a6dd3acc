"""Embeddings on Bedrock, by way of InvokeModel: Amazon's Titan and Cohere's models."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

import orjson

from app.errors import BadRequest
from app.providers import bedrock_access
from app.providers.aws_events import EVENT_STREAM
from app.providers.base import Outgoing, Sent, StreamReader, Target, Whole
from app.providers.bedrock_errors import chat_error
from app.providers.converse_stream import ChatReader
from app.providers.events import dumped
from app.providers.openai_answers import parsed


class BedrockEmbeddings:
    """OpenAI's embeddings, translated both ways."""

    streams = EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for what the model does not take."""
        texts = _texts(sent.body.get("input"))
        model = bedrock_access.model_of(target)
        body = _cohere(texts, sent.body) if "cohere." in model else _titan(texts, sent.body)
        return bedrock_access.call(target, "invoke", orjson.dumps(body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. Cohere's models tell no usage in their answers: it is left to be counted."""
        said = parsed(answer)
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(dumped(chat_error(status, said)))
        vectors = [said["embedding"]] if "embedding" in said else said.get("embeddings")
        if isinstance(vectors, dict):
            vectors = vectors.get("float")
        packed = sent.body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(vectors if isinstance(vectors, list) else [])
        ]
        made = {"object": "list", "data": data, "model": sent.body.get("model")}
        tokens = said.get("inputTextTokenCount")
        if type(tokens) is not int:
            return Whole(dumped(made))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Whole(dumped(made | {"usage": usage}), {"input": tokens, "output": 0})

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`. Embeddings have no streams; nothing ever comes this way."""
        return ChatReader(sent)


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("Bedrock embeds texts: 'input' must be one or a list of them.", param="input")
    return texts


def _titan(texts: list[str], body: Mapping[str, Any]) -> dict[str, Any]:
    if len(texts) != 1:
        raise BadRequest("Amazon's models on Bedrock embed one text in a call.", param="input")
    dimensions = {} if body.get("dimensions") is None else {"dimensions": body["dimensions"]}
    return {"inputText": texts[0]} | dimensions


def _cohere(texts: list[str], body: Mapping[str, Any]) -> dict[str, Any]:
    """Cohere wants to know what the vectors are for, which OpenAI's clients can only say in a field of Cohere's."""
    made = {"texts": texts, "input_type": body.get("input_type") or "search_document"}
    if body.get("dimensions") is not None:
        # Its first models have one size, and refuse the word for it.
        made["output_dimension"] = body["dimensions"]
    return made | ({"truncate": body["truncate"]} if "truncate" in body else {})


def _packed(vector: object) -> object:
    """As OpenAI's own libraries ask for it: 32-bit floats, little endian, in base64."""
    if not isinstance(vector, list) or not all(isinstance(number, int | float) for number in vector):
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
