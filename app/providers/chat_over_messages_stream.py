"""Anthropic's streams as OpenAI's chunks."""

from __future__ import annotations

import time
from typing import Any

from app.providers.base import StreamReader
from app.providers.chat_over_messages_answer import THINKING, error_message, finish_reason, openai_usage
from app.providers.events import data_of, dumped, event_of
from app.providers.openai_answers import parsed
from app.providers.translated import TranslatedReader

DONE = b"data: [DONE]\n\n"
# Tells a client that waits that the model still works; OpenAI's libraries skip comments.
PING = b": ping\n\n"


class ChunkReader(TranslatedReader):
    """Chunks of a chat for the events of a message."""

    def __init__(self, inner: StreamReader, *, usage_asked: bool) -> None:
        """Usage is a chunk of its own before the end, for a client that asked for it."""
        super().__init__(inner)
        self._usage_asked = usage_asked
        self._head = {"id": "", "object": "chat.completion.chunk", "created": int(time.time()), "model": ""}
        self._finish_reason: str | None = None
        self._calls = 0
        self._thoughts = 0
        # The block that is being told: its fields so far, and whether the input of a tool has come in deltas.
        self._block: dict[str, Any] = {}
        self._input_told = False

    def is_end(self, event: bytes) -> bool:
        """The event message_stop."""
        return b"message_stop" in event and parsed(data_of(event)).get("type") == "message_stop"

    def stopped(self) -> bool:
        """Told by message_delta."""
        return self._finish_reason is not None

    def translated(self, event: bytes) -> list[bytes]:
        """The chunks for one event; blocks of tools that Anthropic runs itself have none."""
        match parsed(data_of(event)):
            case {"type": "message_start", "message": dict(message)}:
                self._head |= {"id": message.get("id") or "", "model": message.get("model") or ""}
                return [self._delta({"role": "assistant", "content": ""})]
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)}} if not self._finish_reason:
                self._finish_reason = finish_reason(reason)
                return [self._delta({}, self._finish_reason)]
            case {"type": "ping"}:
                return [PING]
            case {"type": "error"} as told:
                self.failed = True
                error = told.get("error")
                kind = error.get("type") if isinstance(error, dict) else None
                return [_error(error_message(200, dumped(told)), kind or "api_error")]
            case told:
                return self._of_block(told)

    def ending(self) -> list[bytes]:
        """The finish where it was not told, usage, and [DONE]."""
        chunks = [] if self._finish_reason else [self._delta({}, "stop")]
        if self._usage_asked and self.counts is not None:
            chunks.append(event_of({**self._head, "choices": [], "usage": openai_usage(self.counts)}))
        return [*chunks, DONE]

    def error(self, message: str) -> bytes:
        """An error as OpenAI's libraries raise it."""
        return _error(message, "api_error")

    def _of_block(self, event: dict[str, Any]) -> list[bytes]:
        match event:
            case {"type": "content_block_start", "content_block": dict(block)}:
                return self._start(block)
            case {"type": "content_block_delta", "delta": dict(delta)}:
                return self._more(delta)
            case {"type": "content_block_stop"}:
                return self._stop()
        return []

    def _start(self, block: dict[str, Any]) -> list[bytes]:
        self._block, self._input_told = block, False
        if block.get("type") != "tool_use":
            # A block that has its text at once needs no deltas.
            begun = {name: block.pop(name, None) for name in ("text", "thinking")}
            return self._more(begun)
        function = {"name": block.get("name") or "", "arguments": ""}
        call = {"index": self._calls, "id": block.get("id") or "", "type": "function", "function": function}
        self._calls += 1
        return [self._delta({"tool_calls": [call]})]

    def _more(self, delta: dict[str, Any]) -> list[bytes]:
        kind = self._block.get("type")
        text, thinking, arguments = (_text(delta.get(name)) for name in ("text", "thinking", "partial_json"))
        if kind == "text" and text:
            return [self._delta({"content": text})]
        if kind == "tool_use" and arguments:
            self._input_told = True
            return [self._arguments(arguments)]
        if kind == "thinking":
            self._block["thinking"] = _text(self._block.get("thinking")) + thinking
            self._block["signature"] = _text(delta.get("signature")) or _text(self._block.get("signature"))
            return [self._delta({"reasoning_content": thinking})] if thinking else []
        return []

    def _stop(self) -> list[bytes]:
        """What a block has to say at its end: thinking as a whole, to be sent back with the next turn."""
        block, self._block = self._block, {}
        if block.get("type") in THINKING:
            # OpenAI's library puts the entries of a list together by their index.
            self._thoughts += 1
            return [self._delta({"thinking_blocks": [{"index": self._thoughts - 1, **block}]})]
        if block.get("type") == "tool_use" and not self._input_told:
            return [self._arguments(dumped(block.get("input") or {}).decode())]
        return []

    def _arguments(self, text: str) -> bytes:
        return self._delta({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": text}}]})

    def _delta(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event_of({**self._head, "choices": [choice]})


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _error(message: str, kind: str) -> bytes:
    return event_of({"error": {"message": message, "type": kind, "param": None, "code": None}})
