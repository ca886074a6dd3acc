"""How the scripted provider listens and answers: real HTTP/1.1, with every way to break off in the middle of it."""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.scripted_answers import GARBAGE, Behaviour, Call, openai_error
from tests.scripted_wires import LAST, MESSAGES, WIRES, Says, form_of

if TYPE_CHECKING:
    from tests.scripted_provider import ScriptedProvider

AZURE_PATH = re.compile(r"/openai/deployments/([^/]+)/(.+)")
VERSION = re.compile(r"^(?:/openai)?(?:/v\d+)?/")
RETRY_AFTER = "7"
FOR_EVER = 3600.0


class ClientLeft(Exception):
    pass


class Cut(Exception):
    pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], provider: ScriptedProvider
    ) -> None:
        self.provider = provider
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, handler)

    def opened(self, connection: socket.socket) -> None:
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._open_lock:
            self._open.discard(connection)

    def close_connections(self) -> None:
        """Ends kept connections, so that their threads end with the server."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    _poller: select.poll | None = None
    _running: Call | None = None
    _call: Call | None = None

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    @property
    def _speaks_messages(self) -> bool:
        return self._call is not None and WIRES[self._call.route] is MESSAGES

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/__stats":
            self._send_json(200, self.server.provider.stats())
        else:
            self._send_json(404, openai_error(f"Unknown request URL: GET {self.path}", "invalid_request_error"))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        self._call = None
        if len(raw) < length:
            # Its sender died in the middle of it: that was no call.
            self.close_connection = True
            return
        if self.path == "/__reset":
            self.server.provider.reset()
            self._send_json(200, {})
            return
        if self.path == "/__take":
            self._send_json(200, self.server.provider.take())
            return
        call = self._parse(raw)
        if call is None:
            self._send_json(404, openai_error(f"Unknown request URL: POST {self.path}", "invalid_request_error"))
            return
        behaviour = self.server.provider.begin(call)
        self._running = self._call = call
        try:
            self._answer(call, behaviour)
        except Cut:
            self.close_connection = True
        except (ClientLeft, OSError):
            call.left, call.left_at = True, time.time()
            self.close_connection = True
        finally:
            self._end()

    def _end(self) -> None:
        """The call is over before its last bytes leave: whoever has read them may already be sending the next one."""
        if self._running is not None:
            self.server.provider.end(self._running)
            self._running = None

    def _parse(self, raw: bytes) -> Call | None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind = headers.get("content-type", "")
        body = form_of(raw, kind) if kind.startswith("multipart/form-data") else json.loads(raw or b"{}")
        deployment = AZURE_PATH.fullmatch(url.path)
        route = deployment[2] if deployment else VERSION.sub("", url.path)
        model = unquote(deployment[1]) if deployment else str(body.get("model", ""))
        if route not in WIRES:
            return None
        version = parse_qs(url.query).get("api-version", [None])[0]
        azure = url.path.startswith("/openai/")
        return Call(self.path, route, model, headers, body, raw, time.time(), azure, version)

    def _answer(self, call: Call, behaviour: Behaviour) -> None:
        if refusal := self.server.provider.refusal(call):
            self._send_json(*refusal)
            return
        self._wait(FOR_EVER if behaviour.hang else behaviour.delay)
        if behaviour.drop:
            raise Cut
        wire = WIRES[call.route]
        if behaviour.status >= 400 and behaviour.body is None:
            headers = {"Retry-After": RETRY_AFTER} if behaviour.status == 429 else {}
            self._send_json(behaviour.status, wire.error(behaviour.status), headers | behaviour.headers)
        elif behaviour.body is not None:
            self._send_body(behaviour)
        elif (answer := wire.answer(call, behaviour)).streams:
            self._stream(answer, behaviour, wire.error_event)
        else:
            whole = answer.whole()
            raw = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
            self._send_head(behaviour.status, {"Content-Type": answer.type} | behaviour.headers, raw)

    def _stream(self, answer: Says, behaviour: Behaviour, error_event: Callable[[int], bytes]) -> None:
        self._send_head(
            behaviour.status, {"Content-Type": "text/event-stream; charset=utf-8"} | behaviour.headers, None
        )
        for number, piece in enumerate(answer.events()):
            if behaviour.cut_after is not None and number >= behaviour.cut_after:
                raise Cut
            if behaviour.error_after is not None and number >= behaviour.error_after:
                self._send_chunk(error_event(500))
                break
            if behaviour.torn_after is not None and number >= behaviour.torn_after:
                self._send_chunk(piece[: len(piece) // 2])
                raise Cut
            self._wait(FOR_EVER if number == behaviour.hang_after else behaviour.gap)
            if behaviour.garbage:
                self._send_chunk(GARBAGE)
            if piece.startswith(LAST):
                self._end()
            self._send_chunk(piece)
        self._end()
        self._send_chunk(b"")

    def _wait(self, seconds: float) -> None:
        """Waits, but not longer than the client does and the server runs."""
        # select() knows no descriptor above 1023, and a long test session has more of them open.
        if self._poller is None:
            self._poller = select.poll()
            self._poller.register(self.connection, select.POLLIN)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable = self._poller.poll(min(left, 0.1) * 1000)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise ClientLeft
            if readable:
                time.sleep(min(left, 0.01))
            if self.server.provider.stopping.is_set():
                raise ClientLeft

    def _send_body(self, behaviour: Behaviour) -> None:
        body = behaviour.body
        if isinstance(body, dict):
            self._send_json(behaviour.status, body, behaviour.headers)
            return
        raw = body.encode() if isinstance(body, str) else body or b""
        self._send_head(behaviour.status, {"Content-Type": "text/plain"} | behaviour.headers, raw)

    def _send_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send_head(status, {"Content-Type": "application/json"} | (headers or {}), json.dumps(value).encode())

    def _send_head(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
        """Head and body in one write; without a body, the head of a chunked answer."""
        if self._call is not None:
            self._call.status = status
            self._call.sent += body or b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("request-id" if self._speaks_messages else "x-request-id", f"req_{uuid.uuid4().hex}")
        if body is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        # Kept in the headers' buffer, so that they leave together.
        self._headers_buffer: list[bytes]
        self._headers_buffer.append(b"\r\n" + (body or b""))
        if body is not None:
            self._end()
        self.flush_headers()

    def _send_chunk(self, data: bytes) -> None:
        if self._call is not None:
            self._call.sent += data
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
