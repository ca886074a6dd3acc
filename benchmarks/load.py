"""The load: a number of connections that each send the next call as soon as the last is answered, or at a steady rate.

    python -m benchmarks.load --url http://127.0.0.1:4000/v1/chat/completions --key sk-… --connections 64 --seconds 10

With `--rate` it is an open loop: calls are due at a steady pace however long the answers take, and their time counts
from when they were due. Prints one line of JSON: how many calls were answered rightly, how many failed, the latencies
in seconds, and what CPU the load itself took.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.figures import percentile

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED_END = b"0\r\n\r\n"
HEAD_END = b"\r\n\r\n"
# For the answers that are still under way at the end; what is not answered by then has failed.
PATIENCE_SECONDS = 20


@dataclass(slots=True)
class Seen:
    """What came back: latencies and first bytes in seconds of right answers, and how many calls got none."""

    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    events: int = 0
    failed: int = 0
    seconds: float = 0.0
    example: str = ""


class Client(asyncio.Protocol):
    """One connection, with one call under way at most."""

    def __init__(self, request: bytes, expected: bytes, seen: Seen, done: Callable[[Client], None]) -> None:
        """`done` is told after each answer, and may send again. A right answer has `expected` in it."""
        self._request, self._expected, self._seen, self._done = request, expected, seen, done
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._began = 0.0
        self._head = 0
        self._lost = False

    @property
    def usable(self) -> bool:
        """Whether a call could be sent now."""
        return not self._began and not self._lost

    @property
    def waits(self) -> bool:
        """Whether a call is under way."""
        return self._began > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a client's transports are
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol. A server may close a connection that is idle; one with a call on it may not."""
        self._lost = True
        if self._began:
            self._fail(f"connection lost: {error}")

    def send(self, due: float | None = None) -> None:
        """Sends one call, whose time counts from `due`."""
        assert self._transport is not None  # noqa: S101 - connected before
        self._began = due or time.perf_counter()
        self._head = 0
        self._buffer = b""
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._began:
            self._fail("an answer that nobody asked for")
            return
        if not self._buffer:
            self._seen.first_bytes.append(time.perf_counter() - self._began)
        self._seen.events += data.count(b"data: ")
        self._buffer += data
        if not self._head:
            end = self._buffer.find(HEAD_END)
            if end < 0:
                return
            self._head = end + 4
        if self._is_whole():
            self._end()

    def _is_whole(self) -> bool:
        found = LENGTH.search(self._buffer, 0, self._head)
        if found:
            return len(self._buffer) >= self._head + int(found[1])
        return self._buffer.endswith(CHUNKED_END)

    def _end(self) -> None:
        took, self._began = time.perf_counter() - self._began, 0.0
        if self._buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) and self._expected in self._buffer:
            self._seen.latencies.append(took)
        else:
            self._fail(self._buffer[:300].decode(errors="replace"))
        self._done(self)

    def _fail(self, example: str) -> None:
        self._began = 0.0
        self._seen.failed += 1
        self._seen.example = self._seen.example or example

    def close(self) -> None:
        """Ends the connection. A call that is still under way has failed."""
        if self._began:
            self._fail("not answered")
        if self._transport is not None:
            self._transport.close()


def request(url: str, key: str, body: bytes, headers: list[str]) -> bytes:
    """The call as it goes over the wire."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + HEAD_END + body


class Load:
    """Calls to one address for some seconds."""

    def __init__(self, url: str, calls: Sequence[bytes], expected: bytes) -> None:
        """Nothing is sent yet. Each connection has one of the calls."""
        address = urlsplit(url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._calls, self._expected = itertools.cycle(calls), expected
        self._until = 0.0
        self._due = 0.0
        self._rate: float | None = None
        self._idle: list[Client] = []
        # Due, and no connection was idle.
        self._late: deque[float] = deque()
        self.seen = Seen()

    async def run(self, connections: int, seconds: float, rate: float | None = None) -> Seen:
        """With a `rate` (calls per second) calls are sent at that pace, else one after the other on each connection."""
        self._rate = rate
        clients = [await self._connect() for _ in range(connections)]
        began = time.perf_counter()
        self._until = began + seconds
        if rate is None:
            for client in clients:
                client.send()
            await asyncio.sleep(seconds)
        else:
            self._idle += clients
            await self._paced(began, rate)
        patience = self._until + PATIENCE_SECONDS
        # Looked at now and then, because an event for it would cost the load something with every answer.
        while any(client.waits for client in clients) and time.perf_counter() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        self.seen.seconds = time.perf_counter() - began
        for client in clients:
            client.close()
        self.seen.failed += len(self._late)
        return self.seen

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        call = next(self._calls)
        made = loop.create_connection(
            lambda: Client(call, self._expected, self.seen, self._answered), self._host, self._port
        )
        return (await made)[1]

    def _answered(self, client: Client) -> None:
        if self._rate is None:
            if time.perf_counter() < self._until:
                client.send()
        elif self._late:
            client.send(self._late.popleft())
        else:
            self._idle.append(client)

    async def _paced(self, began: float, rate: float) -> None:
        # Rounded, because the difference of two moments is a little less or more than the seconds that were asked for.
        for number in range(round((self._until - began) * rate)):
            due = began + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            while self._idle and not self._idle[-1].usable:
                self._idle.pop()
            if self._idle:
                self._idle.pop().send(due)
            else:
                self._late.append(due)


def loop(*, paced: bool) -> asyncio.AbstractEventLoop:
    """`paced`: one that wakes to the microsecond, by select; the usual one, by epoll, rounds up to milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector()) if paced else asyncio.new_event_loop()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", action="append", required=True, help="several: the connections take turns")
    parser.add_argument("--body", required=True)
    parser.add_argument("--expected", default="", help="what a right answer has in it")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--header", action="append", default=[])
    given = parser.parse_args()
    calls = [request(given.url, key, given.body.encode(), given.header) for key in given.key]
    load = Load(given.url, calls, given.expected.encode())
    with asyncio.Runner(loop_factory=lambda: loop(paced=given.rate is not None)) as runner:
        seen = runner.run(load.run(given.connections, given.seconds, given.rate))
    told = {
        "calls": len(seen.latencies),
        "failed": seen.failed,
        "example": seen.example,
        "events": seen.events,
        "seconds": seen.seconds,
        "p50": percentile(seen.latencies, 0.5),
        "p99": percentile(seen.latencies, 0.99),
        "first_byte_p50": percentile(seen.first_bytes, 0.5),
        "first_byte_p99": percentile(seen.first_bytes, 0.99),
        "cpu": time.process_time(),
    }
    print(json.dumps(told))  # noqa: T201 - whoever starts it reads it


if __name__ == "__main__":
    main()
