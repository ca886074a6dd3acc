"""A server that sends the very bytes it is told to: no library stands between a test and what goes over the wire."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Self

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LINGER = struct.pack("ii", 1, 0)


class Line:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket, seen: list[bytes]) -> None:
        """Requests are noted in `seen`."""
        self.sock = sock
        self._seen = seen
        self._buffer = b""

    def request(self) -> bytes:
        """The next request, whole; b"" when the client has closed."""
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            size = int(length[1]) if length else 0
            if end and len(rest) >= size:
                request, self._buffer = head + end + rest[:size], rest[size:]
                self._seen.append(request)
                return request
            data = self.sock.recv(65536)
            if not data:
                return b""
            self._buffer += data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """The connection ends with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        self.sock.close()

    def wait_for_the_end(self) -> None:
        """Until the client closes."""
        while self.sock.recv(65536):
            pass


Script = Callable[[Line], None]


def answers(*pieces: bytes) -> Script:
    """To each request these pieces, one send each; the connection stays open until the client closes it."""

    def script(line: Line) -> None:
        while line.request():
            for piece in pieces:
                line.send(piece)

    return script


def answers_and_closes(*pieces: bytes) -> Script:
    """To the first request these pieces, and then the end."""

    def script(line: Line) -> None:
        line.request()
        for piece in pieces:
            line.send(piece)

    return script


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A well-formed answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Its first connection plays the first script, and so on; the last one is played again and again.

    seen: the requests, in order
    lines: how many connections there were
    """

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._context = context
        self._stopped = False
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.seen: list[bytes] = []
        self.lines = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}/v1/chat/completions"
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        # A connection of our own ends the wait for the next one.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        self._listening.close()
        for sock in self._socks:
            try:
                # The plain one, also under TLS.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listening.accept()
            if self._stopped:
                sock.close()
                return
            script = self._scripts[min(self.lines, len(self._scripts) - 1)]
            self.lines += 1
            self._socks.append(sock)
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._socks.append(sock)
                sock.do_handshake()
            with sock:
                script(Line(sock, self.seen))
        except OSError:
            # The client has gone, or does not like the certificate.
            sock.close()
