"""OpenAI's answers: usage and output text, out of whole answers and out of streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from app.providers.base import Counts

DONE = b"[DONE]"
UsageReader = Callable[[object], Counts | None]
# Where DeepSeek, Together and Mistral tell of the tokens that came from the cache, if not among the details.
CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
# "on_demand" is Groq's word.
STANDARD_TIERS = ("", "auto", "default", "standard", "on_demand")
END_OF_EVENT = re.compile(rb"\n\r?\n")


def parsed(document: bytes) -> dict[str, Any]:
    """The JSON object that the bytes hold; an empty one where they hold none."""
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError:
        # Some servers write what JSON does not allow and json reads all the same: NaN, Infinity, half a surrogate pair.
        try:
            value = json.loads(document)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def usage_counts(usage: object) -> Counts | None:
    """OpenAI's `usage` by our kinds; None where there is none or its totals are no whole numbers."""
    if not isinstance(usage, dict):
        return None
    total_input, total_output, total = (usage.get(f"{part}_tokens") for part in ("prompt", "completion", "total"))
    if total_output is None and type(total) is int and type(total_input) is int:
        # Embeddings have no completion; their total is their input.
        total_output = total - total_input
    if type(total_input) is not int or type(total_output) is not int:
        return None
    counts = {"input": total_input, "output": total_output}
    for name in CACHED:
        _add(counts, "cache_read", usage.get(name))
    of_input, of_output = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    if isinstance(of_input, dict):
        _add(counts, "cache_read", of_input.get("cached_tokens"))
        _add(counts, "cache_write_5m", of_input.get("cache_write_tokens"))
        _add(counts, "audio_input", of_input.get("audio_tokens"))
        _add(counts, "image_input", of_input.get("image_tokens"))
    if isinstance(of_output, dict):
        _add(counts, "reasoning", of_output.get("reasoning_tokens"))
        _add(counts, "audio_output", of_output.get("audio_tokens"))
        _add(counts, "image_output", of_output.get("image_tokens"))
    if isinstance(tools := usage.get("server_tool_use"), dict):
        _add(counts, "web_searches", tools.get("web_search_requests"))
    return counts


def output_bytes(answer: dict[str, Any]) -> int:
    """UTF-8 bytes of output in an answer or in one event of a stream: text, refusals, reasoning, tool calls."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return 0
    total = 0
    for choice in choices:
        if isinstance(choice, dict):
            message = choice.get("delta") or choice.get("message")
            total += _bytes_of(choice.get("text")) + (_message_bytes(message) if isinstance(message, dict) else 0)
    return total


def tier_of(answer: dict[str, Any]) -> str | None:
    """The `service_tier` that served a call, where it is not the usual one."""
    tier = answer.get("service_tier")
    return tier if isinstance(tier, str) and tier not in STANDARD_TIERS else None


class StreamReader:
    """Server-sent events of chat/completions and completions, passed on byte for byte.

    See `base.StreamReader`. Nothing that a provider sends makes it raise.
    """

    __slots__ = ("_pending", "_read_usage", "_usage_asked", "counts", "finished", "text_bytes", "tier")

    def __init__(self, *, usage_asked: bool, read_usage: UsageReader = usage_counts) -> None:
        """Usage events are passed on only where the client asked for them. `read_usage` knows the vendor's usage."""
        self.counts: Counts | None = None
        self.tier: str | None = None
        self._read_usage = read_usage
        self.finished = False
        self.text_bytes = 0
        self._usage_asked = usage_asked
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """One piece for all events that this read completes, and one for the stream's end."""
        if self.finished:
            return []
        pending = self._pending
        # The two bytes before the new ones may begin the line ends that end an event.
        search_from = max(0, len(pending) - 2)
        pending += data
        shown: list[bytes] = []
        event_start = 0
        while end := END_OF_EVENT.search(pending, search_from):
            event = bytes(pending[event_start : end.end()])
            event_start = search_from = end.end()
            if self._passes(event):
                shown.append(event)
            if self.finished:
                pending.clear()
                *before, last = shown
                return [b"".join(before), last] if before else [last]
        del pending[:event_start]
        return [b"".join(shown)] if shown else []

    def rest(self) -> bytes:
        """The bytes of an event that lacks its end; read as an event, and hidden where that would be."""
        event = bytes(self._pending)
        self._pending.clear()
        return event if self._passes(event + b"\n\n") else b""

    def _passes(self, event: bytes) -> bool:
        """Takes note of an event; says whether the client is to see it."""
        data = _data_of(event)
        if not data:
            return True
        if data == DONE:
            self.finished = True
            return True
        answer = parsed(data)
        self._note(answer)
        usage = answer.get("usage")
        if not isinstance(usage, dict):
            return True
        self.counts = self._read_usage(usage) or self.counts
        self.tier = tier_of(answer) or self.tier
        return self._usage_asked or bool(answer.get("choices")) or "error" in answer

    def _note(self, answer: dict[str, Any]) -> None:
        """Takes note of what an event says beside its usage. Some vendors say more: a subclass knows them."""
        self.text_bytes += output_bytes(answer)


def _data_of(event: bytes) -> bytes:
    """What the event's `data:` lines hold; empty for comments."""
    if event.startswith(b"data:") and event.count(b"\n") == 2:  # noqa: PLR2004 - the usual event: one line and its end
        return event[5:].strip()
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _message_bytes(message: dict[str, Any]) -> int:
    # Reasoning has two names among those who speak OpenAI's language; some servers send it under both.
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    total = _bytes_of(message.get("content")) + _bytes_of(message.get("refusal")) + _bytes_of(reasoning)
    audio = message.get("audio")
    if isinstance(audio, dict):
        total += _bytes_of(audio.get("transcript"))
    if calls := message.get("tool_calls"):
        total += _calls_bytes(calls)
    if call := message.get("function_call"):
        total += _function_bytes(call)
    return total


def _calls_bytes(calls: object) -> int:
    if not isinstance(calls, list):
        return 0
    return sum(
        _function_bytes(call.get("function")) + _function_bytes(call.get("custom"))
        for call in calls
        if isinstance(call, dict)
    )


def _function_bytes(function: object) -> int:
    if not isinstance(function, dict):
        return 0
    return sum(_bytes_of(function.get(field)) for field in ("name", "arguments", "input"))


def _bytes_of(text: object) -> int:
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _add(counts: Counts, kind: str, value: object) -> None:
    if type(value) is int:
        counts[kind] = value
