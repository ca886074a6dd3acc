"""Answers of Redis are read as they come, whole or in pieces, and whatever is no answer ends the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.limits.wire import Wire

PATIENCE = 0.3


class Peer:
    """A wire, and the socket that speaks for Redis."""

    def __init__(self) -> None:
        near, self.redis = socket.socketpair()
        near.settimeout(PATIENCE)
        self.near = near
        self.wire = Wire(near)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.wire.close()
    peer.near.close()
    peer.redis.close()


def test_answers_come_in_the_order_of_the_commands(peer: Peer) -> None:
    peer.redis.sendall(b":1\r\n$3\r\nabc\r\n*2\r\n+OK\r\n$-1\r\n")
    assert [peer.wire.answer() for _ in range(3)] == [1, b"abc", [b"OK", None]]


def test_an_answer_may_come_in_pieces(peer: Peer) -> None:
    pieces = [b"$", b"5\r\nhe", b"llo", b"\r\n"]
    timers = [threading.Timer(number / 50, peer.redis.sendall, [piece]) for number, piece in enumerate(pieces)]
    for timer in timers:
        timer.start()
    assert peer.wire.answer() == b"hello"
    for timer in timers:
        timer.join()


def test_commands_larger_than_the_sockets_buffer_go_out_whole(peer: Peer) -> None:
    commands, read = bytes(5_000_000), bytearray()

    def reading() -> None:
        while len(read) < len(commands):
            read.extend(peer.redis.recv(1 << 20))

    reader = threading.Thread(target=reading)
    reader.start()
    peer.wire.send(commands)
    reader.join()
    assert bytes(read) == commands


def test_an_error_is_raised_and_the_next_answer_is_the_next_commands(peer: Peer) -> None:
    peer.redis.sendall(b"-ERR no\r\n:2\r\n")
    with pytest.raises(ResponseError, match="ERR no"):
        peer.wire.answer()
    assert peer.wire.answer() == 2


def test_a_script_that_redis_does_not_know_is_told_apart(peer: Peer) -> None:
    peer.redis.sendall(b"-NOSCRIPT No matching script.\r\n")
    with pytest.raises(NoScriptError):
        peer.wire.answer()


def test_what_redis_says_unasked_is_no_answer(peer: Peer) -> None:
    peer.redis.sendall(b">2\r\n+invalidate\r\n*0\r\n:3\r\n")
    assert peer.wire.answer() == 3


def test_a_connection_that_ends_before_the_answer_is_an_error(peer: Peer) -> None:
    peer.redis.sendall(b"$5\r\nhe")
    peer.redis.close()
    with pytest.raises(RedisConnectionError):
        peer.wire.answer()


def test_a_redis_that_says_nothing_is_given_up(peer: Peer) -> None:
    with pytest.raises(RedisTimeoutError):
        peer.wire.answer()


def test_what_is_no_answer_of_redis_is_an_error(peer: Peer) -> None:
    peer.redis.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(InvalidResponse):
        peer.wire.answer()


def test_nothing_can_be_sent_to_a_redis_that_is_gone(peer: Peer) -> None:
    peer.redis.close()
    with pytest.raises(RedisConnectionError):
        peer.wire.send(b"command")
