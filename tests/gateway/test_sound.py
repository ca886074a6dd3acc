"""Sound is passed on as it comes, is booked before its last byte, and never ends as if it were whole by mistake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask

from app.errors import ProviderFailed
from app.ledger.event import Attempt, CallEvent
from app.ledger.usage import Usage
from app.limits import holds
from app.model_list import Deployment
from tests.journeys.waiting import until

REFUSED = b'{"error": {"message": "no such voice: sk-ours"}}'


class Voice(ThreadingHTTPServer):
    """A provider that speaks one byte, waits until it may go on, and then speaks on or breaks off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Speaking)
        self.go_on = threading.Event()
        self.refuses = False
        self.breaks_off = False


class Speaking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Voice

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuses:
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(REFUSED)))
            self.end_headers()
            self.wfile.write(REFUSED)
            return
        self.send_response(200)
        self.send_header("Content-Type", "audio/pcm")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"2\r\nab\r\n")
        self.server.go_on.wait(10)
        if self.server.breaks_off:
            self.close_connection = True
            return
        self.wfile.write(b"2\r\ncd\r\n0\r\n\r\n")


@pytest.fixture
def voice() -> Iterator[Voice]:
    with Voice() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def app(voice: Voice, make_app: Callable[..., Flask]) -> Flask:
    base = f"http://127.0.0.1:{voice.server_address[1]}/v1"
    return make_app(deployments=(Deployment("voice", "voice", "openai", "tts-1", api_base=base, api_key="sk-ours"),))


def speak(app: Flask) -> Any:
    headers = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = {"model": "voice", "input": "Hello there.", "voice": "alloy", "response_format": "pcm"}
    return app.test_client().post("/v1/audio/speech", json=body, headers=headers)


def booked(app: Flask) -> Attempt:
    """The only attempt of the only call."""

    def waiting() -> list[CallEvent]:
        with app.app_context():
            return [CallEvent.from_bytes(entry.event) for entry in holds.waiting(10)]

    until(lambda: bool(waiting()))
    ((attempt,),) = [event.attempts for event in waiting()]
    return attempt


def test_sound_reaches_the_client_while_the_provider_still_speaks(app: Flask, voice: Voice) -> None:
    with speak(app) as answer:
        pieces = answer.iter_encoded()
        assert next(pieces) == b"a"
        voice.go_on.set()
        assert b"".join(pieces) == b"bcd"
        assert answer.headers["Content-Type"] == "audio/pcm"
    attempt = booked(app)
    assert (attempt.outcome, attempt.usage_source) == ("success", "counted")


def test_sound_is_booked_before_its_last_byte_goes_out(app: Flask, voice: Voice) -> None:
    voice.go_on.set()
    with speak(app) as answer:
        pieces = answer.iter_encoded()
        read = b""
        while read != b"abc":
            read += next(pieces)
        assert next(pieces) == b"d"
        assert booked(app).outcome == "success"


def test_sound_that_breaks_off_does_not_end_like_an_answer(app: Flask, voice: Voice) -> None:
    voice.breaks_off = True
    with speak(app) as answer:
        pieces = answer.iter_encoded()
        assert next(pieces) == b"a"
        voice.go_on.set()
        with pytest.raises(ProviderFailed):
            next(pieces)
    assert booked(app).outcome == "failure"


def test_a_refusal_is_passed_on_as_it_is_and_without_our_key(app: Flask, voice: Voice) -> None:
    voice.refuses = True
    answer = speak(app)
    assert (answer.status_code, answer.data) == (400, REFUSED.replace(b"sk-ours", b"[redacted]"))
    attempt = booked(app)
    assert (Usage.from_wire(attempt.usage), attempt.usage_source) == (Usage.from_counts({}), "none")
