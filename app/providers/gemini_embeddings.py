"""Embeddings in Gemini's words: batchEmbedContents, and its answer as OpenAI's list.

Outside rules: "Embeddings" of the Gemini API's documentation.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.base import Counts

# A text's bytes for each of its tokens, for the client's eyes where the provider tells no usage. Rather too few.
BYTES_PER_TOKEN = 3


def batch(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of batchEmbedContents. Raises BadRequest for an input that is not text."""
    more = {"outputDimensionality": body["dimensions"]} if "dimensions" in body else {}
    name = f"models/{model}"
    return {
        "requests": [
            {"model": name, "content": {"parts": [{"text": text}]}} | more for text in _texts(body.get("input"))
        ]
    }


def embeddings(answer: Mapping[str, Any], asked: Mapping[str, Any], counts: Counts | None) -> dict[str, Any]:
    """OpenAI's list of embeddings. Its usage is counted where Gemini tells none."""
    told = answer.get("embeddings")
    data = []
    for index, item in enumerate(told if isinstance(told, list) else []):
        values = item.get("values") if isinstance(item, dict) else None
        vector = [value for value in values if isinstance(value, int | float)] if isinstance(values, list) else []
        data.append({"object": "embedding", "index": index, "embedding": _written(vector, asked)})
    tokens = counts["input"] if counts else -(-_size(asked.get("input")) // BYTES_PER_TOKEN)
    return {
        "object": "list",
        "data": data,
        "model": asked.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _written(vector: list[float], asked: Mapping[str, Any]) -> list[float] | str:
    """The OpenAI SDK asks for base64 by itself: 32-bit floats, the least byte first."""
    if asked.get("encoding_format") != "base64":
        return vector
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        return vector


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest("input is text or a list of texts; Gemini takes no tokens.", param="input")
    return texts


def _size(given: object) -> int:
    texts = given if isinstance(given, list) else [given]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if isinstance(text, str))
