"""The load of streams: so many at once, all of their events counted, and whether they came one by one.

    python -m benchmarks.streams --url … --key sk-… --body '{"stream": true, …}' --streams 48 --events 300 --window 5

All connections begin within `--spread` seconds. Once there were as many first events as connections it prints "open";
after the window of `--window` seconds "closed" and what came in it. With `--again` a connection whose stream has ended
begins another until then. Then every stream is read to its end, and one line of JSON tells what came back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.figures import percentile
from benchmarks.load import CHUNKED_END, request

MARK = b"data: "
DONE = b"[DONE]"
# The last event of the answer, its usage and [DONE] come besides; some gateways tell the usage twice or not at all.
FEWEST_BESIDES, MOST_BESIDES = 2, 4
PATIENCE_SECONDS = 30


@dataclass(slots=True)
class Seen:
    """`merged` counts events that came in one read with another event; first bytes are in seconds."""

    events: int = 0
    merged: int = 0
    whole: int = 0
    failed: int = 0
    example: str = ""
    first_bytes: list[float] = field(default_factory=list)


class Counter:
    """Counts events in a stream of bytes, wherever it is cut."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.events = 0
        self.ended = False
        self._kept = b""

    def feed(self, data: bytes) -> int:
        """How many events this piece has ended or begun: those whose mark is whole with it."""
        text = self._kept + data
        found = text.count(MARK)
        self.events += found
        # Shorter than a mark, so that none is counted twice.
        self._kept = text[-(len(MARK) - 1) :]
        self.ended = text.endswith(CHUNKED_END)
        return found


class Stream(asyncio.Protocol):
    """One connection, with one stream on it at a time."""

    def __init__(self, call: bytes, events: int, seen: Seen, flows: Callable[[], None]) -> None:
        """A whole stream has that many events and a few besides. `flows` is told of the first of each."""
        self._call, self._expected, self._seen, self._flows = call, events, seen, flows
        self._transport: asyncio.Transport | None = None
        self._counter = Counter()
        self._start = b""
        self._tail = b""
        self._began = 0.0
        self._ended: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a client's transports are
        self._transport = transport

    async def run(self) -> bool:
        """One stream, from its request to its end. Whether it was whole."""
        assert self._transport is not None  # noqa: S101 - connected before
        self._counter, self._start, self._tail = Counter(), b"", b""
        self._ended = asyncio.get_running_loop().create_future()
        self._began = time.perf_counter()
        self._transport.write(self._call)
        return await self._ended

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        found = self._counter.feed(data)
        if len(self._start) < 12:  # noqa: PLR2004 - the length of "HTTP/1.1 200"
            self._start += data[:300]
        if found and self._counter.events == found:
            self._seen.first_bytes.append(time.perf_counter() - self._began)
            self._flows()
        self._seen.events += found
        self._seen.merged += max(0, found - 1)
        self._tail = (self._tail + data)[-80:]
        if self._counter.ended:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._tail += f" connection lost: {error}".encode()
        self._end()

    def _end(self) -> None:
        if self._ended is None or self._ended.done():
            return
        besides = self._counter.events - self._expected
        right = self._start.startswith(b"HTTP/1.1 200") and DONE in self._tail
        right = right and FEWEST_BESIDES <= besides <= MOST_BESIDES
        if right:
            self._seen.whole += 1
        else:
            self._seen.failed += 1
            what = f"{self._counter.events} events, the last {self._tail!r}"
            self._seen.example = self._seen.example or what
        self._ended.set_result(right)


class Streams:
    """Streams from one address, until a window is over."""

    def __init__(self, url: str, call: bytes, events: int, number: int) -> None:
        """Nothing is sent yet."""
        address = urlsplit(url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._call, self._events = call, events
        self._number = number
        self._flowing = 0
        self._all_flow = asyncio.Event()
        self._over = False
        self.seen = Seen()

    async def run(self, spread: float, window: float, *, again: bool) -> Seen:
        """Everything; "open" and "closed" are printed on the way."""
        each = [self._one(place * spread / self._number, again=again) for place in range(self._number)]
        tasks = [asyncio.create_task(one) for one in each]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_flow.wait(), spread + PATIENCE_SECONDS)
        _say("open")
        seen = self.seen
        events, merged, first = seen.events, seen.merged, len(seen.first_bytes)
        await asyncio.sleep(window)
        told = {"events": seen.events - events, "merged": seen.merged - merged}
        self._over = True
        _say(f"closed {json.dumps(told)}")
        # With streams that follow each other the beginning is the crowd's, not the steady state's.
        seen.first_bytes = seen.first_bytes[first:] if again else seen.first_bytes
        _, unfinished = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
        for task in unfinished:
            task.cancel()
            seen.failed += 1
            seen.example = seen.example or "did not end"
        return seen

    def _flows(self) -> None:
        """Counts first events, until there were as many as connections."""
        self._flowing += 1
        if self._flowing == self._number:
            self._all_flow.set()

    async def _one(self, after: float, *, again: bool) -> None:
        await asyncio.sleep(after)
        loop = asyncio.get_running_loop()
        try:
            made = loop.create_connection(
                lambda: Stream(self._call, self._events, self.seen, self._flows), self._host, self._port
            )
            transport, stream = await made
        except OSError as error:
            self.seen.failed += 1
            self.seen.example = str(error)
            return
        right = await stream.run()
        while again and right and not self._over:
            right = await stream.run()
        transport.close()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - whoever starts it reads it


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", default="sk-none")
    parser.add_argument("--body", required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--window", type=float, default=5)
    parser.add_argument("--spread", type=float, default=0.02)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--header", action="append", default=[])
    given = parser.parse_args()
    call = request(given.url, given.key, given.body.encode(), given.header)
    streams = Streams(given.url, call, given.events, given.streams)
    seen = asyncio.run(streams.run(given.spread, given.window, again=given.again))
    told = {
        "whole": seen.whole,
        "failed": seen.failed,
        "example": seen.example,
        "first_byte_p50": percentile(seen.first_bytes, 0.5),
        "first_byte_p99": percentile(seen.first_bytes, 0.99),
        "cpu": time.process_time(),
    }
    _say(json.dumps(told))


if __name__ == "__main__":
    main()
