"""How the gateway notices that a client has left."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.gateway.running import has_closed
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
