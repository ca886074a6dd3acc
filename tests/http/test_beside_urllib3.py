"""The client that ours replaced, before the same server: ours reads what it read and refuses what it refused.

Where ours is stricter it says so: these are answers that two readers may understand in two ways (RFC 9112, "Message
Body Length"), and on a kept connection that is how one call gets another's answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ProviderFailed
from app.http import Pool
from tests.http.conftest import BODY, HEADERS, Nobody, waiting
from tests.http.raw_server import Line, RawServer
from tests.http.test_message import BROKEN, WHOLE, cut

# urllib3 2 over http.client reads these as if nothing were wrong with them.
STRICTER = {
    "one length twice",
    "a length with a sign",
    "a length in hex",
    "a negative length",
    "a list of lengths",
    "an empty length",
    "length and chunks",
    "chunks and length",
    "a space before the colon",
    "another transfer coding",
    "another transfer coding in chunks",
    "chunks inside of another coding",
    "chunks twice",
    "a coding that only looks like chunks",
    "a chunk of a size in 0x",
    "a chunk with a space behind its size",
    "a head with bare line feeds",
    "a header with a carriage return",
    "a header with a zero byte",
    "a folded header",
    "a header without a colon",
    "a space before the first header",
    "HTTP/0.9 in the status line",
    "a status that there is not",
    "a change of protocols",
}

# http.client knows no empty line before an answer, and takes every interim answer but 100 for the answer.
ALIKE = sorted(WHOLE.keys() - {"after an empty line", "after 103 twice"})

Said = tuple[int, bytes, dict[str, str]] | None


def ours(url: str) -> Said:
    """Status, body and headers; None: refused."""
    pool = Pool()
    try:
        one = pool.post(url, HEADERS, BODY, waiting(), Nobody())
        try:
            return one.status, b"".join(one.chunks()), dict(one.headers)
        finally:
            one.close()
    except ProviderFailed:
        return None
    finally:
        pool.close()


def urllib3s(url: str) -> Said:
    with urllib3.PoolManager(retries=False) as pool:
        try:
            one = pool.urlopen("POST", url, body=BODY, headers=HEADERS, redirect=False, preload_content=False)
            body = b"".join(one.stream(65536, decode_content=True))
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            # ValueError: it falls over a chunk of a negative size.
            return None
        return one.status, body, {name.lower(): value for name, value in one.headers.items()}


@contextmanager
def telling(pieces: list[bytes]) -> Iterator[str]:
    """The URL of a server that sends these to each request, and then closes."""

    def script(line: Line) -> None:
        line.request()
        for piece in pieces:
            line.send(piece)

    with RawServer(script) as server:
        yield server.url


def both(pieces: list[bytes]) -> tuple[Said, Said]:
    with telling(pieces) as url:
        return ours(url), urllib3s(url)


@pytest.mark.parametrize("name", ALIKE)
def test_whole_answers_say_the_same(name: str) -> None:
    mine, theirs = both([WHOLE[name][0]])
    assert mine == theirs
    assert mine is not None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ALIKE), st.lists(st.integers(min_value=0, max_value=500), max_size=6))
def test_whole_answers_say_the_same_wherever_they_are_cut(name: str, places: list[int]) -> None:
    mine, theirs = both(cut(WHOLE[name][0], places))
    assert mine == theirs


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - STRICTER))
def test_what_urllib3_refuses_ours_refuses(name: str) -> None:
    assert both([BROKEN[name]]) == (None, None)


@pytest.mark.parametrize("name", sorted(STRICTER))
def test_ours_refuses_what_urllib3_reads(name: str) -> None:
    mine, theirs = both([BROKEN[name]])
    assert mine is None
    assert theirs is not None


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.integers(min_value=0, max_value=80))
def test_what_ours_reads_of_changed_bytes_is_what_urllib3_reads(noise: bytes, place: int) -> None:
    data = WHOLE["in chunks"][0]
    mine, theirs = both([data[:place] + noise + data[place + len(noise) :]])
    assert mine is None or (theirs is not None and mine[:2] == theirs[:2])
