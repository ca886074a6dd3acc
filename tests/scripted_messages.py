"""What the scripted provider says in Anthropic's wire format: messages, their streams, and the counting of tokens.

After Anthropic's pages "Messages", "Streaming messages", "Count tokens in a Message", "Prompt caching" and "Errors".
Thinking is answered to whoever asks for it in the body, as the real one does.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tests.scripted_answers import TOOL_INPUT, Behaviour, Call, words

THOUGHT = "The user says hello."
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds7NmZ3Jk"
# What a block has before it is told.
EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
KINDS = {
    400: ("invalid_request_error", "The request was refused."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: claude-none"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}


def error(kind: str, message: str) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": f"req_011{uuid.uuid4().hex[:21]}",
    }


def error_of(status: int) -> dict[str, Any]:
    """The body that Anthropic sends with an error status."""
    other = ("api_error", "Internal server error") if status >= 500 else KINDS[400]
    return error(*KINDS.get(status, other))


def error_event(status: int) -> bytes:
    return event(error_of(529 if status >= 500 else status))


def refusal(call: Call, is_right: Callable[[str], bool]) -> tuple[int, dict[str, Any]] | None:
    """Keys come as x-api-key; tokens of subscriptions as Authorization."""
    token = call.headers.get("authorization", "").removeprefix("Bearer ")
    key = call.headers.get("x-api-key", "") or token
    if not key or not is_right(key):
        return 401, error("authentication_error", "invalid x-api-key" if key else "x-api-key header is required")
    if "anthropic-version" not in call.headers:
        return 400, error("invalid_request_error", "anthropic-version: header is required")
    wanted = ["model", "messages"] if call.route == "messages/count_tokens" else ["model", "max_tokens", "messages"]
    for name in wanted:
        if name not in call.body:
            return 400, error("invalid_request_error", f"{name}: Field required")
    return None


class Answer:
    """What one call is answered with, whole or as a stream."""

    type = "application/json"

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._call = call
        self._behaviour = behaviour
        self._counts = call.route == "messages/count_tokens"
        self._id = f"msg_{'same' if behaviour.same_id else '01' + uuid.uuid4().hex[:22]}"
        self._tool = behaviour.tool and not _has_result(call.body)
        self.streams = call.streams and not self._counts

    def whole(self) -> dict[str, Any]:
        if self._counts:
            return {"input_tokens": (self._behaviour.usage or {}).get("prompt_tokens", 0)}
        message = self._message(self._content(), self._stop_reason())
        if self._behaviour.usage is not None:
            message["usage"] = usage_of(self._behaviour)
        return message

    def events(self) -> Iterator[bytes]:
        usage = None if self._behaviour.usage is None else usage_of(self._behaviour)
        start = self._message([], None)
        if usage is not None:
            start["usage"] = usage | {"output_tokens": 1}
        yield event({"type": "message_start", "message": start})
        for index, block in enumerate(self._content()):
            yield from self._block(index, block)
        delta = {"type": "message_delta", "delta": {"stop_reason": self._stop_reason(), "stop_sequence": None}}
        told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        if usage is not None:
            delta["usage"] = {name: usage[name] for name in (*told, "server_tool_use") if name in usage}
        yield event(delta)
        if self._behaviour.done:
            yield event({"type": "message_stop"})

    def _block(self, index: int, block: dict[str, Any]) -> Iterator[bytes]:
        begun = block | EMPTY[block["type"]]
        yield event({"type": "content_block_start", "index": index, "content_block": begun})
        if index == 0:
            yield event({"type": "ping"})
        for delta in self._deltas(block):
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})

    def _deltas(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if block["type"] == "thinking":
            yield {"type": "thinking_delta", "thinking": block["thinking"]}
            yield {"type": "signature_delta", "signature": block["signature"]}
        elif block["type"] == "tool_use":
            text = json.dumps(block["input"])
            for part in ("", text[:8], text[8:]):
                yield {"type": "input_json_delta", "partial_json": part}
        else:
            yield from ({"type": "text_delta", "text": word} for word in words(self._behaviour))

    def _content(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if (self._call.body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE})
        if self._tool:
            call = {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "weather", "input": TOOL_INPUT}
            return [*blocks, call]
        return [*blocks, {"type": "text", "text": self._behaviour.text}]

    def _stop_reason(self) -> str:
        return "tool_use" if self._tool else "end_turn"

    def _message(self, content: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
        return {
            "model": self._call.model,
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
        }


def usage_of(behaviour: Behaviour) -> dict[str, Any]:
    """Anthropic's usage: its input_tokens are only those that were neither read from the cache nor written to it."""
    usage = behaviour.usage or {}
    read = usage["prompt_tokens_details"]["cached_tokens"]
    short, long = behaviour.written
    told = {
        "input_tokens": usage["prompt_tokens"] - read - short - long,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": usage["completion_tokens"],
        "service_tier": "standard",
    }
    if behaviour.searches:
        told["server_tool_use"] = {"web_search_requests": behaviour.searches}
    return told


def _has_result(body: dict[str, Any]) -> bool:
    """Whether the conversation ends in what a tool has found, after which the model talks."""
    content = (body.get("messages") or [{}])[-1].get("content")
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


def event(value: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (value["type"].encode(), json.dumps(value, separators=(",", ":")).encode())
