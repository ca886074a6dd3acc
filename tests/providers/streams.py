"""Ways to write and to read streams of events in tests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from app.providers.base import StreamReader


def event(value: dict[str, Any]) -> bytes:
    """As OpenAI writes an event that has a type."""
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def read(reader: StreamReader, stream: bytes, cuts: Sequence[int] = ()) -> tuple[list[bytes], bytes]:
    """The pieces that a reader passes on, and its rest."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [piece for start, end in itertools.pairwise(places) for piece in reader.feed(stream[start:end])]
    return pieces, reader.rest()


def outcome(make: Callable[[], StreamReader], stream: bytes, cuts: Sequence[int]) -> tuple[object, ...]:
    """Everything that a reader makes of a stream."""
    reader = make()
    pieces, rest = read(reader, stream, cuts)
    return b"".join(pieces), rest, reader.counts, reader.tier, reader.finished, reader.text_bytes
