"""OpenAI's answers: usage and output text, out of whole answers and out of streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from app.providers.base import Counts
from app.providers.events import EventReader, data_of

DONE = b"[DONE]"
UsageReader = Callable[[object], Counts | None]
# Where DeepSeek, Together and Mistral tell of the tokens that came from the cache, if not among the details.
CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
# "on_demand" is Groq's word.
STANDARD_TIERS = ("", "auto", "default", "standard", "on_demand")


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


class StreamReader(EventReader):
    """Server-sent events of chat/completions and completions. Nothing that a provider sends makes it raise."""

    __slots__ = ("_read_usage", "_usage_asked")

    def __init__(self, *, usage_asked: bool, read_usage: UsageReader = usage_counts) -> None:
        """Usage events are passed on only where the client asked for them. `read_usage` knows the vendor's usage."""
        super().__init__()
        self._read_usage = read_usage
        self._usage_asked = usage_asked

    def passes(self, event: bytes) -> bool:
        """See `EventReader`."""
        data = data_of(event)
        if not data:
            return True
        if data == DONE:
            self.finished = True
            return True
        answer = parsed(data)
        self._note(answer)
        if answer.get("service_tier") is not None:
            # Every event tells it: also of a stream that breaks off it is known how it was served.
            self.tier = tier_of(answer)
        usage = answer.get("usage")
        if not isinstance(usage, dict):
            return True
        self.counts = self._read_usage(usage) or self.counts
        return self._usage_asked or bool(answer.get("choices")) or "error" in answer

    def _note(self, answer: dict[str, Any]) -> None:
        """Takes note of what an event says beside its usage. Some vendors say more: a subclass knows them."""
        self.text_bytes += output_bytes(answer)


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
