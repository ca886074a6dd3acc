"""Event streams of AWS (application/vnd.amazon.eventstream): binary frames with headers and checksums."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

EVENT_STREAM = "application/vnd.amazon.eventstream"

PRELUDE = struct.Struct(">III")
CHECKSUM = struct.Struct(">I")
LENGTH = struct.Struct(">H")
# What is in a frame beside its headers and its payload.
FRAME_BYTES = PRELUDE.size + CHECKSUM.size
# The limits that AWS's own readers have.
MOST_HEADER_BYTES = 128 * 1024
MOST_PAYLOAD_BYTES = 24 * 1024 * 1024

BYTES, STRING = 6, 7
# How long values of the other types are: true, false, 1, 2, 4 and 8 bytes of a number, a time, a UUID.
SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `headers` are those whose value is a text; AWS's readers look at no others."""

    headers: Mapping[str, str]
    payload: bytes

    @property
    def event(self) -> str | None:
        """The event's name ("contentBlockDelta"); None where the frame tells of a failure."""
        return self.headers.get(":event-type") if self.headers.get(":message-type") == "event" else None

    @property
    def failure(self) -> str:
        """The failure's name ("throttlingException"); empty where it has none."""
        return self.headers.get(":exception-type") or self.headers.get(":error-code") or ""


class FrameReader:
    """Cuts a stream into frames, wherever the network has cut it. No bytes make it raise.

    `broken`: a frame had a wrong checksum or an impossible length; nothing after it can be read.
    """

    __slots__ = ("_pending", "broken")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.broken = False
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete, in order."""
        if self.broken:
            return []
        self._pending += data
        frames = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except ValueError:
            self.broken = True
            self._pending.clear()
        return frames

    def _next(self) -> Frame | None:
        """Raises ValueError for a frame that cannot be right."""
        pending = self._pending
        if len(pending) < PRELUDE.size:
            return None
        length, headers_length, checksum = PRELUDE.unpack_from(pending)
        if crc32(pending[: PRELUDE.size - CHECKSUM.size]) != checksum:
            raise ValueError("The checksum of a frame's prelude is wrong.")
        if headers_length > MOST_HEADER_BYTES or not 0 <= length - headers_length - FRAME_BYTES <= MOST_PAYLOAD_BYTES:
            raise ValueError("No frame has such a length.")
        if len(pending) < length:
            return None
        end = length - CHECKSUM.size
        if crc32(pending[:end]) != CHECKSUM.unpack_from(pending, end)[0]:
            raise ValueError("The checksum of a frame is wrong.")
        headers_end = PRELUDE.size + headers_length
        frame = Frame(_headers(bytes(pending[PRELUDE.size : headers_end])), bytes(pending[headers_end:end]))
        del pending[:length]
        return frame


def _headers(data: bytes) -> dict[str, str]:
    """Raises ValueError where the bytes are no headers."""
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        name, place = _taken(data, place + 1, data[place])
        kind, place = _taken(data, place, 1)
        if kind[0] in {BYTES, STRING}:
            length, place = _taken(data, place, LENGTH.size)
            value, place = _taken(data, place, LENGTH.unpack(length)[0])
        elif (size := SIZES.get(kind[0])) is not None:
            value, place = _taken(data, place, size)
        else:
            raise ValueError("A header's value has an unknown type.")
        if kind[0] == STRING:
            found[name.decode()] = value.decode()
    return found


def _taken(data: bytes, start: int, length: int) -> tuple[bytes, int]:
    end = start + length
    if end > len(data):
        raise ValueError("A frame's headers are cut off.")
    return data[start:end], end
