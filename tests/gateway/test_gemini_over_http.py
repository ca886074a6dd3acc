"""Gemini behind the gateway, over real sockets: an answer and a stream, one price for both."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.model_list import Deployment
from tests.providers.gemini_examples import EXAMPLES

ANSWER, COUNTS = EXAMPLES["cached pictures and thoughts"]
ASKED: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "Is she cute?"}]}
MASTER = {"Authorization": "Bearer sk-master-for-tests"}


class Google(ThreadingHTTPServer):
    """Answers every call with the same; `calls` are the paths and keys that came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Google

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, self.headers["x-goog-api-key"]))
        body, streams = json.dumps(ANSWER).encode(), "alt=sse" in self.path
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json; charset=UTF-8")
        self.end_headers()
        self.wfile.write(b"data: " + body + b"\r\n\r\n" if streams else body)


@pytest.fixture
def google() -> Iterator[Google]:
    with Google() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def app(make_app: Callable[..., Flask], google: Google) -> Flask:
    fast = Deployment(
        id="fast",
        model_name="fast",
        provider="gemini",
        model="gemini-2.5-flash",
        vendor="gemini",
        price_provider="google",
        api_base=f"http://127.0.0.1:{google.server_port}/v1beta",
        api_key="key-of-google",
    )
    return make_app(deployments=(fast,))


def test_an_answer_and_a_stream_of_gemini_cost_the_same(app: Flask, google: Google) -> None:
    client = app.test_client()
    key = client.post("/key/generate", json={}, headers=MASTER).get_json()["key"]
    caller = {"Authorization": f"Bearer {key}"}

    def spent() -> float:
        client.get("/health/readiness")
        return float(client.get("/key/info", headers=caller).get_json()["info"]["spend"])

    whole = client.post("/v1/chat/completions", json=ASKED, headers=caller)
    assert ChatCompletion.model_validate_json(whole.data).choices[0].message.content == "Absolutely!"
    # 153 fresh tokens at $0.30 a million, 173 from the cache at $0.03, 217 of output at $2.50.
    assert whole.headers["x-tollgate-cost"] == "0.000593590"
    first = spent()
    streamed = client.post("/v1/chat/completions", json=ASKED | {"stream": True}, headers=caller)
    chunk, end = streamed.data.strip().split(b"\n\n")
    assert ChatCompletionChunk.model_validate_json(chunk[6:]).choices[0].finish_reason == "stop"
    assert end == b"data: [DONE]"
    assert spent() == pytest.approx(2 * first)
    base = "/v1beta/models/gemini-2.5-flash"
    assert google.calls == [
        (f"{base}:generateContent", "key-of-google"),
        (f"{base}:streamGenerateContent?alt=sse", "key-of-google"),
    ]
