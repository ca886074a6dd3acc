"""Server-sent events: cut out of a stream as it comes, and taken apart."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app.providers.base import Counts

END_OF_EVENT = re.compile(rb"\n\r?\n")


class EventReader:
    """A stream of events, passed on byte for byte. See `base.StreamReader`.

    A format says in `passes` what an event means; it sets `finished` at the stream's end.
    """

    __slots__ = ("_pending", "counts", "finished", "text_bytes", "tier")

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.counts: Counts | None = None
        self.tier: str | None = None
        self.finished = False
        self.text_bytes = 0
        self._pending = bytearray()

    def passes(self, event: bytes) -> bool:
        """Takes note of one whole event; says whether the client is to see it."""
        raise NotImplementedError

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
            if self.passes(event):
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
        return event if self.passes(event + b"\n\n") else b""


def data_of(event: bytes) -> bytes:
    """What the event's `data:` lines hold; empty for comments."""
    if event.startswith(b"data:") and event.count(b"\n") == 2:  # noqa: PLR2004 - the usual event: one line and its end
        return event[5:].strip()
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def events_in(piece: bytes) -> list[bytes]:
    """The whole events that one piece of a reader consists of."""
    events, start = [], 0
    for end in END_OF_EVENT.finditer(piece):
        events.append(piece[start : end.end()])
        start = end.end()
    return [*events, piece[start:] + b"\n\n"] if piece[start:].strip() else events


def event_of(data: dict[str, Any], name: str | None = None) -> bytes:
    """An event that holds this, under this name where its format has names."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + dumped(data) + b"\n\n"


def dumped(value: object) -> bytes:
    """JSON of something that a provider has sent, whatever it may be."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, NaN or a very large number: json writes what json has read.
        try:
            return json.dumps(value).encode()
        except RecursionError:
            return b"null"
