"""OpenAI's streams as the events of an Anthropic message."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from app.providers.anthropic_errors import anthropic_error
from app.providers.base import StreamReader
from app.providers.chat_over_messages_answer import error_message
from app.providers.events import data_of, dumped, event_of
from app.providers.messages_over_chat_answer import anthropic_usage, envelope, reasoning_of, stop_reason, text_of
from app.providers.openai_answers import DONE, parsed
from app.providers.translated import TranslatedReader

PING = event_of({"type": "ping"}, "ping")
STOP = event_of({"type": "message_stop"}, "message_stop")


@dataclass(slots=True)
class _Block:
    """One block of the message; `said` is what has come and was not shown yet."""

    kind: Literal["text", "thinking", "tool_use"]
    id: str = ""
    name: str = ""
    said: list[str] = field(default_factory=list)
    started: bool = False


class MessageReader(TranslatedReader):
    """A message for the chunks of a chat.

    Anthropic's blocks come one after the other. So the first that is not over is shown as it comes; what comes for
    others meanwhile (calls of tools can be told side by side) waits for its turn.
    """

    def __init__(self, inner: StreamReader) -> None:
        """Nothing was read yet."""
        super().__init__(inner)
        self._begun = False
        self._finish_reason: object = None
        self._shown_blocks = 0
        # The block that is shown, and those that wait.
        self._blocks: list[_Block] = []
        self._calls: dict[object, _Block] = {}

    def is_end(self, event: bytes) -> bool:
        """The event [DONE]."""
        return DONE in event and data_of(event) == DONE

    def stopped(self) -> bool:
        """Told by a finish_reason."""
        return self._finish_reason is not None

    def translated(self, event: bytes) -> list[bytes]:
        """The events for one chunk; a comment keeps a connection alive, and so does a ping."""
        data = data_of(event)
        if not data:
            return [PING]
        chunk = parsed(data)
        if chunk.get("error"):
            self.failed = True
            return [self.error(error_message(500, dumped(chunk)))]
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        events = self._begin(chunk)
        if isinstance(choice.get("delta"), dict):
            self._take(choice["delta"])
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        events += self._show()
        # Something has come that has to wait.
        return events or [PING]

    def ending(self) -> list[bytes]:
        """The rest of all blocks, why it ended, usage, and message_stop."""
        events = self._begin({})
        while self._blocks:
            events += self._close()
        called = bool(self._calls)
        delta = {"stop_reason": stop_reason(self._finish_reason, called=called), "stop_sequence": None}
        usage = anthropic_usage(self.counts)
        events.append(event_of({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta"))
        return [*events, STOP]

    def error(self, message: str) -> bytes:
        """An error as Anthropic's libraries raise it."""
        return event_of(anthropic_error(500, message), "error")

    def _begin(self, chunk: dict[str, Any]) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return [event_of({"type": "message_start", "message": envelope(chunk)}, "message_start")]

    def _take(self, delta: dict[str, Any]) -> None:
        for kind, text in (("thinking", reasoning_of(delta)), ("text", text_of(delta))):
            if text:
                self._block_of(kind).said.append(text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._take_call(call)

    def _block_of(self, kind: Any) -> _Block:
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind))
        return self._blocks[-1]

    def _take_call(self, call: dict[str, Any]) -> None:
        """Adds to the call of that index; some servers leave the index out, or give every call the same."""
        index, given, function = call.get("index"), call.get("id"), call.get("function")
        index = index if type(index) is int else None
        block = self._calls.get(index)
        if block is None or (isinstance(given, str) and given and block.id not in ("", given)):
            block = _Block("tool_use")
            self._blocks.append(block)
            self._calls[index] = block
        if isinstance(given, str):
            block.id = block.id or given
        if isinstance(function, dict):
            name, arguments = function.get("name"), function.get("arguments")
            block.name = block.name or (name if isinstance(name, str) else "")
            block.said += [arguments] if isinstance(arguments, str) and arguments else []

    def _show(self) -> list[bytes]:
        """What can be shown now. Text is over when something else follows; a call may go on until the end."""
        events: list[bytes] = []
        while len(self._blocks) > 1 and self._blocks[0].kind != "tool_use":
            events += self._close()
        if self._blocks and (self._blocks[0].kind != "tool_use" or self._blocks[0].name):
            events += self._say(self._blocks[0])
        return events

    def _close(self) -> list[bytes]:
        block = self._blocks.pop(0)
        events = self._say(block)
        events.append(event_of({"type": "content_block_stop", "index": self._shown_blocks}, "content_block_stop"))
        self._shown_blocks += 1
        return events

    def _say(self, block: _Block) -> list[bytes]:
        index, text = self._shown_blocks, "".join(block.said)
        block.said.clear()
        events = []
        if not block.started:
            block.started = True
            start = {"type": "content_block_start", "index": index, "content_block": _empty(block)}
            events.append(event_of(start, "content_block_start"))
        if text:
            delta = {"type": "content_block_delta", "index": index, "delta": _delta(block, text)}
            events.append(event_of(delta, "content_block_delta"))
        return events


def _empty(block: _Block) -> dict[str, Any]:
    if block.kind == "tool_use":
        return {"type": "tool_use", "id": block.id or f"toolu_{uuid.uuid4().hex}", "name": block.name, "input": {}}
    return {"type": block.kind, block.kind: ""} | ({"signature": ""} if block.kind == "thinking" else {})


def _delta(block: _Block, text: str) -> dict[str, Any]:
    if block.kind == "tool_use":
        return {"type": "input_json_delta", "partial_json": text}
    return {"type": f"{block.kind}_delta", block.kind: text}
