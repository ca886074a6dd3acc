"""Requests as clients really send them, and how large they may be."""

from __future__ import annotations

import hashlib
import time

import pytest

from tests.server.wire import HOST, Wire, request

LONG = b"0123456789abcdef" * 200_000
LINES = "X-One: " + "a" * 80


def told(body: bytes) -> str:
    """What /echo says of a body."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def test_an_application_sees_what_was_asked(wire: Wire) -> None:
    answer = wire.ask("/echo?a=b%20c&d", b"{}", "Content-Type: application/json", "X-One:  two words ", "X-Empty:")
    said = {"PATH_INFO": "/echo", "QUERY_STRING": "a=b%20c&d", "RAW_URI": "/echo?a=b%20c&d", "HTTP_HOST": "gateway"}
    said |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "2", "HTTP_X_ONE": "two words", "HTTP_X_EMPTY": ""}
    said |= {"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "socket": "yes"}
    said |= {"REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "127.0.0.1", "SCRIPT_NAME": "", "body": told(b"{}")}
    assert answer.json | said == answer.json


def test_its_port_and_the_client_s_are_told(wire: Wire, port: int) -> None:
    answer = wire.ask("/echo")
    assert (answer.json["SERVER_PORT"], answer.json["REMOTE_PORT"]) == (str(port), str(wire.socket.getsockname()[1]))


@pytest.mark.parametrize("path", ["/%65cho", "//echo", "/echo;a", "/echo#part", "http://gateway/echo", "*"])
def test_odd_paths_are_read_as_gunicorn_reads_them(wire: Wire, path: str) -> None:
    found = {"/%65cho": 200, "/echo#part": 200, "http://gateway/echo": 200, "*": 400}
    assert wire.ask(path).status == found.get(path, 404)


@pytest.mark.parametrize("value", ["caf\xe9", "a\tb", '"', "\xff"])
def test_values_come_as_they_were_sent(wire: Wire, value: str) -> None:
    assert wire.ask("/echo", None, f"X-One: {value}").json["HTTP_X_ONE"] == value


@pytest.mark.parametrize("scheme", ["https", "http", "gopher"])
def test_a_trusted_proxy_says_which_scheme_it_was(wire: Wire, scheme: str) -> None:
    answer = wire.ask("/echo", None, f"X-Forwarded-Proto: {scheme}")
    assert answer.json["wsgi.url_scheme"] == ("https" if scheme == "https" else "http")


def test_a_proxy_that_says_two_schemes_is_not_believed(wire: Wire) -> None:
    answer = wire.ask("/echo", None, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
    assert (answer.status, wire.has_ended()) == (400, True)


@pytest.mark.parametrize("size", [0, 1, 100, 65_535, 65_536, 70_000, 1 << 20, (1 << 20) + 1, len(LONG)])
def test_bodies_of_every_size_come_whole(wire: Wire, size: int) -> None:
    assert wire.ask("/echo", LONG[:size]).json["body"] == told(LONG[:size])
    assert wire.ask("/echo", b"next").json["body"] == told(b"next")


def test_a_body_may_come_after_its_head(wire: Wire) -> None:
    whole = request("/echo", LONG[:5000])
    for part in (whole[:-5000], whole[-5000:-4000], whole[-4000:]):
        wire.send(part)
        time.sleep(0.05)
    assert wire.answer().json["body"] == told(LONG[:5000])


def test_a_head_may_come_in_parts(wire: Wire) -> None:
    whole = request("/echo", b"body") + request("/echo", b"next")
    for place in range(0, len(whole), 7):
        wire.send(whole[place : place + 7])
        time.sleep(0.005)
    assert [wire.answer().json["body"], wire.answer().json["body"]] == [told(b"body"), told(b"next")]


def test_a_body_is_read_line_by_line_where_the_application_wants_that(wire: Wire) -> None:
    assert wire.ask("/lines", b"a\nb\nc").body == b"a\n|b\n|c"


def test_a_body_in_chunks_comes_whole(wire: Wire) -> None:
    assert wire.send(chunked(b"abc", LONG, b"d")).answer().json["body"] == told(b"abc" + LONG + b"d")
    assert wire.ask("/echo", b"next").json["body"] == told(b"next")


def test_extensions_and_trailers_of_chunks_are_passed_over(wire: Wire) -> None:
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    wire.send(head + b'3;a="b"\r\nabc\r\n0\r\nX-One: a\r\n\r\n' + request("/echo", b"next"))
    assert [wire.answer().json["body"], wire.answer().json["body"]] == [told(b"abc"), told(b"next")]


def test_a_body_is_sent_when_it_is_asked_for(wire: Wire) -> None:
    wire.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert wire.answer().status == 100
    assert wire.send(b"abc").answer().json["body"] == told(b"abc")


def test_requests_that_come_all_at_once_are_answered_in_order(wire: Wire) -> None:
    bodies = [b"%d" % number * number for number in range(50)]
    wire.send(b"".join(request("/echo", body) for body in bodies) + chunked(b"last") + request("/echo"))
    assert [wire.answer().json["body"] for _ in range(52)] == [told(body) for body in (*bodies, b"last", b"")]


@pytest.mark.parametrize("body", [b"", b"abc", LONG[:60_000], LONG[: 1 << 20]])
def test_a_body_that_nobody_reads_is_not_the_next_request(wire: Wire, body: bytes) -> None:
    wire.send(request("/ignore", body) + request("/echo", b"next"))
    assert [wire.answer().body, wire.answer().json["body"]] == [b"ignored", told(b"next")]


def test_chunks_that_nobody_reads_are_not_the_next_request(wire: Wire) -> None:
    wire.send(chunked(b"abc").replace(b"/echo", b"/ignore") + request("/echo", b"next"))
    assert [wire.answer().body, wire.answer().json["body"]] == [b"ignored", told(b"next")]


def test_a_body_that_is_refused_for_its_length_gets_its_answer(wire: Wire) -> None:
    assert wire.ask("/limited", LONG[:200_000]).status == 413
    assert wire.ask("/echo", b"next").json["body"] == told(b"next")


def test_a_body_that_never_comes_is_refused_for_its_length_all_the_same(wire: Wire) -> None:
    wire.send(b"POST /limited HTTP/1.1\r\n" + HOST + b"Content-Length: 100000000000\r\n\r\n")
    assert wire.answer().status == 413


def test_a_body_that_breaks_off_is_not_taken_for_whole(wire: Wire) -> None:
    wire.send(request("/echo", LONG[:5000])[:-1])
    wire.socket.shutdown(1)
    try:
        answer = wire.answer()
    except ConnectionError:
        return
    assert answer.json["body"] != told(LONG[:5000])
    assert wire.has_ended()


def test_chunks_that_break_off_are_not_taken_for_whole(wire: Wire) -> None:
    wire.send(chunked(b"abc")[:-2])
    wire.socket.shutdown(1)
    try:
        assert wire.answer().status >= 400
    except ConnectionError:
        return


def test_http_1_0_is_answered_and_ended(wire: Wire) -> None:
    answer = wire.send(b"GET /echo HTTP/1.0\r\n" + HOST + b"\r\n").answer()
    assert (answer.json["SERVER_PROTOCOL"], answer.headers["connection"]) == ("HTTP/1.0", "close")
    assert wire.has_ended()


def test_http_1_0_may_ask_to_be_kept(wire: Wire) -> None:
    text = b"GET /echo HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n"
    assert [wire.send(text).answer().status, wire.send(text).answer().status] == [200, 200]


def test_a_stream_to_http_1_0_ends_with_the_connection(wire: Wire) -> None:
    answer = wire.send(b"GET /events HTTP/1.0\r\n" + HOST + b"\r\n").answer()
    assert ("transfer-encoding" in answer.headers, answer.body.count(b"data: ")) == (False, 3)


def test_a_client_that_wants_to_end_is_answered_and_let_go(wire: Wire) -> None:
    answer = wire.ask("/echo", b"body", "Connection: close")
    assert (answer.headers["connection"], answer.json["body"], wire.has_ended()) == ("close", told(b"body"), True)


@pytest.mark.parametrize("path", ["/echo", "/events", "/empty"])
def test_an_answer_to_head_has_no_body(wire: Wire, path: str) -> None:
    answer = wire.ask(path, method="HEAD")
    assert answer.body == b""
    assert wire.ask("/echo", b"next").json["body"] == told(b"next")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_reaches_the_application(wire: Wire, method: str) -> None:
    assert wire.ask("/echo", b"body", method=method).json["REQUEST_METHOD"] == method


def test_one_empty_line_before_a_request_is_passed_over(wire: Wire) -> None:
    assert wire.send(b"\r\n" + request("/echo", b"body")).answer().json["body"] == told(b"body")


def test_a_connection_does_not_become_another_protocol(wire: Wire) -> None:
    answer = wire.ask("/echo", None, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (request("/echo?" + "a" * 7000), 200),
        (request("/echo?" + "a" * 8200), 414),
        (b"GET /echo?" + b"a" * 20_000, 414),
        (request("/echo", None, "X-One: " + "a" * 16_000), 200),
        (request("/echo", None, "X-One: " + "a" * 16_400), 431),
        (request("/echo", None, *[LINES] * 99), 200),
        (request("/echo", None, *[LINES] * 100), 431),
        (request("/echo", None, *["X: a"] * 99), 200),
        (request("/echo", None, *["X: a"] * 100), 431),
        (request("/echo", None, *[f"X-{number}: a" for number in range(99)]), 200),
        (request("/echo", None, *[f"X-{number}: a" for number in range(100)]), 431),
        (request("/echo", None, *[f"X-{number}: a" for number in range(3000)]), 431),
    ],
)
def test_heads_have_their_limits(wire: Wire, text: bytes, status: int) -> None:
    assert wire.send(text).answer().status == status


def test_a_head_without_end_is_refused_at_last(wire: Wire) -> None:
    try:
        wire.send(b"GET /echo HTTP/1.1\r\n" + b"X-One: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 60_000)
        answered = wire.answer().status
    except (ConnectionError, BrokenPipeError):
        return
    assert answered == 431


def test_many_names_fill_no_memory(port: int) -> None:
    for number in range(30):
        with Wire(port) as wire:
            assert wire.ask("/echo", None, *[f"X-{number}-{one}: a" for one in range(90)]).status == 200
