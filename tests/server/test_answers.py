"""Answers as they go over the wire, also those of an application that does it wrong."""

from __future__ import annotations

import socket
import time

import pytest

from tests.server.wire import Wire, request


def test_an_answer_has_a_head_that_clients_know(wire: Wire) -> None:
    answer = wire.ask("/ignore")
    assert list(answer.headers) == ["server", "date", "connection", "content-type", "content-length"]
    assert (answer.headers["connection"], answer.headers["date"].endswith("GMT")) == ("keep-alive", True)


def test_pieces_are_sent_when_they_are_there(wire: Wire) -> None:
    wire.send(request("/events?4"))
    seen = []
    while b"0\r\n\r\n" not in (data := wire.socket.recv(65536)):
        seen.append((time.monotonic(), data))
    assert len(seen) >= 4
    assert seen[3][0] - seen[0][0] > 0.1


def test_a_stream_is_whole_and_another_request_may_follow(wire: Wire) -> None:
    answer = wire.ask("/events?3", b"body")
    assert (answer.body, answer.whole) == (b"data: 0\n\ndata: 1\n\ndata: 2\n\n", True)
    assert wire.ask("/ignore").body == b"ignored"


def test_a_stream_of_nothing_is_whole(wire: Wire) -> None:
    answer = wire.ask("/events?0")
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)


def test_a_stream_that_breaks_off_does_not_look_whole(wire: Wire) -> None:
    answer = wire.ask("/breaks")
    assert (answer.body, answer.whole, wire.has_ended()) == (b"data: 0\n\n", False, True)


@pytest.mark.parametrize("path", ["/raises", "/silent", "/splits"])
def test_an_application_that_fails_is_an_error_of_the_server(wire: Wire, path: str) -> None:
    answer = wire.ask(path)
    assert (answer.status, answer.headers.get("x-two"), wire.has_ended()) == (500, None, True)


def test_a_status_is_one_line(wire: Wire) -> None:
    answer = wire.ask("/splits-status")
    assert (answer.status, answer.headers.get("x-two")) == (500, None)


def test_an_answer_is_never_longer_than_it_says(wire: Wire) -> None:
    assert wire.ask("/long").body == b"12345"
    assert wire.ask("/ignore").body == b"ignored"


def test_an_answer_that_has_no_body_has_no_framing(wire: Wire) -> None:
    answer = wire.ask("/empty")
    assert (answer.status, answer.headers["x-name"]) == (204, "value")
    assert not {"content-length", "transfer-encoding"} & answer.headers.keys()
    assert wire.ask("/ignore").body == b"ignored"


def test_the_connection_is_the_server_s_business(wire: Wire) -> None:
    answer = wire.ask("/hops")
    assert (answer.body, answer.headers["connection"], answer.headers["server"]) == (b"ok", "keep-alive", "gunicorn")
    assert "transfer-encoding" not in answer.headers


def test_an_answer_may_be_replaced_before_it_is_sent(wire: Wire) -> None:
    answer = wire.ask("/replaced")
    assert (answer.status, answer.body) == (503, b"late")


def test_an_answer_may_be_written(wire: Wire) -> None:
    assert wire.ask("/written").body == b"written"


def test_a_large_answer_comes_whole_to_a_client_that_reads_slowly(wire: Wire) -> None:
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    wire.send(request("/large"))
    time.sleep(0.3)
    answer = wire.answer()
    assert (len(answer.body), answer.whole) == (32 << 20, True)
