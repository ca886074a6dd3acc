"""A WSGI application that behaves in every way that a server has to cope with."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LARGE = 32 << 20
EVENT = b"data: %d\n\n"
closed: list[str] = []


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    view = VIEWS.get(environ["PATH_INFO"])
    if view is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    return view(environ, start_response)


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What was asked, as the application sees it."""
    body = environ["wsgi.input"].read()
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["socket"] = "yes" if environ["gunicorn.socket"].fileno() > 0 else "no"
    told["body"] = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
    return _answer(start_response, json.dumps(told).encode())


def ignore(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The body is not read."""
    return _answer(start_response, b"ignored")


def limited(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A body that is too large is refused without being read."""
    if int(environ.get("CONTENT_LENGTH") or 0) > 1000:
        return _answer(start_response, b"too large", "413 Content Too Large")
    return echo(environ, start_response)


def lines(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The body, read line by line."""
    return _answer(start_response, b"|".join(environ["wsgi.input"].readlines()))


def events(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """`?n` events, 50 ms apart."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return Stream(int(environ["QUERY_STRING"] or 3))


class Stream:
    """Notes when it is closed."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            yield EVENT % number
            yield b""
            time.sleep(0.05)

    def close(self) -> None:
        closed.append("stream")


def count_closed(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return _answer(start_response, str(len(closed)).encode())


def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers after `?seconds`."""
    time.sleep(float(environ["QUERY_STRING"]))
    return _answer(start_response, b"slow")


def large(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return _answer(start_response, bytes(LARGE))


def breaks(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """A stream that breaks off."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield EVENT % 0
    raise ValueError("broken off")


def raises(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("no answer")


def silent(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    """Forgets to start its answer."""
    return [b"body"]


def too_short(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "10")])
    return [b"12345"]


def too_long(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"123", b"45GET /smuggled HTTP/1.1\r\n\r\n", b"more"]


def splits(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A header that would be two."""
    start_response("200 OK", [("Content-Length", "0"), ("X-One", "a\r\nX-Two: b")])
    return []


def splits_status(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK\r\nX-Two: b", [("Content-Length", "0")])
    return []


def empty(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [("X-Name", "value")])
    return []


def hops(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Headers that are the server's to say."""
    headers = [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Date", "then"), ("Server", "me")]
    start_response("200 OK", [*headers, ("Content-Length", "2")])
    return [b"ok"]


def replaced(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """An answer that is replaced by an error before anything of it was sent."""
    start_response("200 OK", [("Content-Length", "4")])
    error = ValueError("late")
    start_response("503 Service Unavailable", [("Content-Length", "4")], (ValueError, error, None))  # type: ignore[arg-type]
    return [b"late"]


def written(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The older way to answer, by `write`."""
    write = start_response("200 OK", [("Content-Length", "7")])
    write(b"written")
    return []


def _answer(start_response: StartResponse, body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


View = Callable[..., Iterable[bytes]]
VIEWS: dict[str, View] = {
    "/echo": echo,
    "/ignore": ignore,
    "/limited": limited,
    "/lines": lines,
    "/events": events,
    "/closed": count_closed,
    "/slow": slow,
    "/large": large,
    "/breaks": breaks,
    "/raises": raises,
    "/silent": silent,
    "/short": too_short,
    "/long": too_long,
    "/splits": splits,
    "/splits-status": splits_status,
    "/empty": empty,
    "/hops": hops,
    "/replaced": replaced,
    "/written": written,
}
