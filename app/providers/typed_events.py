"""Streams of typed events, as OpenAI's newer routes have them: passed on byte for byte, usage read on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from app.providers.base import Counts
from app.providers.events import END_OF_EVENT, data_of
from app.providers.openai_answers import DONE, parsed

# As long as an event that says [DONE] may be, with its line ends.
LONGEST_DONE = 32


class TypedEventReader(ABC):
    """A stream of JSON objects, each with a `type`; a subclass knows the types. See `base.StreamReader`.

    Nothing that a provider sends makes it raise. Behind the end that its type tells only a [DONE] passes.
    """

    __slots__ = ("_failed", "_held", "_pending", "counts", "finished", "text_bytes", "tier")

    def __init__(self) -> None:
        """Nothing is told yet."""
        self.counts: Counts | None = None
        self.tier: str | None = None
        self.finished = False
        self.text_bytes = 0
        self._failed = False
        self._held = b""
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """One piece for all events that this read completes, and one for the stream's end."""
        if self._failed:
            return []
        if self.finished:
            return self._behind_the_end(data)
        pending = self._pending
        # The two bytes before the new ones may begin the line ends that end an event.
        search_from = max(0, len(pending) - 2)
        pending += data
        start = 0
        while end := END_OF_EVENT.search(pending, search_from):
            event = bytes(pending[start : end.end()])
            self._read(event)
            if self._failed:
                self._held = event
                return _some(bytes(pending[:start]))
            if self.finished:
                before, rest = bytes(pending[:start]), bytes(pending[end.end() :])
                pending.clear()
                return [*_some(before), event, *self._behind_the_end(rest)]
            start = search_from = end.end()
        passed = bytes(pending[:start])
        del pending[:start]
        return _some(passed)

    def rest(self) -> bytes:
        """The bytes of an event that lacks its end, and the event that says that the stream has failed.

        The latter is held back until here, so that the call is booked as what it is before the client reads of it.
        """
        if self._failed:
            return self._held
        rest = bytes(self._pending)
        self._pending.clear()
        if self.finished:
            return rest if data_of(rest) == DONE else b""
        self._read(rest)
        return rest

    @abstractmethod
    def _note(self, event: dict[str, Any]) -> None:
        """Takes note of an event; sets `finished` where it is the end, `_failed` where it tells of a failure."""

    def _read(self, event: bytes) -> None:
        data = data_of(event)
        if data == DONE:
            self.finished = True
        elif data:
            self._note(parsed(data))

    def _behind_the_end(self, data: bytes) -> list[bytes]:
        """Some servers end every stream as chat ends."""
        pending = self._pending
        pending += data[: LONGEST_DONE - len(pending)]
        end = END_OF_EVENT.search(pending)
        if end is None or data_of(event := bytes(pending[: end.end()])) != DONE:
            return []
        # Filled up, it takes nothing more.
        pending[:] = bytes(LONGEST_DONE)
        return [event]


def bytes_of(text: object) -> int:
    """UTF-8 bytes of a text; 0 for everything else."""
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _some(piece: bytes) -> list[bytes]:
    return [piece] if piece else []
