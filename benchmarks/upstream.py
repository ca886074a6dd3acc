"""The provider that every system is measured against: one fixed answer, or a stream of events at a fixed pace.

    python -m benchmarks.upstream --port 9000 --delay 0 --events 48 --gap 0.02

It speaks as much HTTP/1.1 as gateways send: a POST with a Content-Length, over kept connections. A stream has as many
events as the request's max_completion_tokens, else `--events`. A GET tells what was done until then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from typing import ClassVar

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STREAM = re.compile(rb'"stream" ?: ?true')
EVENTS = re.compile(rb'"max_completion_tokens" ?: ?(\d+)')
WORDS = "The answer is a text of some length, as a model would give it to a question that is not too hard. "


def answer() -> bytes:
    """A chat completion of about 700 bytes, with its usage and the headers that matter."""
    body = json.dumps(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": WORDS * 2, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 40,
                "total_tokens": 60,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_benchmark",
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(choices: list[object], usage: object = None) -> bytes:
    """One event of a streamed chat completion."""
    value = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": choices,
        "usage": usage,
    }
    return chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
# Not always the same: LiteLLM ends a stream of a hundred equal events as one that goes round in circles.
CONTENTS = [
    event([{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}])
    for word in ("This", "tale", "goes", "from", "word", "into", "word")
]
LAST = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event([], {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60})
END = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    whole = answer()
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self, delay: float, events: int, gap: float) -> None:
        """`delay` is seconds before each answer; a stream has that many events, `gap` seconds apart."""
        self._delay, self._events, self._gap = delay, events, gap
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a server's transports are
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self._buffer, 0, end + 2)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._reply(request, end)

    def _reply(self, request: bytes, end: int) -> None:
        assert self._transport is not None  # noqa: S101 - data comes after the connection
        if request.startswith(b"GET "):
            body = json.dumps({"calls": self.done["calls"], "streams": self.done["streams"]}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        elif STREAM.search(request, end):
            asked = EVENTS.search(request, end)
            streaming = self._stream(int(asked[1]) if asked else self._events)
            self._streaming = asyncio.get_running_loop().create_task(streaming)
        else:
            self.done["calls"] += 1
            self._answer()

    def _answer(self) -> None:
        assert self._transport is not None  # noqa: S101 - the same
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, self.whole)
        else:
            self._transport.write(self.whole)

    async def _stream(self, events: int) -> None:
        assert self._transport is not None  # noqa: S101 - the same
        await asyncio.sleep(self._delay)
        self._transport.write(STREAM_HEAD)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in range(events):
            self._transport.write(CONTENTS[number % len(CONTENTS)])
            # To the clock, so that they are no further apart than asked; late ones are not sent in a bunch.
            due = max(due + self._gap, loop.time() + self._gap / 2)
            await asyncio.sleep(due - loop.time())
        self._transport.write(LAST + USAGE + END)
        self.done["streams"] += 1


async def serve(port: int, delay: float, events: int, gap: float) -> None:
    """Until it is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(delay, events, gap), "127.0.0.1", port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - whoever starts it reads it
    await server.serve_forever()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--events", type=int, default=48)
    parser.add_argument("--gap", type=float, default=0.02)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.delay, given.events, given.gap))


if __name__ == "__main__":
    main()
