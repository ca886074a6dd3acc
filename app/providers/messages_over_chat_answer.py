"""OpenAI's whole completions as Anthropic's messages."""

from __future__ import annotations

import uuid
from typing import Any

from app.providers.base import Counts
from app.providers.events import dumped
from app.providers.openai_answers import parsed

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def message(completion: dict[str, Any], choice: dict[str, Any], counts: Counts | None) -> bytes:
    """A message for a completion's first choice with this usage."""
    said = choice.get("message")
    blocks = _blocks(said) if isinstance(said, dict) else []
    called = any(block["type"] == "tool_use" for block in blocks)
    return dumped(
        {
            **envelope(completion),
            "content": blocks,
            "stop_reason": stop_reason(choice.get("finish_reason"), called=called),
            "usage": anthropic_usage(counts),
        }
    )


def envelope(completion: dict[str, Any]) -> dict[str, Any]:
    """A message without content, named after a completion or one chunk of it."""
    given, model = completion.get("id"), completion.get("model")
    return {
        "id": given if isinstance(given, str) and given else f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model if isinstance(model, str) else "",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": anthropic_usage(None),
    }


def stop_reason(finish_reason: object, *, called: bool) -> str:
    """Anthropic's word; some servers say "stop" also after calls of tools."""
    word = STOP_REASONS.get(finish_reason, "end_turn") if isinstance(finish_reason, str) else "end_turn"
    return "tool_use" if called and word == "end_turn" else word


def anthropic_usage(counts: Counts | None) -> dict[str, Any]:
    """Anthropic's usage, whose input tokens are without the cache's."""
    counts = counts or {}
    read = counts.get("cache_read", 0)
    written = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return {
        "input_tokens": max(counts.get("input", 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": counts.get("output", 0),
    }


def reasoning_of(said: dict[str, Any]) -> str:
    """Reasoning in a message or a delta: two names, or the "thinking" parts of Mistral's content."""
    told = said.get("reasoning_content") or said.get("reasoning")
    return told if isinstance(told, str) else _of_parts(said.get("content"), "thinking")


def text_of(said: dict[str, Any]) -> str:
    """What a message or a delta says, also where it refuses."""
    content, refusal = said.get("content"), said.get("refusal")
    text = content if isinstance(content, str) else _of_parts(content, "text")
    return text + (refusal if isinstance(refusal, str) else "")


def _of_parts(content: object, kind: str) -> str:
    """The texts of the parts of one kind; what is in a part of its kind may be parts again."""
    if not isinstance(content, list):
        return ""
    inner = (part.get(kind) for part in content if isinstance(part, dict) and part.get("type") == kind)
    return "".join(part if isinstance(part, str) else _texts(part) for part in inner)


def _texts(parts: object) -> str:
    texts = (part.get("text") for part in (parts if isinstance(parts, list) else []) if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _blocks(said: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reasoning := reasoning_of(said):
        blocks.append({"type": "thinking", "thinking": reasoning, "signature": ""})
    if text := text_of(said):
        blocks.append({"type": "text", "text": text})
    calls = said.get("tool_calls")
    return blocks + [_tool_use(call) for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)]


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    given, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
    return {
        "type": "tool_use",
        "id": given if isinstance(given, str) and given else f"toolu_{uuid.uuid4().hex}",
        "name": name if isinstance(name, str) else "",
        # Arguments that were cut off are no JSON; the stop reason tells why.
        "input": parsed(arguments.encode(errors="replace")) if isinstance(arguments, str) else {},
    }
