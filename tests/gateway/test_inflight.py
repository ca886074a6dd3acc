"""What the gateway does for calls that run: it notices that a client has left, and that a time has run out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from app.extensions import redis
from app.gateway.inflight import InFlight
from app.gateway.running import Running, has_closed
from app.limits import admission
from app.limits.meters import Tokens
from tests.gateway.running import an_event
from tests.journeys.waiting import until


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and the server's side of its connection, over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with client, server:
            yield client, server


def test_a_client_that_waits_has_not_left(pair: tuple[socket.socket, socket.socket]) -> None:
    _, server = pair
    assert not has_closed(server)


def test_a_client_that_has_sent_more_has_not_left(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert not has_closed(server)


def test_a_client_that_closed_its_connection_has_left(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    client.close()
    until(lambda: has_closed(server), seconds=2)


def test_a_client_behind_a_unix_socket_is_not_taken_for_one_that_left() -> None:
    client, server = socket.socketpair()
    with client, server:
        assert not has_closed(server)


@dataclass
class Upstream:
    """A connection to a provider, once it is there."""

    sock: socket.socket | None = None


@pytest.fixture
def in_flight(redis_url: str) -> Iterator[InFlight]:
    redis.init_app(redis_url)
    admission.warm_up(at_once=True)
    found = InFlight(30.0, nullcontext)
    yield found
    found.close()


def started(in_flight: InFlight, client: socket.socket | None = None) -> Running:
    return in_flight.start(an_event("req_1"), (), Tokens(), client)


def test_a_call_whose_time_ends_while_it_connects_is_cut_off_as_soon_as_it_has_a_connection(
    in_flight: InFlight, pair: tuple[socket.socket, socket.socket]
) -> None:
    provider, ours = pair
    running = started(in_flight)
    running.deadline = time.monotonic()
    until(lambda: running.cut)
    running.connection = Upstream(ours)
    provider.settimeout(5)
    assert provider.recv(1) == b""


def test_a_client_that_leaves_while_its_call_connects_is_not_answered_by_a_provider(
    in_flight: InFlight, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, accepted = pair
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        provider, _ = listening.accept()
    with ours, provider:
        running = started(in_flight, accepted)
        client.close()
        until(lambda: running.left)
        running.connection = Upstream(ours)
        provider.settimeout(5)
        assert provider.recv(1) == b""
