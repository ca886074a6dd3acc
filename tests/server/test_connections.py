"""Clients that are slow, many, or gone, and what becomes of connections when the server ends."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from app.local.valkey import free_port
from tests.server.conftest import GRACE_SECONDS, KEEP_ALIVE_SECONDS, WORKERS, start
from tests.server.wire import HOST, Wire, request

IDLE = 2000


def within(seconds: float, question: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not question():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def closed_streams(port: int) -> int:
    with Wire(port) as wire:
        return int(wire.ask("/closed").body)


@pytest.mark.parametrize("text", [b"", b"GET /ec", request("/echo") + b"GET /ec", b"GET /echo HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_does_not_end_its_head_is_let_go(wire: Wire, text: bytes) -> None:
    wire.send(text)
    began = time.monotonic()
    wire.rest()
    assert KEEP_ALIVE_SECONDS - 1 < time.monotonic() - began < KEEP_ALIVE_SECONDS + 3


def test_a_head_that_drips_is_let_go_as_well(wire: Wire) -> None:
    began = time.monotonic()
    with suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() - began < 10:
            wire.send(b"X")
            time.sleep(0.1)
    assert time.monotonic() - began < KEEP_ALIVE_SECONDS + 3


def test_a_connection_is_kept_while_it_is_used(wire: Wire) -> None:
    for _ in range(4):
        assert wire.ask("/echo", b"body").status == 200
        time.sleep(KEEP_ALIVE_SECONDS * 0.4)


def test_an_answer_may_take_longer_than_an_idle_connection_is_kept(wire: Wire) -> None:
    assert wire.ask(f"/slow?{KEEP_ALIVE_SECONDS + 2}", b"body").body == b"slow"
    assert wire.ask("/echo", b"body").status == 200


def test_clients_that_do_not_read_hold_up_nobody(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Wire(port)).send(request("/large"))
        with Wire(port) as wire:
            began = time.monotonic()
            assert wire.ask("/echo", b"body").status == 200
            assert time.monotonic() - began < 5


def test_clients_that_do_not_send_their_bodies_hold_up_nobody(port: int) -> None:
    with ExitStack() as stack:
        for size in (10, 10_000, 10_000_000):
            head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
            stack.enter_context(Wire(port)).send(head)
        with Wire(port) as wire:
            assert wire.ask("/echo", b"body").status == 200


def test_a_client_that_has_said_everything_is_still_answered(wire: Wire) -> None:
    wire.send(request("/slow?0.2", b"body"))
    wire.socket.shutdown(1)
    assert wire.answer().body == b"slow"
    assert wire.has_ended()


def test_a_client_that_leaves_ends_its_stream(port: int) -> None:
    before = closed_streams(port)
    with Wire(port) as wire:
        wire.send(request("/events?1000")).socket.recv(100)
        wire.reset()
    assert within(5, lambda: closed_streams(port) == before + 1)


def test_a_client_that_resets_in_its_body_harms_nobody(port: int) -> None:
    for size in (100, 100_000, 5_000_000):
        with Wire(port) as wire:
            wire.send(request("/echo", bytes(size))[:-50])
            wire.reset()
    with Wire(port) as wire:
        assert wire.ask("/echo", b"body").status == 200


def test_a_connection_that_is_used_at_its_last_moment_answers_or_ends(port: int) -> None:
    """What must not be: half an answer, or somebody else's."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(port)) for _ in range(16)]
        began = []
        for wire in wires:
            assert wire.ask("/echo", b"first").status == 200
            began.append(time.monotonic())
        for number, wire in enumerate(wires):
            time.sleep(max(0, began[number] + KEEP_ALIVE_SECONDS - 0.4 + number * 0.1 - time.monotonic()))
            try:
                answer = wire.ask(f"/echo?{number}", b"second")
            except (ConnectionError, BrokenPipeError):
                continue
            assert (answer.status, answer.json["QUERY_STRING"], answer.whole) == (200, str(number), True)


def test_thousands_of_idle_connections_are_held(port: int) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > IDLE + 500
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(port)) for _ in range(IDLE)]
        with Wire(port) as wire:
            assert wire.ask("/echo", b"body").status == 200
        # Those that came last cannot have been idle for long.
        assert [wire.ask("/echo", b"body").status for wire in wires[-50:]] == [200] * 50


@pytest.mark.parametrize("worker", WORKERS)
def test_a_server_that_ends_lets_calls_and_streams_finish(worker: str, tmp_path: Path) -> None:
    port = free_port()
    with start(WORKERS[worker], port, tmp_path) as server, Wire(port) as call, Wire(port) as stream, Wire(port) as idle:
        idle.ask("/echo", b"body")
        call.send(request("/slow?2", b"body"))
        stream.send(request("/events?40", b"body"))
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGTERM)
        assert (call.answer().body, stream.answer().whole) == (b"slow", True)
        assert (call.has_ended(), stream.has_ended()) == (True, True)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_server_that_ends_cuts_off_what_is_longer_than_its_patience(worker: str, tmp_path: Path) -> None:
    port = free_port()
    with start(WORKERS[worker], port, tmp_path) as server, Wire(port) as wire:
        wire.send(request("/events?10000", b"body"))
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGTERM)
        began = time.monotonic()
        wire.socket.settimeout(GRACE_SECONDS + 5)
        assert not wire.answer().whole
        assert time.monotonic() - began < GRACE_SECONDS + 4


def test_our_server_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    """gunicorn's worker waits for them until its patience ends."""
    port = free_port()
    with start(WORKERS["ours"], port, tmp_path) as server, Wire(port) as used, Wire(port) as new:
        used.ask("/echo", b"body")
        os.kill(server.pid, signal.SIGTERM)
        began = time.monotonic()
        assert (used.has_ended(), new.has_ended()) == (True, True)
        assert time.monotonic() - began < KEEP_ALIVE_SECONDS - 0.2
        server.end(seconds=4)
        assert "graceful timeout" not in server.log.read_text()
