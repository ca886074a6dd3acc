"""Streams of Bedrock's ConverseStream API, as events of chat/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.providers.aws_events import Frame, FrameReader
from app.providers.base import Counts, Sent
from app.providers.bedrock_errors import DAMAGED, chat_error
from app.providers.chat_over_messages_answer import openai_usage
from app.providers.converse_answers import envelope, finish_reason, reasoning, tier_of, usage_counts
from app.providers.events import event_of
from app.providers.openai_answers import output_bytes, parsed

DONE = b"data: [DONE]\n\n"


class ChatReader:
    """Frames in, events out. See `base.StreamReader`.

    The stream ends with its metadata, which hold the usage. A failure in the stream becomes an event of that error, and
    there is then no end.
    """

    __slots__ = (
        *("_calls", "_envelope", "_frames", "_over", "_stopped", "_usage_asked"),
        *("counts", "finished", "text_bytes", "tier"),
    )

    def __init__(self, sent: Sent) -> None:
        """Nothing has come yet."""
        self.counts: Counts | None = None
        self.tier: str | None = None
        self.finished = False
        self.text_bytes = 0
        self._usage_asked = sent.usage_asked
        self._envelope = envelope(sent, "chat.completion.chunk", [])
        self._frames = FrameReader()
        # Calls of tools by the number of their block: their own number, and whether arguments were seen.
        self._calls: dict[int, tuple[int, bool]] = {}
        self._stopped = False
        # Whatever comes now is not passed on.
        self._over = False

    def feed(self, data: bytes) -> list[bytes]:
        """One piece for all events that this read completes, and one for the stream's end."""
        if self._over:
            return []
        shown: list[bytes] = []
        for frame in self._frames.feed(data):
            shown += self._events(frame)
            if self._over:
                break
        if self._frames.broken and not self._over:
            shown.append(self._failure(DAMAGED, ""))
        pieces = [b"".join(shown)] if shown else []
        return [*pieces, DONE] if self.finished else pieces

    def rest(self) -> bytes:
        """The end, where the model has stopped and only the metadata did not come."""
        if self._over or not self._stopped:
            return b""
        self.finished = self._over = True
        return DONE

    def _events(self, frame: Frame) -> Iterator[bytes]:
        said = parsed(frame.payload)
        name = frame.event
        if name is None:
            yield self._failure(said, frame.failure)
        elif name == "messageStart":
            yield self._chunk({"role": "assistant", "content": ""})
        elif name == "messageStop":
            self._stopped = True
            yield self._chunk({}, finish_reason(said))
        elif name == "metadata":
            self.counts, self.tier = usage_counts(said.get("usage")), tier_of(said)
            self.finished = self._over = True
            if self._usage_asked and self.counts:
                yield event_of(self._envelope | {"usage": openai_usage(self.counts)})
        elif delta := self._delta(name, said):
            yield self._chunk(delta)

    def _delta(self, name: str, said: dict[str, Any]) -> dict[str, Any] | None:
        """What one event about a block of content adds to the message."""
        index = said.get("contentBlockIndex")
        block = index if isinstance(index, int) else 0
        if name == "contentBlockStart":
            start = said.get("start")
            return self._tool_start(block, start.get("toolUse") if isinstance(start, dict) else None)
        if name == "contentBlockStop":
            number, seen = self._calls.get(block, (0, True))
            # A tool without arguments has none in the stream, where OpenAI's clients read an empty object.
            return None if seen else _arguments(number, "{}")
        delta = said.get("delta") if name == "contentBlockDelta" else None
        if not isinstance(delta, dict):
            return None
        tool, thought = delta.get("toolUse"), delta.get("reasoningContent")
        if isinstance(tool, dict) and isinstance(tool.get("input"), str):
            number, seen = self._calls.get(block, (0, False))
            self._calls[block] = (number, seen or tool["input"] != "")
            return _arguments(number, tool["input"])
        if isinstance(thought, dict):
            return reasoning(thought)
        return {"content": delta["text"]} if isinstance(delta.get("text"), str) else None

    def _tool_start(self, block: int, tool: object) -> dict[str, Any] | None:
        if not isinstance(tool, dict):
            return None
        number = len(self._calls)
        self._calls[block] = (number, False)
        function = {"name": tool.get("name"), "arguments": ""}
        return {
            "tool_calls": [{"index": number, "id": tool.get("toolUseId"), "type": "function", "function": function}]
        }

    def _failure(self, said: dict[str, Any], failure: str) -> bytes:
        self._over = True
        return event_of(chat_error(0, said, failure))

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        chunk = self._envelope | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}
        self.text_bytes += output_bytes(chunk)
        return event_of(chunk)


def _arguments(number: int, text: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": number, "function": {"arguments": text}}]}
