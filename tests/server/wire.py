"""A client that says exactly what a test wants to be said."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

HOST = b"Host: gateway\r\n"
SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their names in lower case. `whole`: the body ended as its framing says."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def ask(self, path: str, body: bytes | None = None, *headers: str, method: str | None = None) -> Answer:
        """A plain request and its answer."""
        self.send(request(path, body, *headers, method=method))
        return self.answer(method or "GET")

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, read to its end. Raises ConnectionError where the connection ends before its head."""
        while b"\r\n\r\n" not in self._seen:
            if not self._more():
                raise ConnectionError(f"no whole head: {self._seen!r}")
        head, _, self._seen = self._seen.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}
        status = int(first.split(" ")[1])
        if status == 100:
            return Answer(status, headers, b"")
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, *self._chunks())
        if "content-length" in headers:
            body = self.take(int(headers["content-length"]))
            return Answer(status, headers, body, len(body) == int(headers["content-length"]))
        return Answer(status, headers, self.rest())

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while (size := self.line()) is not None:
            piece = self.take(int(size, 16) + 2)
            if not piece.endswith(b"\r\n"):
                return body + piece, False
            if piece == b"\r\n":
                return body, True
            body += piece[:-2]
        return body, False

    def line(self) -> bytes | None:
        """The next line, None where the connection ends before."""
        while b"\r\n" not in self._seen:
            if not self._more():
                return None
        line, _, self._seen = self._seen.partition(b"\r\n")
        return line

    def take(self, count: int) -> bytes:
        """That many bytes, or fewer where the connection ends."""
        parts, missing = [], count
        while missing and (self._seen or self._more()):
            parts.append(self._seen[:missing])
            self._seen = self._seen[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def rest(self) -> bytes:
        """Everything until the other side ends the connection."""
        while self._more():
            pass
        seen, self._seen = self._seen, b""
        return seen

    def has_ended(self) -> bool:
        """Whether the other side ends the connection without saying anything more."""
        return self.rest() == b""

    def reset(self) -> None:
        """Ends the connection by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._seen += data
        return bool(data)


def request(path: str, body: bytes | None = None, *headers: str, method: str | None = None) -> bytes:
    """A plain request."""
    method = method or ("GET" if body is None else "POST")
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    lines += [] if body is None else [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
