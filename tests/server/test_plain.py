"""What is read here, gunicorn's parser reads just so; and what it refuses is never read here."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.server import plain
from tests.server.wire import request

SECURE = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_PROTOCOL": "ssl", "HTTP_X_FORWARDED_SSL": "on"}
LONGEST, MOST = 8190, 100
CLIENT, SERVER = ("127.0.0.1", 1), ("127.0.0.1", 2)
GIVEN = {"SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": ""}
# What gunicorn's environ has beside what a request says.
BESIDE = {"SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT"}

NAMES = ["Host", "Content-Length", "content-length", "Content-Type", "Connection", "Transfer-Encoding", "Expect"]
NAMES += ["X-Forwarded-Proto", "X-Forwarded-Ssl", "Upgrade", "TE", "X_One", "X-One", "x-one", "Authorization", "A.b"]
VALUES = [
    "0",
    "4",
    "04",
    "+4",
    "4 ",
    "\t4",
    "4,4",
    "0x4",
    "chunked",
    "keep-alive",
    "close",
    "Keep-Alive",
    "https",
    "on",
]
VALUES += ["100-continue", "a b", "caf\xe9", "a\x00b", "a\x7f", "a\rb", "a\nb", "a\r\n b", "", "\xb2", "identity"]
TARGETS = ["/", "/v1/chat/completions", "/a?b=c", "/a?", "/a?b?c", "//a", "/a//b", "/%61", "/a%", "*", "http://a/b"]
TARGETS += ["/a#b", "/a b", "/\xe9", "/a?b#c", "/;a=b", "/a:b@c", "?a", "", "/a?%zz", "/[a]", '/"', "/a?[b]"]


def mostly(*usual: str, odd: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([*usual * 6, *odd])


good = st.tuples(
    st.sampled_from(["Host", "X-One", "x-two", "Authorization"]), st.just(": "), st.sampled_from(["a", ""])
)
text = st.text(st.characters(max_codepoint=255), max_size=8)
odd = st.tuples(
    st.sampled_from(NAMES) | text, st.sampled_from([":", ": ", " :", ":\t"]), st.sampled_from(VALUES) | text
)
fields = st.lists(good | good | odd, max_size=4)
heads = st.builds(
    lambda method, target, version, found, end: "\r\n".join(
        [f"{method} {target} {version}", *(name + colon + value for name, colon, value in found), end]
    ).encode("latin-1"),
    mostly("GET", "POST", odd=["PUT", "get", "GET ", "HEAD", ""]),
    st.sampled_from(TARGETS),
    mostly("HTTP/1.1", odd=["HTTP/1.0", "HTTP/1.1 ", "http/1.1", "HTTP/2.0"]),
    fields,
    mostly("\r\n", "\r\nbody", odd=["\n", "", "\r\n\r\n"]),
)


def by_gunicorn(data: bytes) -> dict[str, str] | None:
    """The environ's texts; None where the request is refused or not whole."""
    cfg = Config()
    try:
        read = Request(cfg, IterUnreader([data]), CLIENT)
        _, environ = wsgi.create(read, None, CLIENT, SERVER, cfg)
    except Exception:  # noqa: BLE001 - it has many errors, and none in common
        return None
    return {name: value for name, value in environ.items() if isinstance(value, str) and name not in BESIDE}


def check(data: bytes) -> None:
    found = plain.read(data, GIVEN, SECURE, LONGEST, MOST)
    if found is None:
        return
    environ, end = found
    assert environ == by_gunicorn(data)
    assert data[:end].endswith(b"\r\n\r\n")
    assert data[:end].count(b"\r\n\r\n") == 1


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(heads)
@example(request("/v1/chat/completions", b"{}", "Connection: keep-alive", "X-Forwarded-Proto: https"))
def test_whatever_is_read_here_gunicorn_reads_just_so(data: bytes) -> None:
    check(data)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.data())
def test_a_good_request_with_a_byte_changed_is_read_just_so_as_well(data: Any) -> None:
    good = bytearray(request("/v1/chat/completions?a=b", b"{}", "Connection: keep-alive", "X-One: a"))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place : place + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    check(bytes(good))


@pytest.mark.parametrize(
    "text",
    [
        request("/v1/chat/completions", b"{}", "Content-Type: application/json", "Authorization: Bearer sk-1"),
        request("/v1/models?a=b%20c"),
        request("/v1/chat/completions", b"{}", "connection: Keep-Alive", "x-forwarded-proto: https"),
        request("/", None, *[f"X-{number}: a" for number in range(99)]),
    ],
)
def test_what_clients_send_all_day_is_read_here(text: bytes) -> None:
    assert plain.read(text, GIVEN, SECURE, LONGEST, MOST) is not None


@pytest.mark.parametrize(
    "text",
    [
        request("/", None, "X-One: a", "X-One: b"),
        request("/", None, "Connection: close"),
        request("/", None, "Expect: 100-continue"),
        request("/", None, "Transfer-Encoding: chunked"),
        request("/", None, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: on"),
        request("/", None, *[f"X-{number}: a" for number in range(100)]),
        request("/", None, "X-One: " + "a" * 8190),
        request("/", None, method="HEAD"),
        request("/")[:-1],
    ],
)
def test_what_is_rare_is_left_to_gunicorn(text: bytes) -> None:
    assert plain.read(text, GIVEN, SECURE, LONGEST, MOST) is None


def test_a_client_that_is_no_trusted_proxy_says_no_scheme() -> None:
    environ, _ = plain.read(request("/", None, "X-Forwarded-Proto: https"), GIVEN, {}, LONGEST, MOST)
    assert environ["wsgi.url_scheme"] == "http"
