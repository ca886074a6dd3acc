"""Bytes are taken apart in the same way however they were cut, and what is no answer is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.message import MOST_HEAD_BYTES, MOST_HEADERS, Broken, Message

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# By name: bytes, and what they say: status, body, whether the connection may be used again.
WHOLE: dict[str, tuple[bytes, tuple[int, bytes, bool]]] = {
    "with a length": (OK + b"Content-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "with an empty body": (OK + b"Content-Length: 0\r\n\r\n", (200, b"", True)),
    "in chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", (200, b"hello", True)),
    "in chunks with extensions": (CHUNKED + b'2;a=b\r\nhe\r\n3;c="d"\r\nllo\r\n0\r\n\r\n', (200, b"hello", True)),
    "in chunks with trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nDate: x\r\n\r\n", (200, b"hello", True)),
    "in chunks of sizes with zeros and capitals": (
        CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n",
        (200, b"0123456789", True),
    ),
    "in no chunks at all": (CHUNKED + b"0\r\n\r\n", (200, b"", True)),
    "that closes": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", False)),
    "in HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", False)),
    "in HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "without a reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    "304 that tells a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, b"", True)),
    "an error": (b"HTTP/1.1 429 Slow\r\nContent-Length: 5\r\n\r\nhello", (429, b"hello", True)),
    "after 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "after 103 twice": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + OK + b"Content-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "after 100 with a length": (
        b"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "after an empty line": (b"\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "with a header without a value": (OK + b"X:\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
}

BROKEN: dict[str, bytes] = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "one length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": OK + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "a length in hex": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "an empty length": OK + b"Content-Length:\r\n\r\nhello",
    "a length beyond all bounds": OK + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a space before the colon": OK + b"Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "another transfer coding": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "another transfer coding in chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks inside of another coding": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that only looks like chunks": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk of a size in 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk of a size beyond all bounds": CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "a chunk with a space behind its size": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + b"5\nhello\n0\n\n",
    "a head with bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a header with a carriage return": OK + b"X: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    "a header with a zero byte": OK + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "a folded header": OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a header without a colon": OK + b"Content-Length\r\n\r\nhello",
    "a space before the first header": OK + b" X: a\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/2.0 in text": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/0.9 in the status line": b"HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status that there is not": b"HTTP/1.1 999 OK\r\nContent-Length: 5\r\n\r\nhello",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a change of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
}


def read(*pieces: bytes) -> Message:
    message = Message()
    for piece in pieces:
        message.feed(piece)
    return message


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(data) for place in places}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_read(name: str) -> None:
    data, (status, body, stays) = WHOLE[name]
    message = read(data)
    assert (message.complete, message.status, message.take(), message.stays) == (True, status, body, stays)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_says_the_same_when_every_byte_comes_alone(name: str) -> None:
    data, (status, body, stays) = WHOLE[name]
    message = read(*(data[place : place + 1] for place in range(len(data))))
    assert (message.complete, message.status, message.take(), message.stays) == (True, status, body, stays)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_not_complete_before_its_last_byte(name: str) -> None:
    data, _ = WHOLE[name]
    assert not read(*([data[:-1]] if data[:-1] else [])).complete


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(min_value=0, max_value=500), max_size=8))
def test_an_answer_says_the_same_wherever_it_is_cut(name: str, places: list[int]) -> None:
    data, (status, body, stays) = WHOLE[name]
    message = read(*cut(data, places))
    assert (message.complete, message.status, message.take(), message.stays) == (True, status, body, stays)


@given(st.sampled_from(sorted(WHOLE)), st.integers(min_value=0, max_value=500))
def test_an_answer_that_is_cut_off_is_broken(name: str, place: int) -> None:
    data, _ = WHOLE[name]
    part = data[: place % len(data)]
    message = read(*([part] if part else []))
    with pytest.raises(Broken):
        message.end()


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer_is_refused(name: str) -> None:
    with pytest.raises(Broken):
        read(BROKEN[name]).end()


@given(st.sampled_from(sorted(BROKEN)), st.lists(st.integers(min_value=0, max_value=500), max_size=8))
def test_what_is_no_answer_is_refused_wherever_it_is_cut(name: str, places: list[int]) -> None:
    with pytest.raises(Broken):
        read(*cut(BROKEN[name], places)).end()


@given(st.binary(min_size=1, max_size=300))
def test_nothing_but_broken_comes_of_garbage(data: bytes) -> None:
    try:
        message = read(data)
        message.end()
    except Broken:
        return
    assert message.complete


@given(st.binary(min_size=1, max_size=300), st.integers(min_value=0, max_value=100))
def test_nothing_but_broken_comes_of_an_answer_in_which_bytes_were_changed(noise: bytes, place: int) -> None:
    data = WHOLE["in chunks with trailers"][0]
    try:
        message = read(data[:place] + noise + data[place + len(noise) :])
        message.end()
    except Broken:
        return
    assert message.complete


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    message = read(OK + b"\r\nhel", b"lo")
    assert not message.complete
    message.end()
    assert (message.complete, message.take(), message.stays) == (True, b"hello", False)


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"x", b"\0"])
@pytest.mark.parametrize("separately", [False, True])
@pytest.mark.parametrize("name", ["with a length", "in chunks", "that closes", "204", "after 100"])
def test_what_comes_behind_an_answer_is_no_part_of_it(name: str, more: bytes, *, separately: bool) -> None:
    data, (status, body, _) = WHOLE[name]
    message = read(data, more) if separately else read(data + more)
    assert (message.complete, message.status, message.take()) == (True, status, body)
    assert not message.stays


def test_headers_are_found_by_any_case() -> None:
    headers = read(OK + b"Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n").headers
    assert headers["CONTENT-TYPE"] == headers.get("content-type") == "text/plain"
    assert headers.get("Retry-After") is None


def test_headers_of_one_name_stand_in_one_value() -> None:
    assert read(OK + b"A: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n").headers["A"] == "1, 2"


def test_headers_of_an_interim_answer_are_not_the_answers() -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    assert dict(read(data).headers) == {"content-length": "0"}


def test_a_trailer_changes_no_header() -> None:
    data = OK + b"Retry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 9\r\nX: y\r\n\r\n"
    assert dict(read(data).headers) == {"retry-after": "1", "transfer-encoding": "chunked"}


def test_bytes_beyond_ascii_in_a_header_are_latin_1() -> None:
    assert read(OK + b"X: caf\xe9\r\nContent-Length: 0\r\n\r\n").headers["x"] == "caf\u00e9"


def test_as_many_headers_as_may_be_are_read() -> None:
    assert len(read(OK + b"Content-Length: 0\r\n" + many_headers(MOST_HEADERS - 1) + b"\r\n").headers) == MOST_HEADERS


def many_headers(number: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % count for count in range(number))


@pytest.mark.parametrize(
    "data",
    [
        OK + many_headers(MOST_HEADERS + 1) + b"\r\n",
        CHUNKED + b"0\r\n" + many_headers(MOST_HEADERS) + b"\r\n",
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * (MOST_HEADERS + 1)),
        OK + b"X: " + b"y" * MOST_HEAD_BYTES + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * MOST_HEAD_BYTES,
        OK + b"y" * MOST_HEAD_BYTES,
        b"\r\n" * MOST_HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MOST_HEAD_BYTES // 20),
        CHUNKED + b"5;" + b"y" * MOST_HEAD_BYTES,
        CHUNKED + b"0\r\nX: " + b"y" * MOST_HEAD_BYTES,
    ],
    ids=[
        "headers",
        "trailers",
        "headers of interim answers",
        "a header's value",
        "a reason",
        "a header's name",
        "empty lines",
        "interim answers",
        "a chunk's extension",
        "a trailer's value",
    ],
)
@pytest.mark.parametrize("size", [1000, 65536])
def test_what_does_not_end_is_given_up(data: bytes, size: int) -> None:
    message = Message()
    with pytest.raises(Broken):  # noqa: PT012 - which piece it is does not matter
        for start in range(0, len(data), size):
            message.feed(data[start : start + size])


def test_a_long_stream_of_small_chunks_is_no_flood() -> None:
    message = read(CHUNKED)
    for _ in range(MOST_HEAD_BYTES):
        message.feed(b"1\r\n")
        message.feed(b"x\r\n")
        assert message.take() == b"x"
