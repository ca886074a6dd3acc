"""The load: a number of connections that each send the next call as soon as the last is answered, or at a steady rate.

    python -m benchmarks.load --url http://127.0.0.1:4000/v1/chat/completions --key sk-… --connections 64 --seconds 10

Prints one line of JSON: how many calls were answered and how many failed, and the latencies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED_END = b"0\r\n\r\n"
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """What came back: latencies and first bytes in seconds, and how many answers had no status 200."""

    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    events: int = 0
    failed: int = 0


class Client(asyncio.Protocol):
    """One connection, with one call under way at most."""

    def __init__(self, requests: Iterator[bytes], seen: Seen, done: Callable[[Client], None]) -> None:
        """Sends the next of the requests each time; `done` is told after each answer, and may send again."""
        self._requests, self._seen, self._done = requests, seen, done
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._began = 0.0
        self._head = 0
        self.asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a client's transports are
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._began or error is not None:
            self._seen.failed += 1
            self._began = 0.0

    def send(self, asked_at: float | None = None) -> None:
        """Sends one call, whose time counts from `asked_at`."""
        assert self._transport is not None  # noqa: S101 - connected before
        self._began = asked_at or time.perf_counter()
        self._head = 0
        self._buffer = b""
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
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
            self._seen.latencies.append(time.perf_counter() - self._began)
            if not self._buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                self._seen.failed += 1
            self._began = 0.0
            self._done(self)

    def _is_whole(self) -> bool:
        found = LENGTH.search(self._buffer, 0, self._head)
        if found:
            return len(self._buffer) >= self._head + int(found[1])
        return self._buffer.endswith(CHUNKED_END)

    def close(self) -> None:
        """Ends the connection."""
        self._began = 0.0
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


async def load(url: str, calls: Sequence[bytes], connections: int, seconds: float, rate: float | None = None) -> Seen:
    """Sends the calls in turn for that long; with a `rate` (calls per second) at it, else one after the other."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    seen = Seen()
    idle: list[Client] = []
    requests = cycle(calls)

    def again(client: Client) -> None:
        if rate is not None:
            idle.append(client)
        elif time.perf_counter() < until:
            client.send()

    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(requests, seen, again), host, port))[1] for _ in range(connections)
    ]
    until = time.perf_counter() + seconds
    if rate is None:
        for client in clients:
            client.send()
        await asyncio.sleep(max(0, until - time.perf_counter()))
    else:
        idle += clients
        await _paced(idle, rate, until)
    await asyncio.sleep(0.2)
    for client in clients:
        client.close()
    return seen


async def _paced(idle: list[Client], rate: float, until: float) -> None:
    """A call that finds no idle connection waits for one, and its time counts from when it should have been sent."""
    due = time.perf_counter()
    while due < until:
        now = time.perf_counter()
        while due <= now and idle:
            idle.pop().send(due)
            due += 1 / rate
        await asyncio.sleep(0.0005)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--body", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--header", action="append", default=[])
    given = parser.parse_args()
    calls = [request(given.url, key, given.body.encode(), given.header) for key in given.key or ["sk-none"]]
    seen = asyncio.run(load(given.url, calls, given.connections, given.seconds, given.rate))
    told = {
        "calls": len(seen.latencies),
        "failed": seen.failed,
        "events": seen.events,
        "p50": percentile(seen.latencies, 0.5),
        "p99": percentile(seen.latencies, 0.99),
        "first_byte_p50": percentile(seen.first_bytes, 0.5),
        "first_byte_p99": percentile(seen.first_bytes, 0.99),
    }
    print(json.dumps(told))  # noqa: T201 - whoever starts it reads it


if __name__ == "__main__":
    main()
