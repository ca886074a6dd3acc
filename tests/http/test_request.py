"""The bytes that go out are what was asked for, and nobody can write a line of their own into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ProviderFailed
from app.http.request import JOINED_BYTES, Address, pieces, target_of

URL = "https://api.example.com/v1/chat/completions"


def sent(url: str = URL, body: bytes = b"{}", **headers: str) -> str:
    first, rest = pieces(target_of(url), {name.replace("_", "-"): value for name, value in headers.items()}, body)
    return (first + rest).decode("latin-1")


def test_a_request_is_a_line_headers_and_the_body() -> None:
    assert sent(Content_Type="application/json") == (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        "Host: api.example.com\r\n"
        "Accept-Encoding: identity\r\n"
        "User-Agent: tollgate\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 2\r\n"
        "\r\n"
        "{}"
    )


def test_an_empty_body_has_a_length() -> None:
    assert "\r\nContent-Length: 0\r\n" in sent(body=b"")


def test_a_header_that_is_given_takes_the_place_of_ours() -> None:
    text = sent(accept_encoding="gzip", USER_AGENT="another")
    assert "accept-encoding: gzip\r\n" in text
    assert "USER-AGENT: another\r\n" in text
    assert (text.lower().count("accept-encoding"), text.lower().count("user-agent")) == (1, 1)


@pytest.mark.parametrize(
    ("url", "address", "host", "path"),
    [
        ("http://a.example", Address("http", "a.example", 80), "a.example", "/"),
        ("http://a.example:80/x", Address("http", "a.example", 80), "a.example", "/x"),
        ("https://a.example:443/x", Address("https", "a.example", 443), "a.example", "/x"),
        ("https://A.Example:8443/x?y=z", Address("https", "a.example", 8443), "a.example:8443", "/x?y=z"),
        ("http://127.0.0.1:9000/v1", Address("http", "127.0.0.1", 9000), "127.0.0.1:9000", "/v1"),
        ("http://[::1]:9000/v1", Address("http", "::1", 9000), "[::1]:9000", "/v1"),
        ("http://a.example/x#y", Address("http", "a.example", 80), "a.example", "/x"),
        ("http://user:pass@a.example/x", Address("http", "a.example", 80), "a.example", "/x"),
        ("http://b\u00fccher.example/x", Address("http", "xn--bcher-kva.example", 80), "xn--bcher-kva.example", "/x"),
        ("http://a.example/caf\u00e9 1", Address("http", "a.example", 80), "a.example", "/caf%C3%A9%201"),
        ("http://a.example/m%3Aone/x", Address("http", "a.example", 80), "a.example", "/m%3Aone/x"),
    ],
)
def test_a_url_says_whom_to_connect_to(url: str, address: Address, host: str, path: str) -> None:
    assert target_of(url).address == address
    assert sent(url).startswith(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/x",
        "ftp://a.example/x",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://a\\b/",
        "http://a\x00b/",
        "http://a.example:x/",
        "http://a.example:99999/",
        "http://[::1/",
        "http://" + "a" * 70 + "\u00fc/",
    ],
)
def test_what_is_no_address_of_a_web_server_is_refused(url: str) -> None:
    with pytest.raises(ProviderFailed):
        target_of(url)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\r\nX-Evil: 1", "\n\nGET / HTTP/1.1", "\r\n\r\n"])
def test_a_value_with_a_lines_end_in_it_is_refused_and_not_told(end: str) -> None:
    with pytest.raises(ProviderFailed) as refused:
        sent(Authorization=f"Bearer sk-secret{end}")
    assert "sk-secret" not in refused.value.message


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nY", "X\n", "\u00dc", "X\0", " X", "X "])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ProviderFailed):
        pieces(target_of(URL), {name: "y"}, b"")


@pytest.mark.parametrize(
    "name", ["Content-Length", "content-length", "Transfer-Encoding", "Host", "Connection", "Upgrade", "Expect", "TE"]
)
def test_where_the_body_ends_is_ours_to_say(name: str) -> None:
    with pytest.raises(ProviderFailed):
        pieces(target_of(URL), {name: "1"}, b"{}")


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ProviderFailed):
        pieces(target_of(URL), {"X-A": "1", "x-a": "2"}, b"")


def test_a_value_that_is_not_latin_1_is_refused() -> None:
    with pytest.raises(ProviderFailed):
        sent(Authorization="Bearer \u20ac")


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_a_header_holds_it_is_one_line_or_refused(name: str, value: str) -> None:
    try:
        first, _ = pieces(target_of(URL), {name: value}, b"")
    except ProviderFailed:
        return
    assert (
        first.count(b"\r\n")
        == first.count(b"\r")
        == first.count(b"\n")
        == 7 - sum(name.lower() == given for given in ("accept-encoding", "user-agent"))
    )


@given(st.text(max_size=60))
def test_whatever_a_path_holds_the_request_line_is_one_line_of_three_words(path: str) -> None:
    try:
        first, _ = pieces(target_of(f"http://a.example/{path}"), {}, b"")
    except ProviderFailed:
        return
    line, _, rest = first.partition(b"\r\n")
    assert len(line.split(b" ")) == 3
    assert line.isascii()
    assert b"\r" not in line
    assert b"\n" not in line
    assert rest.startswith(b"Host: ")


def test_a_short_request_leaves_in_one_piece() -> None:
    first, rest = pieces(target_of(URL), {}, b"x" * JOINED_BYTES)
    assert (first.endswith(b"x" * JOINED_BYTES), rest) == (True, b"")


def test_a_long_body_is_not_copied() -> None:
    body = b"x" * (JOINED_BYTES + 1)
    assert pieces(target_of(URL), {}, body)[1] is body
