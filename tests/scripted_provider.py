"""A provider that does as it is told: the wire formats of OpenAI, Azure and Anthropic on loopback, over real HTTP/1.1.

In a test's own process:

    with ScriptedProvider() as provider:
        provider.url            # "http://127.0.0.1:40123": Azure's and Anthropic's api_base; OpenAI's is url + "/v1"
        provider.delay = 0.2    # seconds before every answer
        provider.script.append({"status": 429})             # the next call; a callable gets the Call and returns this
        provider.calls[0].raw, provider.calls[0].sent       # the bytes of both bodies
        provider.calls, provider.in_flight, provider.max_in_flight

In a process of its own: `python -m tests.scripted_provider --port 9000`; it prints its URL and runs until it is ended.

A call is also steered by its model name, in which words may stand together ("slow-0.5-tokens-10-20"):

    slow-S          waits S seconds before it answers
    gap-S           waits S seconds before each event of a stream
    hang            never answers
    drop            closes the connection instead of answering
    status-N        answers with that error status, in the vendor's shape (429 with Retry-After: 7)
    status-N-once   the same for the first call of that model only
    chunks-N        a text of N words, so a stream of N content events
    cut-after-N     closes the connection after N events of a stream
    error-after-N   sends an error event after N events of a stream and closes
    torn-after-N    closes the connection in the middle of the event after N events of a stream
    hang-after-N    falls silent after N events of a stream
    usage-at-N      a stream's usage stands in its Nth event of text (from 0) and not at its end
    garbage         lines that mean nothing between the events of a stream
    endless         a stream that goes on until its client leaves; give it a gap
    tokens-I-O      usage of I input and O output tokens (default 10 and 20)
    cached-N        N of the input tokens were read from the cache
    reasoning-N     N of the output tokens were reasoning
    no-usage        no usage at all
    no-done         a stream without `data: [DONE]`
    same-id         always the same response id
    written-N       N of the input tokens were written to the cache for five minutes (Anthropic)
    hourly-N        N of the input tokens were written to the cache for an hour (Anthropic)
    searches-N      searched the web N times (Anthropic)
    tool            calls the tool `weather` instead of talking, until its result is there
    structured      says a JSON object with `city` and `degrees`
    not-json        answers 200 with something that is not JSON

A script can also set `first_usage`: a usage event that stands before the text of a stream, besides the one at its end.

GET /__stats answers {"calls", "in_flight", "max_in_flight", "left", "by_model"}; POST /__reset forgets everything.
"left" counts the calls whose client closed the connection before the answer was complete.

POST /__take answers the calls that ended since it was last asked, [{"model", "user", "left", "began", "ended"}], and
forgets them; `user` is what stood in their body, and times are seconds of the epoch.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests import scripted_messages
from tests.scripted_answers import (
    AZURE_DENIED,
    GARBAGE,
    Behaviour,
    Call,
    Script,
    behaviour_of,
    openai_error,
)
from tests.scripted_wires import LAST, MESSAGES, WIRES, Says, form_of

AZURE_PATH = re.compile(r"/openai/deployments/([^/]+)/(.+)")
VERSION = re.compile(r"^(?:/openai)?(?:/v\d+)?/")
RETRY_AFTER = "7"
FOR_EVER = 3600.0


class ClientLeft(Exception):
    pass


class Cut(Exception):
    pass


class ScriptedProvider:
    """The server. Everything that is counted is safe to read from any thread."""

    def __init__(self, port: int = 0, *, api_key: str | None = None) -> None:
        """With an `api_key` every call must show it; without one, only keys that contain "wrong" are refused."""
        self.api_key = api_key
        self.delay = 0.0
        self.script: list[Script] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._seen: Counter[str] = Counter()
        self._in_flight = 0
        self._max_in_flight = 0
        self._server = _Server(("127.0.0.1", port), _Handler, self)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    @property
    def in_flight(self) -> int:
        with self._lock:
            return self._in_flight

    @property
    def max_in_flight(self) -> int:
        with self._lock:
            return self._max_in_flight

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {
                "calls": len(self._calls),
                "in_flight": self._in_flight,
                "max_in_flight": self._max_in_flight,
                "left": sum(call.left for call in self._calls),
                "by_model": dict(Counter(call.model for call in self._calls)),
            }

    def reset(self) -> None:
        """Forgets the calls, the script and the delay; calls in flight stay counted as such."""
        with self._lock:
            self._calls.clear()
            self._seen.clear()
            self.script.clear()
            self.delay = 0.0
            self._max_in_flight = self._in_flight

    def take(self) -> list[dict[str, Any]]:
        """The calls that have ended since it was last asked."""
        with self._lock:
            ended = [call for call in self._calls if call.ended_at is not None]
            self._calls = [call for call in self._calls if call.ended_at is None]
        return [
            {
                "model": call.model,
                "user": call.body.get("user"),
                "left": call.left,
                "began": call.time,
                "ended": call.ended_at,
            }
            for call in ended
        ]

    def begin(self, call: Call) -> Behaviour:
        """Records a call and says what it is to do."""
        with self._lock:
            seen_before = self._seen[call.model]
            self._seen[call.model] += 1
            self._calls.append(call)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
            scripted = self.script.pop(0) if self.script else None
            delay = self.delay
        behaviour = behaviour_of(call.model, seen_before)
        behaviour.delay += delay
        reply = scripted(call) if callable(scripted) else scripted
        for name, value in (reply or {}).items():
            if not hasattr(behaviour, name):
                raise ValueError(f"A script cannot set {name!r}.")
            setattr(behaviour, name, value)
        return behaviour

    def end(self, call: Call) -> None:
        with self._lock:
            self._in_flight -= 1
            call.ended_at = time.time()

    def refusal(self, call: Call) -> tuple[int, dict[str, Any]] | None:
        """The answer to a call without the right key, or to one that Azure would not route."""
        shown = call.headers.get("api-key", "") if call.azure else call.headers.get("authorization", "")
        key = shown.removeprefix("Bearer ")
        if WIRES[call.route] is MESSAGES:
            return scripted_messages.refusal(call, self._is_right)
        if call.azure:
            if not (self._is_right(key) and key):
                return 401, {"error": {"code": "401", "message": AZURE_DENIED}}
            if not (call.api_version or call.path.startswith("/openai/v1/")):
                return 404, {"error": {"code": "404", "message": "Resource not found"}}
        elif not self._is_right(key):
            return 401, openai_error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        return None

    def _is_right(self, key: str) -> bool:
        return key == self.api_key if self.api_key is not None else "wrong" not in key


class _Server(ThreadingHTTPServer):
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
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
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._call = None
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
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.1))
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


def main() -> None:
    parser = argparse.ArgumentParser(description="A provider that does as it is told.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default=None)
    options = parser.parse_args()
    with ScriptedProvider(options.port, api_key=options.api_key) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
