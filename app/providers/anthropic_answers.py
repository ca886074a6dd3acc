"""Anthropic's answers: usage and output text, out of whole messages and out of streams."""

from __future__ import annotations

from typing import Any

from app.providers.base import Counts
from app.providers.events import EventReader, data_of, dumped
from app.providers.openai_answers import parsed

# For a stream that breaks off before its output is told: on the dear side for every common tokenizer.
BYTES_PER_TOKEN = 3
STANDARD = "standard"
# Where a call may be served if nobody has chosen a place, or could.
ANYWHERE = ("global", "not_available")


def usage_counts(usage: object) -> Counts | None:
    """Anthropic's `usage` by our kinds; None where there is none or its totals are no whole numbers.

    Anthropic's `input_tokens` are without what was read from the cache or written to it ("Prompt caching", Tracking
    cache performance); ours are with it. What a compaction takes is billed, and not part of the totals ("Compaction",
    Understanding usage).
    """
    if not isinstance(usage, dict):
        return None
    counts = _sampled(usage)
    if counts is None:
        return None
    iterations = usage.get("iterations")
    for iteration in iterations if isinstance(iterations, list) else []:
        if isinstance(iteration, dict) and iteration.get("type") == "compaction":
            for kind, amount in (_sampled(iteration) or {}).items():
                counts[kind] = counts.get(kind, 0) + amount
    tools = usage.get("server_tool_use")
    if isinstance(tools, dict) and type(tools.get("web_search_requests")) is int:
        counts["web_searches"] = tools["web_search_requests"]
    return counts


def _sampled(usage: dict[str, Any]) -> Counts | None:
    """Tokens of one usage, without what only the whole answer has."""
    fresh, output = usage.get("input_tokens"), usage.get("output_tokens")
    if type(fresh) is not int or type(output) is not int:
        return None
    read = _whole_number(usage.get("cache_read_input_tokens"))
    total_written = _whole_number(usage.get("cache_creation_input_tokens")) or 0
    lives = usage.get("cache_creation")
    lives = lives if isinstance(lives, dict) else {}
    hour = _whole_number(lives.get("ephemeral_1h_input_tokens"))
    # Where the lives are not told, or are less than the total, the rest is of the usual life.
    five_minutes = max(_whole_number(lives.get("ephemeral_5m_input_tokens")) or 0, total_written - (hour or 0))
    counts = {"input": fresh + (read or 0) + five_minutes + (hour or 0), "output": output}
    details = usage.get("output_tokens_details")
    thinking = _whole_number(details.get("thinking_tokens")) if isinstance(details, dict) else None
    parts = {"cache_read": read, "cache_write_5m": five_minutes, "cache_write_1h": hour, "reasoning": thinking}
    return counts | {kind: amount for kind, amount in parts.items() if amount}


def tier_of(usage: object) -> str | None:
    """The way an answer was served, where that is not the standard one: "fast", "priority", "batch", "us", "fast us".

    A place that was chosen has a price of its own ("Data residency", Pricing).
    """
    if not isinstance(usage, dict):
        return None
    ways = (word for word in (usage.get("speed"), usage.get("service_tier")) if isinstance(word, str))
    way, place = next((word for word in ways if word != STANDARD), ""), usage.get("inference_geo")
    place = place if isinstance(place, str) and place not in ANYWHERE else ""
    return f"{way} {place}".strip() or None


def output_bytes(message: dict[str, Any]) -> int:
    """UTF-8 bytes of output in a whole message: text, thinking, tool calls."""
    content = message.get("content")
    return sum(_block_bytes(block) for block in content) if isinstance(content, list) else 0


class StreamReader(EventReader):
    """Events of /v1/messages, passed on byte for byte; their end is message_stop.

    Of a stream that breaks off before the output is told, the output is counted by its bytes: what message_start tells
    is no more than a beginning.
    """

    __slots__ = ("_begun", "_usage")

    def __init__(self) -> None:
        """Nothing was read yet."""
        super().__init__()
        self._usage: dict[str, Any] = {}
        # The output that message_start tells; None once message_delta has told all of it.
        self._begun: int | None = 0

    def passes(self, event: bytes) -> bool:
        """Every event passes."""
        answer = parsed(data_of(event))
        kind = answer.get("type")
        if kind == "message_stop":
            self.finished = True
        elif kind == "message_start":
            message = answer.get("message")
            self._told(message.get("usage") if isinstance(message, dict) else None)
            self._begun = self.counts["output"] if self.counts else 0
        elif kind == "message_delta":
            self._told(answer.get("usage"))
        elif kind in ("content_block_start", "content_block_delta"):
            self.text_bytes += _block_bytes(answer.get("content_block")) + _delta_bytes(answer.get("delta"))
            if self.counts is not None and self._begun is not None:
                self.counts["output"] = max(self._begun, -(-self.text_bytes // BYTES_PER_TOKEN))
        return True

    def _told(self, usage: object) -> None:
        """Usage is cumulative, and a part that an event does not tell stands as it was."""
        if not isinstance(usage, dict):
            return
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        self.tier = tier_of(self._usage)
        self.counts = usage_counts(self._usage) or self.counts
        if type(usage.get("output_tokens")) is int:
            self._begun = None


def _block_bytes(block: object) -> int:
    if not isinstance(block, dict):
        return 0
    total = sum(_bytes_of(block.get(field)) for field in ("text", "thinking"))
    if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
        total += _bytes_of(block.get("name"))
        if given := block.get("input"):
            total += len(dumped(given))
    return total


def _delta_bytes(delta: object) -> int:
    if not isinstance(delta, dict):
        return 0
    return sum(_bytes_of(delta.get(field)) for field in ("text", "thinking", "partial_json"))


def _bytes_of(text: object) -> int:
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _whole_number(value: object) -> int | None:
    return value if type(value) is int else None
