"""The load counts what came back, and takes no wrong answer for a right one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from benchmarks import load, measure, streams
from benchmarks.upstream import WORDS, Upstream

WHOLE = measure.body("gpt-4o-mini")
EVENTS = 5


@asynccontextmanager
async def upstream(made: Callable[[], asyncio.Protocol] = lambda: Upstream(0, EVENTS, 0.01)) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
    finally:
        server.close()


class Canned(asyncio.Protocol):
    """Answers whatever comes with the same bytes, then closes if told so."""

    def __init__(self, answer: bytes, *, closes: bool = False) -> None:
        self.answer, self.closes = answer, closes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        self.transport.write(self.answer)
        if self.closes:
            self.transport.close()


def ran(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


async def called(made: Callable[[], asyncio.Protocol] | None = None, rate: float | None = None) -> load.Seen:
    async with upstream(*([made] if made else [])) as url:
        call = load.request(url, "sk-none", WHOLE.encode(), [])
        return await load.Load(url, [call], WORDS.strip().encode()).run(3, 0.1, rate)


async def streamed(made: Callable[[], asyncio.Protocol] | None = None, *, again: bool = False) -> streams.Seen:
    async with upstream(*([made] if made else [])) as url:
        asked = measure.body("gpt-4o-mini", stream=True, events=EVENTS)
        call = load.request(url, "sk-none", asked.encode(), [])
        return await streams.Streams(url, call, EVENTS, 4).run(0, 0.2 if again else 0.02, again=again)


def test_every_answer_of_the_upstream_is_counted_once() -> None:
    before = Upstream.done["calls"]
    seen = ran(called())
    assert len(seen.latencies) == Upstream.done["calls"] - before > 0
    assert seen.failed == 0


def test_a_steady_rate_sends_as_many_calls_as_are_due() -> None:
    seen = ran(called(rate=200))
    assert (len(seen.latencies), seen.failed) == (20, 0)


def test_an_error_is_a_failed_call_and_has_no_latency() -> None:
    error = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}"
    seen = ran(called(lambda: Canned(error), rate=200))
    assert (len(seen.latencies), seen.failed) == (0, 20)
    assert seen.example.startswith("HTTP/1.1 500")


def test_an_answer_without_the_upstreams_words_is_a_failed_call() -> None:
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    seen = ran(called(lambda: Canned(other), rate=200))
    assert (len(seen.latencies), seen.failed) == (0, 20)


def test_a_connection_that_breaks_off_is_a_failed_call() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"
    seen = ran(called(lambda: Canned(half, closes=True)))
    assert (len(seen.latencies), seen.failed) == (0, 3)


def test_whole_streams_are_counted_with_all_of_their_events() -> None:
    seen = ran(streamed())
    # The words, the end, the usage, [DONE].
    assert (seen.whole, seen.failed, seen.events) == (4, 0, 4 * (EVENTS + 3))
    assert len(seen.first_bytes) == 4


def test_streams_follow_each_other_until_the_window_is_over() -> None:
    seen = ran(streamed(again=True))
    assert seen.whole > 4
    assert seen.failed == 0


def test_a_stream_that_is_too_short_is_a_failed_one() -> None:
    seen = ran(streamed(lambda: Canned(b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\ndata: [DONE]\n\n0\r\n\r\n")))
    assert (seen.whole, seen.failed) == (0, 4)


def test_a_stream_that_breaks_off_is_a_failed_one() -> None:
    seen = ran(streamed(lambda: Canned(b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n", closes=True)))
    assert (seen.whole, seen.failed) == (0, 4)


def test_events_that_come_in_one_piece_are_told_as_merged() -> None:
    bunch = b"HTTP/1.1 200 OK\r\n\r\n" + b"data: {}\n\n" * 7 + b"data: [DONE]\n\n0\r\n\r\n"
    seen = ran(streamed(lambda: Canned(bunch)))
    assert (seen.whole, seen.merged) == (4, 4 * 7)


@given(st.integers(1, 30), st.data())
def test_events_are_counted_wherever_the_bytes_are_cut(events: int, data: st.DataObject) -> None:
    text = b'data: {"content": "word"}\n\n' * events
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    counter = streams.Counter()
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        counter.feed(text[start:end])
    assert counter.events == events
