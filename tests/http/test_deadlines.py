"""A provider that is silent, slow or endless is given up in time, and a call can be broken off from outside."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from app.errors import ProviderFailed, ProviderTimedOut
from app.http import Pool
from tests.http.conftest import BODY, HEADERS, PATIENCE, Fetch, Nobody, Post, waiting
from tests.http.raw_server import Line, RawServer, Script, answer, answers
from tests.http.test_pool import until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.3
DRIP = 0.02


def silent(line: Line) -> None:
    line.request()
    line.wait_for_the_end()


def dripping(data: bytes) -> Callable[[Line], None]:
    """Byte by byte, and when that is over the last one again and again, for ever."""

    def script(line: Line) -> None:
        line.request()
        for place in range(1_000_000):
            line.send(data[place : place + 1] or data[-1:])
            time.sleep(DRIP)

    return script


def waiting_for(stop: threading.Event) -> Script:
    """Neither reads nor writes."""

    def script(_: Line) -> None:
        stop.wait(PATIENCE)

    return script


def test_a_provider_that_says_nothing_is_given_up(post: Post) -> None:
    with RawServer(silent) as server, pytest.raises(ProviderTimedOut, match="did not answer in time"):
        post(server.url, first=SHORT)


def test_a_provider_that_does_not_even_read_is_given_up(post: Post) -> None:
    stop = threading.Event()
    with RawServer(waiting_for(stop)) as server:
        with pytest.raises(ProviderTimedOut, match="did not answer in time"):
            post(server.url, body=bytes(50_000_000), first=SHORT)
        stop.set()


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nX: y", b"\r\n", b"HTTP/1.1 200 O"])
def test_a_head_that_comes_byte_by_byte_is_given_up(post: Post, data: bytes) -> None:
    with RawServer(dripping(data)) as server, pytest.raises(ProviderTimedOut, match="did not answer in time"):
        post(server.url, first=SHORT)


def test_interim_answers_do_not_count_as_one(post: Post) -> None:
    def script(line: Line) -> None:
        line.request()
        while True:
            line.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(DRIP)

    with RawServer(script) as server, pytest.raises(ProviderTimedOut, match="did not answer in time"):
        post(server.url, first=SHORT)


def test_a_body_whose_first_byte_does_not_come_is_given_up(post: Post) -> None:
    with RawServer(answers(CHUNKED)) as server:
        chunks = post(server.url, first=SHORT).chunks()
        with pytest.raises(ProviderTimedOut, match="stopped sending"):
            next(chunks)


def test_a_body_that_falls_silent_is_given_up(post: Post, pool: Pool) -> None:
    with RawServer(answers(CHUNKED + b"3\r\none\r\n")) as server:
        chunks = post(server.url, idle=SHORT).chunks()
        assert next(chunks) == b"one"
        with pytest.raises(ProviderTimedOut, match="stopped sending"):
            next(chunks)
        assert not any(pool._idle.values())


@pytest.mark.parametrize("data", [b"3;ext", b"0\r\nX-Trailer: y"], ids=["a chunk's extension", "trailers"])
def test_bytes_that_are_no_body_do_not_count_as_one(post: Post, data: bytes) -> None:
    def script(line: Line) -> None:
        line.request()
        line.send(CHUNKED + b"3\r\none\r\n")
        for place in range(1_000_000):
            line.send(data[place : place + 1] or data[-1:])
            time.sleep(DRIP)

    with RawServer(script) as server:
        chunks = post(server.url, idle=SHORT).chunks()
        assert next(chunks) == b"one"
        with pytest.raises(ProviderTimedOut, match="stopped sending"):
            next(chunks)


def test_a_body_that_comes_byte_by_byte_lasts_no_longer_than_it_may(post: Post) -> None:
    with RawServer(dripping(b"HTTP/1.1 200 OK\r\n\r\nx")) as server:
        began = time.monotonic()
        chunks = post(server.url, within=3 * SHORT).chunks()
        with pytest.raises(ProviderTimedOut, match="took longer than it may"):
            list(chunks)
        assert time.monotonic() - began < PATIENCE


def test_a_head_lasts_no_longer_than_all_may(post: Post) -> None:
    with RawServer(silent) as server, pytest.raises(ProviderTimedOut, match="took longer than it may"):
        post(server.url, within=SHORT)


def test_connecting_lasts_no_longer_than_all_may(post: Post) -> None:
    stop = threading.Event()
    with RawServer(waiting_for(stop)) as server:
        with pytest.raises(ProviderTimedOut, match="took longer than it may"):
            post(server.url.replace("http:", "https:"), within=SHORT)
        stop.set()


def test_a_reader_that_takes_its_time_is_not_the_providers_silence(post: Post) -> None:
    with RawServer(answers(CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n")) as server:
        chunks = post(server.url, idle=2 * SHORT).chunks()
        pieces = [next(chunks)]
        time.sleep(3 * SHORT)
        assert b"".join([*pieces, *chunks]) == b"onetwo"


def test_a_connection_that_is_not_accepted_is_given_up(post: Post) -> None:
    """A full queue of connections that nobody accepts drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        full = [socket.socket() for _ in range(4)]
        for sock in full:
            sock.settimeout(0)
            sock.connect_ex(address)
        try:
            with pytest.raises(ProviderFailed, match="cannot be reached"):
                post(f"http://127.0.0.1:{address[1]}/", connect=SHORT)
        finally:
            for sock in full:
                sock.close()


def test_a_name_that_is_not_found_in_time_is_given_up(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(PATIENCE) and [])
    try:
        with pytest.raises(ProviderFailed, match="cannot be reached"):
            post("http://api.example/", connect=SHORT)
    finally:
        found.set()


# Broken off from outside


def broken_off(pool: Pool, url: str, when: Callable[[Nobody], object]) -> ProviderFailed:
    """What the call gets that is broken off by another thread as soon as `when` is true."""
    holder = Nobody()
    errors: list[ProviderFailed] = []

    def call() -> None:
        try:
            one = pool.post(url, HEADERS, BODY, waiting(), holder)
            try:
                list(one.chunks())
            finally:
                one.close()
        except ProviderFailed as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: when(holder))
    assert holder.connection is not None
    holder.connection.abort()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    (error,) = errors
    assert not isinstance(error, ProviderTimedOut)
    return error


def test_a_call_that_waits_for_an_answer_can_be_broken_off(pool: Pool) -> None:
    with RawServer(silent) as server:
        broken_off(pool, server.url, lambda _: server.seen)


@pytest.mark.parametrize(
    "head", [CHUNKED + b"3\r\none\r\n", b"HTTP/1.1 200 OK\r\n\r\none"], ids=["chunks", "no length"]
)
def test_a_call_that_waits_for_the_rest_can_be_broken_off_and_is_not_whole(pool: Pool, head: bytes) -> None:
    sent = threading.Event()

    def script(line: Line) -> None:
        line.request()
        line.send(head)
        sent.set()
        line.wait_for_the_end()

    with RawServer(script) as server:
        broken_off(pool, server.url, lambda _: sent.is_set())


def test_a_call_that_waits_for_a_name_can_be_broken_off(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(PATIENCE) and [])
    try:
        broken_off(pool, "http://api.example/", lambda holder: holder.connection)
    finally:
        found.set()


def test_a_connection_that_was_broken_off_is_not_used_again(fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers(answer(b"one"))) as server:
        holder = Nobody()
        one = pool.post(server.url, HEADERS, BODY, waiting(), holder)
        assert b"".join(one.chunks()) == b"one"
        assert holder.connection is not None
        holder.connection.abort()
        one.close()
        assert fetch(server.url).body == b"one"
        assert server.lines == 2


def test_a_call_that_is_over_has_no_connection_that_could_be_broken_off(pool: Pool) -> None:
    with RawServer(answers(answer(b"one"))) as server:
        holder = Nobody()
        one = pool.post(server.url, HEADERS, BODY, waiting(), holder)
        list(one.chunks())
        one.close()
        assert holder.connection is None
