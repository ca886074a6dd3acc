"""What the scripted provider says: calls, what is to be done with them, and answers in OpenAI's wire format."""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

TEXT = "Hello from the scripted provider."
# What the model calls the tool "weather" with, and what it says when it is to say it by a schema.
TOOL_INPUT = {"city": "Oslo"}
STRUCTURED = '{"city": "Oslo", "degrees": 7}'
# What a stream holds besides events: a comment, lines that are no fields, JSON that is none, JSON that is no object.
GARBAGE = b': keep-alive\n\n<html>?\xff\xfe\n\ndata: {"choices": [{"del\n\ndata: [1, 2]\n\ndata: {"choices": 7}\n\n'
AZURE_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)


@dataclass
class Call:
    """One call as it came in, headers' names in lower case, and what was answered.

    `body` of a form has its text fields. `status` and `sent` are what went out, the body without its chunks' frames.
    `left`: its client closed before the answer's end. `ended_at`: just before its last bytes went out.
    """

    path: str
    route: str
    model: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes
    time: float
    azure: bool = False
    api_version: str | None = None
    left: bool = False
    left_at: float | None = None
    ended_at: float | None = None
    status: int = 0
    sent: bytearray = field(default_factory=bytearray)

    @property
    def streams(self) -> bool:
        return self.body.get("stream") in (True, "true")

    @property
    def usage_asked(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


# What a scripted call is to do, by the fields of Behaviour. What it does not name is as the model's name says.
Reply = dict[str, Any]
Script = Reply | Callable[[Call], Reply | None]


@dataclass
class Behaviour:
    delay: float = 0.0
    gap: float = 0.0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str | bytes | None = None
    text: str = TEXT
    usage: dict[str, Any] | None = None
    cut_after: int | None = None
    error_after: int | None = None
    torn_after: int | None = None
    hang_after: int | None = None
    usage_at: int | None = None
    first_usage: dict[str, Any] | None = None
    garbage: bool = False
    endless: bool = False
    done: bool = True
    hang: bool = False
    drop: bool = False
    same_id: bool = False
    tool: bool = False
    written: tuple[int, int] = (0, 0)
    searches: int = 0


def behaviour_of(model: str, seen_before: int = 0) -> Behaviour:
    """What the model's name asks for; `seen_before` calls had the same one."""
    behaviour = Behaviour(delay=_number(model, "slow"), gap=_number(model, "gap"))
    if (status := re.search(r"status-(\d{3})(-once)?", model)) and not (status[2] and seen_before):
        behaviour.status = int(status[1])
    if chunks := _count(model, "chunks"):
        behaviour.text = " ".join(f"word{number}" for number in range(chunks))
    behaviour.cut_after = _count(model, "cut-after")
    behaviour.error_after = _count(model, "error-after")
    behaviour.torn_after = _count(model, "torn-after")
    behaviour.hang_after = _count(model, "hang-after")
    behaviour.usage_at = _count(model, "usage-at")
    behaviour.garbage = "garbage" in model
    behaviour.endless = "endless" in model
    behaviour.done = "no-done" not in model
    behaviour.hang = "hang" in model and behaviour.hang_after is None
    behaviour.drop = "drop" in model
    behaviour.same_id = "same-id" in model
    behaviour.tool = "tool" in model
    behaviour.written = (_count(model, "written") or 0, _count(model, "hourly") or 0)
    behaviour.searches = _count(model, "searches") or 0
    behaviour.usage = usage_of(model)
    if "structured" in model:
        behaviour.text = STRUCTURED
    if "not-json" in model:
        behaviour.body = "this is not JSON"
    return behaviour


def usage_of(model: str) -> dict[str, Any] | None:
    """OpenAI's usage object of a chat completion."""
    if "no-usage" in model:
        return None
    tokens = re.search(r"tokens-(\d+)-(\d+)", model)
    prompt, completion = (int(tokens[1]), int(tokens[2])) if tokens else (10, 20)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": _count(model, "cached") or 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": _count(model, "reasoning") or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _count(model: str, word: str) -> int | None:
    found = re.search(rf"{word}-(\d+)", model)
    return int(found[1]) if found else None


def _number(model: str, word: str) -> float:
    found = re.search(rf"{word}-(\d+(?:\.\d+)?)", model)
    return float(found[1]) if found else 0.0


def openai_error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_of(status: int) -> dict[str, Any]:
    """The body that OpenAI sends with an error status."""
    if status == 429:
        return openai_error("Rate limit reached for requests", "requests", "rate_limit_exceeded")
    if status >= 500:
        return openai_error("The server had an error while processing your request. Sorry about that!", "server_error")
    return openai_error("The request was refused.", "invalid_request_error")


def words(behaviour: Behaviour) -> Iterator[str]:
    """The text as a stream's events tell it."""
    found = re.findall(r"\S+\s*", behaviour.text)
    return itertools.cycle(found) if behaviour.endless else iter(found)


class Answer:
    """What one call is answered with in the format of chats, whole or as a stream."""

    type = "application/json"

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._call = call
        self._behaviour = behaviour
        self._chat = call.route == "chat/completions"
        self._created = int(time.time())
        prefix = "chatcmpl" if self._chat else "cmpl"
        self._id = f"{prefix}-{'same' if behaviour.same_id else uuid.uuid4().hex}"
        self._choices = range(int(call.body.get("n") or 1))
        self._tool = _tool_to_call(call.body, behaviour)
        self.streams = call.streams and call.route != "embeddings"

    def whole(self) -> dict[str, Any]:
        if self._call.route == "embeddings":
            return self._embeddings()
        kind = "chat.completion" if self._chat else "text_completion"
        choices = [self._whole_choice(index) for index in self._choices]
        answer = self._envelope(kind, choices)
        if self._behaviour.usage is not None:
            answer["usage"] = self._behaviour.usage
        return answer

    def events(self) -> Iterator[bytes]:
        if self._call.azure and self._chat:
            yield event({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []})
        early = self._behaviour.usage_at
        if self._behaviour.first_usage is not None:
            yield event(self._chunk([], self._behaviour.first_usage))
        for number, choice in enumerate(self._stream_choices()):
            yield event(self._chunk([choice], self._behaviour.usage if number == early else None))
        if self._call.usage_asked and self._behaviour.usage is not None and early is None:
            yield event(self._chunk([], self._behaviour.usage))
        if self._behaviour.done:
            yield b"data: [DONE]\n\n"

    def _stream_choices(self) -> Iterator[dict[str, Any]]:
        for index in self._choices:
            for delta, finish_reason in self._deltas():
                yield {"index": index, **delta, "logprobs": None, "finish_reason": finish_reason}

    def _deltas(self) -> Iterator[tuple[dict[str, Any], str | None]]:
        if not self._chat:
            yield from (({"text": word}, None) for word in words(self._behaviour))
            yield {"text": ""}, "stop"
            return
        yield {"delta": {"role": "assistant", "content": "", "refusal": None}}, None
        if self._tool:
            for call in _tool_call_deltas(self._tool, self._arguments):
                yield {"delta": {"tool_calls": [call]}}, None
        else:
            yield from (({"delta": {"content": word}}, None) for word in words(self._behaviour))
        yield {"delta": {}}, "tool_calls" if self._tool else "stop"

    def _whole_choice(self, index: int) -> dict[str, Any]:
        finish_reason = "tool_calls" if self._tool else "stop"
        if not self._chat:
            return {"index": index, "text": self._behaviour.text, "logprobs": None, "finish_reason": finish_reason}
        message: dict[str, Any] = {"role": "assistant", "content": self._behaviour.text, "refusal": None}
        if self._tool:
            function = {"name": self._tool, "arguments": self._arguments}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            message |= {"content": None, "tool_calls": calls}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}

    @property
    def _arguments(self) -> str:
        return STRUCTURED if self._behaviour.text == STRUCTURED else '{"city":"Oslo"}'

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        chunk = self._envelope("chat.completion.chunk" if self._chat else "text_completion", choices)
        if self._call.usage_asked:
            chunk["usage"] = usage
        return chunk

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._call.model,
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        }

    def _embeddings(self) -> dict[str, Any]:
        given = self._call.body.get("input")
        count = len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1
        data = [{"object": "embedding", "index": index, "embedding": [0.25, -0.5, 0.75]} for index in range(count)]
        answer: dict[str, Any] = {"object": "list", "data": data, "model": self._call.model}
        usage = self._behaviour.usage
        if usage is not None:
            answer["usage"] = {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["prompt_tokens"]}
        return answer


def _tool_to_call(body: dict[str, Any], behaviour: Behaviour) -> str | None:
    """The tool that the caller insists on, or `weather`; none for those who have just told what it found."""
    choice, messages = body.get("tool_choice"), body.get("messages")
    if choice == "required":
        return str(body["tools"][0]["function"]["name"])
    if isinstance(choice, dict):
        return str(choice["function"]["name"])
    heard = isinstance(messages, list) and any(message.get("role") == "tool" for message in messages[-1:])
    return "weather" if behaviour.tool and not heard else None


def _tool_call_deltas(name: str, arguments: str) -> list[dict[str, Any]]:
    opening = {"name": name, "arguments": ""}
    return [
        {"index": 0, "id": "call_1", "type": "function", "function": opening},
        {"index": 0, "function": {"arguments": arguments[:8]}},
        {"index": 0, "function": {"arguments": arguments[8:]}},
    ]


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
