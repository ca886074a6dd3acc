"""What the gateway does for calls that run: it notices that a client has left, and that a time has run out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.gateway.asked import Request, parse
from app.gateway.inflight import InFlight
from app.gateway.offers import offer
from app.gateway.places import Places
from app.gateway.running import Running, has_closed, leave_place
from app.http import Connection
from app.http.request import Address
from app.limits import admission, places
from app.limits.meters import Tokens, places_key
from app.limits.places import Place, Room
from app.router_settings import Router
from tests.gateway.running import an_event
from tests.journeys.waiting import until
from tests.services.settings import MOCK
from tests.services.valkey import Valkey


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
    until(lambda: has_closed(server))


def test_a_client_behind_a_unix_socket_is_not_taken_for_one_that_left() -> None:
    client, server = socket.socketpair()
    with client, server:
        assert not has_closed(server)


def connected(sock: socket.socket) -> Connection:
    """A connection to a provider, once it is there."""
    connection = Connection(Address("http", "127.0.0.1", 80))
    connection.sock = sock
    return connection


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that a test may freeze."""
    with Valkey(tmp_path) as running:
        yield running
        redis.client.close()


@pytest.fixture
def in_flight(redis_server: Valkey) -> Iterator[InFlight]:
    redis.init_app(redis_server.url)
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
    running.connection = connected(ours)
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
        running.connection = connected(ours)
        provider.settimeout(5)
        assert provider.recv(1) == b""


ONE = Room("a", max_parallel=1)


def places_taken() -> int:
    return int(redis.client.zcard(places_key("a")))


def test_a_place_whose_call_ends_while_redis_is_frozen_is_given_back_when_it_answers(
    in_flight: InFlight, redis_server: Valkey
) -> None:
    running = started(in_flight)
    found = places.take("req_1:1", [ONE], "given", 30_000, Tokens(), stream=False)
    assert isinstance(found, Place)
    running.place = found
    redis_server.stop()
    leave_place(running, 0)
    redis_server.cont()
    until(lambda: places_taken() == 0)


def test_a_place_that_redis_gave_to_a_call_that_did_not_hear_of_it_is_given_back(
    in_flight: InFlight, redis_server: Valkey
) -> None:
    running = started(in_flight)
    one = offer(replace(MOCK, id="a", max_parallel_requests=1))
    asked = parse(Request("chat/completions", b'{"model": "m", "messages": []}', {}))
    seats = Places(Router(), [one], asked, lease=30.0, wait=0)
    redis_server.stop()
    with pytest.raises(LimitsUnavailable):
        seats.take([one.deployment], running, wait=False)
    redis_server.cont()
    until(lambda: not running.unleft)
    assert places_taken() == 0
