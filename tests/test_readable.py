"""Waiting for one of gevent's sockets: what comes ends the wait, and so does its own deadline, and nobody else's."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import gevent  # type: ignore[import-untyped]
import pytest
from gevent.socket import socketpair  # type: ignore[import-untyped]

from app.readable import Readable

SOON, LATER, NEVER = 0.05, 0.3, 60.0


class Pair:
    """A socket that is waited for, and the one that speaks to it."""

    def __init__(self) -> None:
        self.near, self.far = socketpair()
        self.readable = Readable(self.near)

    def wait(self, seconds: float) -> bytes:
        self.readable.wait(time.monotonic() + seconds)
        return bytes(self.near.recv(100))

    def says(self, word: bytes, after: float = SOON) -> None:
        gevent.spawn_later(after, self.far.send, word)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.readable.close()
    pair.near.close()
    pair.far.close()


def test_a_wait_ends_when_something_comes(pair: Pair) -> None:
    pair.says(b"hello")
    assert pair.wait(NEVER) == b"hello"


def test_a_wait_ends_when_the_other_side_has_closed(pair: Pair) -> None:
    gevent.spawn_later(SOON, pair.far.close)
    assert pair.wait(NEVER) == b""


def test_a_wait_without_a_deadline_ends_when_something_comes(pair: Pair) -> None:
    pair.says(b"hello")
    pair.readable.wait()
    assert pair.near.recv(100) == b"hello"


def test_a_deadline_ends_a_wait(pair: Pair) -> None:
    with pytest.raises(TimeoutError):
        pair.wait(SOON)


def test_what_comes_behind_a_deadline_is_still_there_for_the_next_wait(pair: Pair) -> None:
    pair.says(b"hello", LATER)
    with pytest.raises(TimeoutError):
        pair.wait(SOON)
    assert pair.wait(NEVER) == b"hello"


def test_a_deadline_that_is_over_ends_a_wait_for_what_has_come(pair: Pair) -> None:
    pair.far.send(b"hello")
    with pytest.raises(TimeoutError):
        pair.wait(0)


def test_the_deadline_of_an_earlier_wait_does_not_end_a_later_one(pair: Pair) -> None:
    pair.says(b"one", 0)
    pair.wait(SOON)
    pair.says(b"two", LATER)
    assert pair.wait(NEVER) == b"two"


def test_a_later_wait_may_have_the_nearer_deadline(pair: Pair) -> None:
    pair.says(b"one", 0)
    pair.wait(NEVER)
    with pytest.raises(TimeoutError):
        pair.wait(SOON)


def test_a_later_wait_has_a_deadline_of_its_own_behind_an_earlier_alarm(pair: Pair) -> None:
    pair.says(b"one", 0)
    pair.wait(SOON)
    with pytest.raises(TimeoutError):
        pair.wait(LATER)


def test_an_alarm_that_arrives_when_its_wait_is_over_does_not_end_the_next(pair: Pair) -> None:
    watcher = pair.readable._watcher
    gevent.spawn_later(SOON, gevent.get_hub().cancel_wait, watcher, TimeoutError())
    pair.says(b"hello", LATER)
    assert pair.wait(NEVER) == b"hello"


def test_a_socket_that_is_not_gevents_waits_by_itself() -> None:
    with socket.socket() as plain:
        assert Readable.of(plain) is None


def test_what_is_there_already_is_told_without_waiting(pair: Pair) -> None:
    before = pair.readable.is_now()
    pair.far.send(b"hello")
    assert (before, pair.readable.is_now()) == (False, True)


def test_an_end_is_something_to_read(pair: Pair) -> None:
    pair.far.close()
    assert pair.readable.is_now()
