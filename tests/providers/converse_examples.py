"""Answers of Converse and ConverseStream, as AWS's documentation shows them."""

from __future__ import annotations

from typing import Any

from tests.providers.aws_frames import event

SONGS = "Here is a list of 3 pop songs by artists from the United Kingdom."
# TokenUsage and CacheDetail of the API reference; "Prompt caching for faster model inference": inputTokens are those
# that were neither read from the cache nor written to it.
USAGES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "fresh": (
        {"inputTokens": 125, "outputTokens": 60, "totalTokens": 185},
        {"input": 125, "output": 60},
    ),
    "cache read": (
        {"inputTokens": 13, "outputTokens": 60, "totalTokens": 1573, "cacheReadInputTokens": 1500},
        {"input": 1513, "output": 60, "cache_read": 1500},
    ),
    "cache write without its time": (
        {
            "inputTokens": 13,
            "outputTokens": 60,
            "totalTokens": 1573,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 1500,
        },
        {"input": 1513, "output": 60, "cache_write_5m": 1500},
    ),
    "cache written for an hour and for five minutes, and read": (
        {
            "inputTokens": 13,
            "outputTokens": 60,
            "totalTokens": 2073,
            "cacheReadInputTokens": 500,
            "cacheWriteInputTokens": 1500,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 1000}, {"ttl": "5m", "inputTokens": 500}],
        },
        {"input": 2013, "output": 60, "cache_read": 500, "cache_write_5m": 500, "cache_write_1h": 1000},
    ),
}
FRESH = USAGES["fresh"][0]


def answer(*content: dict[str, Any], usage: Any = FRESH, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": usage,
        "metrics": {"latencyMs": 1175},
        **more,
    }


def block(index: int, *deltas: dict[str, Any], start: dict[str, Any] | None = None) -> bytes:
    begun = b"" if start is None else event("contentBlockStart", {"start": start, "contentBlockIndex": index})
    told = b"".join(event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}) for delta in deltas)
    return begun + told + event("contentBlockStop", {"contentBlockIndex": index})


START = event("messageStart", {"role": "assistant", "p": "abcdefgh"})


def end(stop: str = "end_turn", usage: Any = FRESH, **more: Any) -> bytes:
    metadata = {"usage": usage, "metrics": {"latencyMs": 1175}, **more}
    return event("messageStop", {"stopReason": stop}) + event("metadata", metadata)


def text(*said: str) -> bytes:
    return block(0, *({"text": one} for one in said))
