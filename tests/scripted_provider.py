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
import sys
import threading
import time
from collections import Counter
from typing import Any, Self

from tests import scripted_messages
from tests.scripted_answers import AZURE_DENIED, Behaviour, Call, Script, behaviour_of, openai_error
from tests.scripted_http import Handler, Server
from tests.scripted_wires import MESSAGES, WIRES


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
        self._server = Server(("127.0.0.1", port), Handler, self)
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
