"""A model that always says the same: answers in OpenAI's format, with usage, and without a network or a bill."""

from __future__ import annotations

import base64
import hashlib
import struct
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import orjson

from app.providers.base import Sent, Target
from app.providers.mock_media import ANSWERS, Answered
from app.providers.openai import Bearer
from app.providers.openai_all import AllRoutes

CHARACTERS_PER_TOKEN = 4
DIMENSIONS = 8
MAX_DIMENSIONS = 4096
MAX_CHOICES = 128
JSON_HEADERS = {"Content-Type": "application/json"}
STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8"}


class Mock:
    """Answers every call with the deployment's `mock_response`.

    The same request has the same text and usage each time: four characters are a token. A stream always carries its
    usage, as a provider's does that was asked for it; the reader hides it.
    """

    name = "mock"
    local: Literal[True] = True
    formats = AllRoutes("mock", Bearer("")).formats

    def answer(self, target: Target, sent: Sent) -> Answered:
        """See `base.LocalProvider`. The status is always 200."""
        if sent.route in ANSWERS:
            return ANSWERS[sent.route](target, sent)
        if sent.route == "embeddings":
            return 200, JSON_HEADERS, [orjson.dumps(_embeddings(target.model, sent.body))]
        # Anthropic's clients get their answer by translation, as from every model that chats in OpenAI's format.
        reply = _Reply(target, {**sent.body, **sent.changes}, chat=sent.route != "completions")
        if sent.stream:
            return 200, STREAM_HEADERS, reply.events()
        return 200, JSON_HEADERS, [orjson.dumps(reply.whole())]


class _Reply:
    """One answer to one request, whole or in events, for either of the two text routes."""

    def __init__(self, target: Target, body: Mapping[str, Any], *, chat: bool) -> None:
        self._chat = chat
        self._model = target.model
        self._choices = range(min(_whole_number(body.get("n")) or 1, MAX_CHOICES))
        tokens = _tokens(target.mock_response or "")
        caps = (body.get("max_completion_tokens"), body.get("max_tokens"))
        cap = next((value for value in caps if type(value) is int and value >= 0), None)
        self._tokens = tokens[:cap]
        self._finish_reason = "length" if len(self._tokens) < len(tokens) else "stop"
        prompt = _token_count(body.get("messages") if chat else body.get("prompt"))
        self._usage = _usage(prompt, len(self._tokens) * len(self._choices))
        self._id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def whole(self) -> dict[str, Any]:
        text = "".join(self._tokens)
        content = {"message": {"role": "assistant", "content": text, "refusal": None}} if self._chat else {"text": text}
        choices = [
            {"index": index, **content, "logprobs": None, "finish_reason": self._finish_reason}
            for index in self._choices
        ]
        return self._envelope("chat.completion" if self._chat else "text_completion", choices, self._usage)

    def events(self) -> Iterator[bytes]:
        for index in self._choices:
            if self._chat:
                yield self._event(index, {"delta": {"role": "assistant", "content": ""}})
            for token in self._tokens:
                yield self._event(index, {"delta": {"content": token}} if self._chat else {"text": token})
            yield self._event(index, {"delta": {}} if self._chat else {"text": ""}, self._finish_reason)
        yield _data(self._envelope(self._chunk_object, [], self._usage))
        yield b"data: [DONE]\n\n"

    @property
    def _chunk_object(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _event(self, index: int, content: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": index, **content, "logprobs": None, "finish_reason": finish_reason}
        return _data(self._envelope(self._chunk_object, [choice], None))

    def _envelope(self, kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "usage": usage,
        }


def _embeddings(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("input")
    # A list of numbers is one text that was cut into tokens already.
    inputs = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    dimensions = min(_whole_number(body.get("dimensions")) or DIMENSIONS, MAX_DIMENSIONS)
    as_base64 = body.get("encoding_format") == "base64"
    data = []
    for index, item in enumerate(inputs):
        vector = _vector(item, dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode() if as_base64 else vector
        data.append({"object": "embedding", "index": index, "embedding": packed})
    prompt = sum(_token_count(item) for item in inputs)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _vector(item: object, dimensions: int) -> list[float]:
    """Numbers from -1 to 1 that are the same for the same input."""
    noise = hashlib.shake_256(orjson.dumps(item)).digest(dimensions)
    return [byte / 127.5 - 1 for byte in noise]


def _tokens(text: str) -> list[str]:
    return [text[start : start + CHARACTERS_PER_TOKEN] for start in range(0, len(text), CHARACTERS_PER_TOKEN)]


def _token_count(value: object) -> int:
    """Tokens of a prompt in any of its forms: text, texts, messages, or tokens already."""
    if isinstance(value, str):
        return -(-len(value.encode()) // CHARACTERS_PER_TOKEN)
    if isinstance(value, dict):
        return sum(_token_count(item) for item in value.values())
    if isinstance(value, list):
        return sum(_token_count(item) for item in value)
    return int(isinstance(value, int))


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _whole_number(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _data(event: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"
