"""Requests that two readers could read in two ways: none is answered as one, and nothing after it is read."""

from __future__ import annotations

import pytest

from tests.server.wire import HOST, Wire, request

HIDDEN = b"GET /echo?smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "a length and chunks": (POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "chunks and a length": (POST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400),
    "the same length twice": (POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
    "two lengths that differ in case": (POST + b"Content-Length: 0\r\ncontent-length: 44\r\n\r\n", 400),
    "a list of lengths": (POST + b"Content-Length: 0, 0\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a length with a sign": (POST + b"Content-Length: +0\r\n\r\n", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x0\r\n\r\n", 400),
    "a length with an underscore": (POST + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
    "a length in other digits": (POST + b"Content-Length: \xb2\r\n\r\n01", 400),
    "a length with a space": (POST + b"Content-Length: 1 0\r\n\r\n0123456789", 400),
    "no length": (POST + b"Content-Length:\r\n\r\n", 400),
    "a space before the colon": (POST + b"Content-Length : 0\r\n\r\n", 400),
    "a tab before the colon": (POST + b"Content-Length\t: 0\r\n\r\n", 400),
    "a folded line": (POST + b"X-One: a\r\n b\r\n\r\n", 400),
    "a folded line with a tab": (POST + b"X-One: a\r\n\tb\r\n\r\n", 400),
    "a first line that is folded": (b"POST /echo HTTP/1.1\r\n X-One: a\r\n" + HOST + b"\r\n", 400),
    "a name with an underscore that is a length": (POST + b"Content_Length: 44\r\n\r\n", None),
    "a NUL in a value": (POST + b"X-One: a\x00b\r\n\r\n", 400),
    "a NUL in a name": (POST + b"X-\x00One: a\r\n\r\n", 400),
    "a NUL in the path": (b"GET /ec\x00ho HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a bare CR in a value": (POST + b"X-One: a\rX-Two: b\r\n\r\n", 400),
    "a bare LF between headers": (POST + b"X-One: a\nContent-Length: 0\r\n\r\n", 400),
    "a bare LF after the first line": (b"POST /echo HTTP/1.1\n" + HOST + b"\r\n", 400),
    "only bare LFs": (b"POST /echo HTTP/1.1\nHost: gateway\n\n", 400),
    "a bare LF at the end of the head": (POST + b"Content-Length: 0\r\n\n", 400),
    "a line without a colon": (POST + b"nonsense\r\n\r\n", 400),
    "an empty name": (POST + b": a\r\n\r\n", 400),
    "a name in other letters": (POST + "Ünsinn: a\r\n\r\n".encode(), 400),
    "a delete character in a value": (POST + b"X-One: a\x7fb\r\n\r\n", 400),
    "two hosts": (POST + b"Host: other\r\n\r\n", 400),
    "two content types": (POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400),
    "chunks twice": (POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "chunks in chunks": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding nobody knows": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "a coding in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "a coding that is not the last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "a coding with a control character": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "a coding without chunks": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "an identity coding alone": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (b"POST /echo HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "a chunk size that is no number": (POST + CHUNKED + b"\r\nx\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk size with a sign": (POST + CHUNKED + b"\r\n+3\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk size in 0x": (POST + CHUNKED + b"\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk size with an underscore": (POST + CHUNKED + b"\r\n0_3\r\nabc\r\n0\r\n\r\n", 400),
    "no chunk size": (POST + CHUNKED + b"\r\n\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk size with a bare LF": (POST + CHUNKED + b"\r\n3\nabc\r\n0\r\n\r\n", 400),
    "a chunk that is longer than it says": (POST + CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n", 400),
    "a chunk extension with a bare CR": (POST + CHUNKED + b"\r\n3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
    "a trailer that is a length": (POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\nContent-Length: 4\r\n\r\n", 400),
    "a trailer with a bare LF": (POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX-One: a\n\r\n\r\n", 400),
    "a method in lower case": (b"post /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with a space before": (b" GET /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no method": (b"/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /echo\r\n" + HOST + b"\r\n", 400),
    "two spaces before the path": (b"GET  /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab for a space": (b"GET\t/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the path": (b"GET /ec ho HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a path in other letters": ("GET /echö HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400),
    "HTTP/2.0": (b"GET /echo HTTP/2.0\r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9": (b"GET /echo HTTP/0.9\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.10": (b"GET /echo HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "http in lower case": (b"GET /echo http/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "an expectation nobody can meet": (POST + b"Expect: the-best\r\nContent-Length: 0\r\n\r\n", 417),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_of_two_meanings_is_refused_and_nothing_after_it_is_read(wire: Wire, case: str) -> None:
    text, status = REFUSED[case]
    answer = wire.send(text + HIDDEN).answer()
    if status is None:
        # The header never reaches the application, and the request behind it is one of its own.
        assert "HTTP_CONTENT_LENGTH" not in answer.json
        assert wire.answer().json["QUERY_STRING"] == "smuggled"
        return
    assert (answer.status, wire.has_ended()) == (status, True)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_as_well_where_it_comes_after_a_good_one(wire: Wire, case: str) -> None:
    text, status = REFUSED[case]
    wire.send(request("/echo", b"good") + text + HIDDEN)
    assert wire.answer().json["body"].startswith("4 ")
    assert wire.answer().status == (status or 200)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_as_well_where_it_comes_byte_by_byte(wire: Wire, case: str) -> None:
    text, status = REFUSED[case]
    try:
        for place in range(len(text)):
            wire.send(text[place : place + 1])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it is refused before its end
    try:
        answered = wire.answer().status
    except ConnectionError:
        return  # the refusal was lost to the bytes that came after it
    assert answered == (status or 200)


def test_a_header_that_stands_twice_is_one_list(wire: Wire) -> None:
    assert wire.ask("/echo", None, "X-One: a", "x-one: b").json["HTTP_X_ONE"] == "a,b"


def test_names_that_an_application_could_mistake_for_others_do_not_reach_it(wire: Wire) -> None:
    answer = wire.ask("/echo", None, "X-Forwarded-For: 1.1.1.1", "X_Forwarded_For: 2.2.2.2", "Wsgi.Url_Scheme: https")
    assert (answer.json["HTTP_X_FORWARDED_FOR"], answer.json["wsgi.url_scheme"]) == ("1.1.1.1", "http")


def test_no_client_says_what_the_server_says(wire: Wire) -> None:
    answer = wire.ask("/echo", None, "Remote-Addr: 6.6.6.6", "Server-Name: evil", "Script-Name: x", "Path-Info: /y")
    said = {name: answer.json[name] for name in ("REMOTE_ADDR", "SERVER_NAME", "SCRIPT_NAME", "PATH_INFO")}
    assert said == {"REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "127.0.0.1", "SCRIPT_NAME": "", "PATH_INFO": "/echo"}
