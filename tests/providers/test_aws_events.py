"""Frames are read as AWS's own library reads them, and broken ones end the stream without a sound."""

from __future__ import annotations

import itertools
import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from app.providers.aws_events import MOST_HEADER_BYTES, MOST_PAYLOAD_BYTES, Frame, FrameReader
from tests.providers import aws_frames
from tests.providers.aws_frames import Header, frame, text


def header(kind: int, size: int) -> st.SearchStrategy[Header]:
    return st.binary(min_size=size, max_size=size).map(lambda value: (kind, value))


HEADERS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20).map(text),
    st.binary(max_size=20).map(lambda value: (6, struct.pack(">H", len(value)) + value)),
    *(header(kind, size) for kind, size in {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}.items()),
)
FRAMES = st.tuples(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=10), HEADERS, max_size=4), st.binary(max_size=80)
)


def read(stream: bytes, cuts: list[int]) -> tuple[list[Frame], FrameReader]:
    reader = FrameReader()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [found for start, end in itertools.pairwise(places) for found in reader.feed(stream[start:end])], reader


@given(st.lists(FRAMES, max_size=5), st.lists(st.integers(0, 600), max_size=8))
def test_frames_are_botocores(frames: list[tuple[dict[str, Header], bytes]], cuts: list[int]) -> None:
    stream = b"".join(frame(*each) for each in frames)
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [
        Frame({name: value for name, value in each.headers.items() if isinstance(value, str)}, each.payload)
        for each in buffer
    ]
    ours, reader = read(stream, cuts)
    assert (ours, reader.broken) == (theirs, False)
    assert len(ours) == len(frames)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_make_it_raise(reads: list[bytes]) -> None:
    reader = FrameReader()
    assert [found for data in reads for found in reader.feed(data)] == []


@given(FRAMES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(made: tuple[dict[str, Header], bytes], place: int, change: int) -> None:
    good = frame(*made)
    broken = bytearray(good)
    broken[place % len(good)] ^= change
    frames, reader = read(good + bytes(broken) + good, [])
    assert (len(frames), reader.broken) == (1, True)


def test_nothing_is_read_after_a_broken_frame() -> None:
    reader = FrameReader()
    reader.feed(b"\0" * 12)
    assert (reader.broken, reader.feed(aws_frames.event("messageStop", {}))) == (True, [])


@pytest.mark.parametrize(
    ("length", "headers_length"),
    [(0, 0), (15, 0), (20, 5), (2**32 - 1, 0), (MOST_PAYLOAD_BYTES + 17, 0), (2**20, MOST_HEADER_BYTES + 1)],
)
def test_an_impossible_length_is_not_waited_for(length: int, headers_length: int) -> None:
    prelude = struct.pack(">II", length, headers_length)
    reader = FrameReader()
    reader.feed(prelude + struct.pack(">I", crc32(prelude)))
    assert reader.broken


@pytest.mark.parametrize(
    "packed",
    [
        b"\x05a",
        b"\x01a",
        b"\x01a\x07",
        b"\x01a\x07\0\x05abc",
        b"\x01a\x63",
        b"\x01\xff\x07\0\0",
        b"\x01a\x07\0\x01\xff",
    ],
)
def test_headers_that_are_none_break_the_stream(packed: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(packed), len(packed))
    message = prelude + struct.pack(">I", crc32(prelude)) + packed
    frames, reader = read(message + struct.pack(">I", crc32(message)), [])
    assert (frames, reader.broken) == ([], True)


def test_an_event_and_a_failure_are_told_apart() -> None:
    (event, failure), _ = read(
        aws_frames.event("messageStop", {}) + aws_frames.exception("throttlingException", "slow down"), []
    )
    assert (event.event, event.failure) == ("messageStop", "")
    assert (failure.event, failure.failure) == (None, "throttlingException")
