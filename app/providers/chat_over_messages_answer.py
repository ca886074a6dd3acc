"""Anthropic's whole answers and errors as OpenAI's."""

from __future__ import annotations

import time
from typing import Any

from app.providers.base import Counts
from app.providers.events import dumped
from app.providers.openai_answers import parsed

# "Handling stop reasons"; a turn that was paused is over for a client that cannot go on with it.
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
THINKING = ("thinking", "redacted_thinking")
# Of an error that has no message in any known place, this much is shown as it came.
SHOWN_CHARACTERS = 1000


def completion(message: dict[str, Any], counts: Counts | None) -> bytes:
    """A chat.completion for a message with this usage. Blocks of tools that Anthropic ran itself are left out."""
    blocks = [block for block in message["content"] if isinstance(block, dict)]
    calls = [tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    text = joined(blocks, "text")
    said: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if reasoning := joined(blocks, "thinking"):
        said["reasoning_content"] = reasoning
    if thinking := [block for block in blocks if block.get("type") in THINKING]:
        said["thinking_blocks"] = thinking
    if calls:
        said["tool_calls"] = calls
    reason = finish_reason(message.get("stop_reason"))
    answer = {
        "id": message.get("id") or "",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message.get("model") or "",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": reason}],
    }
    return dumped(answer if counts is None else answer | {"usage": openai_usage(counts)})


def finish_reason(stop_reason: object) -> str:
    """OpenAI's word; "stop" for one that is not known yet."""
    return FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"


def tool_call(block: dict[str, Any]) -> dict[str, Any]:
    """A tool_use block as OpenAI's tool call."""
    arguments = dumped(block.get("input") or {}).decode()
    function = {"name": block.get("name") or "", "arguments": arguments}
    return {"id": block.get("id") or "", "type": "function", "function": function}


def joined(blocks: list[dict[str, Any]], kind: str) -> str:
    """The texts of all blocks of one kind, whose text has the kind's name."""
    texts = (block.get(kind) for block in blocks if block.get("type") == kind)
    return "".join(text for text in texts if isinstance(text, str))


def openai_usage(counts: Counts) -> dict[str, Any]:
    """OpenAI's usage: its prompt tokens have the cache in them, as our input has."""
    prompt, output = counts.get("input", 0), counts.get("output", 0)
    written = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": counts.get("cache_read", 0), "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": counts.get("reasoning", 0)},
    }


def error_body(status: int, answer: bytes) -> bytes:
    """An error in OpenAI's shape; its type is the provider's word."""
    error = parsed(answer).get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    message = error_message(status, answer)
    return dumped({"error": {"message": message, "type": kind or "api_error", "param": None, "code": None}})


def error_message(status: int, answer: bytes) -> str:
    """What an error says, wherever its provider or something in between has written it."""
    document = parsed(answer)
    error = document.get("error")
    for place in (error, document):
        if isinstance(place, dict) and isinstance(place.get("message"), str):
            return str(place["message"])
    if isinstance(error, str):
        return error
    return answer[:SHOWN_CHARACTERS].decode(errors="replace").strip() or f"The provider answered {status}."
