"""Somebody who is told by webhooks: a real HTTP server on loopback that checks what comes by code of its own."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from app.local.valkey import free_port


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    def is_signed_with(self, key: bytes) -> bool:
        """As the specification tells receivers to check, step by step."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.raw
        expected = hmac.new(key, signed, "sha256").digest()
        versions = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and base64.b64decode(text) == expected for version, text in versions)


class Receiver:
    """A context. Answers what stands in `script` next (a status, or a status and headers), else 204.

    While `gate` is cleared nobody is answered.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook/path-secret"
        self.received: list[Received] = []
        self.script: list[int | tuple[int, dict[str, str]]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, raw))
                receiver.gate.wait()
                answer = receiver.script.pop(0) if receiver.script else 204
                status, more = (answer, {}) if isinstance(answer, int) else answer
                self.send_response(status)
                for name, value in ({"Content-Length": "0"} | more).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that did not wait are no news."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
