"""One client's connection: requests one after the other, until somebody ends it."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from gevent import GreenletExit  # type: ignore[import-untyped]
from gunicorn import http  # type: ignore[import-untyped]

from app.readable import Readable
from app.server import plain
from app.server.answer import Answer

READ_BYTES = 65536
# Larger bodies are read by the library, as the application asks for them.
MOST_READ_AHEAD = 1 << 20
NEVER = float("inf")


class Worker(Protocol):
    """What a conversation needs of gunicorn's worker, which has no types, and of ours."""

    alive: bool
    cfg: Any
    log: Any
    wsgi: Any
    longest_head: int
    most_fields: int

    def schemes(self, peer: tuple[Any, ...]) -> Mapping[str, str]:
        """The headers that this client may say https with."""

    def count(self) -> None:
        """One more request."""

    def handle_request(self, server: Any, request: Any, client: Any, peer: Any) -> object:
        """Gunicorn's way to answer. Raises StopIteration where the connection must not go on."""

    def handle_error(self, request: Any, client: Any, peer: Any, error: BaseException) -> None:
        """Logs it and tells the client, where nothing was told before."""


class Conversation:
    """`until` is when the client must have sent its next request (time.monotonic()); NEVER while one is answered.

    `idle`: no byte of the next request has come.
    """

    __slots__ = ("_client", "_given", "_parser", "_peer", "_readable", "_schemes", "_worker", "idle", "until")

    def __init__(self, worker: Worker, client: Any, peer: tuple[Any, ...], given: Mapping[str, Any]) -> None:
        """`given` is what the environ of every request on the listener has."""
        self._worker = worker
        self._client = client
        self._readable = Readable(client)
        self._peer = peer
        self._given = {**given, "REMOTE_ADDR": peer[0], "REMOTE_PORT": str(peer[1]), "gunicorn.socket": client}
        self._parser: Any = None
        self._schemes = worker.schemes(peer)
        self.until = NEVER
        self.idle = True

    def run(self) -> None:
        """Until one side ends it. Raises OSError."""
        try:
            self._run()
        finally:
            self._readable.close()

    def _run(self) -> None:
        data = b""
        while True:
            self.until = time.monotonic() + self._worker.cfg.keepalive
            if not data:
                self.idle = True
                self._readable.wait()
                data = self._client.recv(READ_BYTES)
                self.idle = False
                if not data:
                    return
            read = plain.read(data, self._given, self._schemes, self._worker.longest_head, self._worker.most_fields)
            if read is None or plain.length(read[0]) > MOST_READ_AHEAD:
                if not self._left_to_the_library(data):
                    return
                data = self._parser.unreader.take_buffered()
                continue
            environ, end = read
            size = end + plain.length(environ)
            if len(data) < size:
                data = self._whole(data, size)
                if len(data) < size:
                    return
            if not self._answered(plain.with_body(environ, data[end:size])):
                return
            data = data[size:]

    def _whole(self, data: bytes, size: int) -> bytes:
        """All of the request, or less where the client ends before."""
        self.until = time.monotonic() + self._worker.cfg.keepalive
        parts, missing = [data], size - len(data)
        while missing and (part := self._client.recv(min(missing, READ_BYTES))):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _answered(self, environ: dict[str, Any]) -> bool:
        """Runs the application; whether another request may follow. Raises OSError."""
        self.until = NEVER
        self._worker.count()
        answer = Answer(self._client, keep=self._worker.alive)
        try:
            pieces = self._worker.wsgi(environ, answer.start)
            try:
                for piece in pieces:
                    answer.write(piece)
                answer.end()
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()
        except OSError:
            raise
        except (GreenletExit, SystemExit):
            return False
        except Exception as error:
            if answer.begun:
                # The client must see that this was not the end.
                self._worker.log.exception("Error handling request")
            else:
                self._worker.handle_error(None, self._client, self._peer, error)
            return False
        return answer.keep

    def _left_to_the_library(self, data: bytes) -> bool:
        """The request that begins with `data`, read and answered by gunicorn; whether another may follow."""
        if self._parser is None:
            self._parser = http.get_parser(self._worker.cfg, self._client, self._peer)
        self._parser.unreader.unread(data)
        request = None
        try:
            request = next(self._parser)
            self.until = NEVER
            server = (self._given["SERVER_NAME"], int(self._given["SERVER_PORT"]))
            self._worker.handle_request(server, request, self._client, self._peer)
            self.until = time.monotonic() + self._worker.cfg.keepalive
            return bool(self._parser.finish_body())
        except (StopIteration, http.errors.NoMoreData, GreenletExit):
            return False
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - what is wrong with a request is told to its client
            self._worker.handle_error(request, self._client, self._peer, error)
            return False

    def end(self) -> None:
        """Nothing more is read but what has come already, so that a request that is on its way is still answered."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RD)
