"""The HTTP client of a call beside the one that it replaces: CPU per call, urllib3 ÷ ours, in one process under gevent.

    python -m benchmarks.client --rounds 7 --calls 4000 --greenlets 64

The rounds are interleaved, each against an upstream in a process of its own, which is not counted. A call is a POST of
300 bytes whose answer of 700 bytes is read to its end; a stream's events come one by one. The ratios are what to keep.
"""
# ruff: noqa: E402 - gevent has to be first, as it is in the web process

from gevent import monkey  # type: ignore[import-untyped]

monkey.patch_all()

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import gevent
import urllib3

from app.http import Connection, Pool, Waits
from benchmarks.measure import body

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "Authorization": "Bearer sk-1234567890123456789012345678901234567890",
}
PIECE = 65536

Call = Callable[[str, bytes], int]


class Nobody:
    """A call that nobody breaks off."""

    connection: Connection | None = None


def ours() -> Call:
    """The call as the gateway makes it."""
    pool = Pool()

    def call(url: str, sent: bytes) -> int:
        answer = pool.post(url, HEADERS, sent, Waits(10, 60, 60, math.inf), Nobody())
        try:
            return sum(map(len, answer.chunks()))
        finally:
            answer.close()

    return call


def urllib3s() -> Call:
    """The call as the gateway made it before."""
    pool = urllib3.PoolManager(num_pools=200, maxsize=1000, block=False, retries=False)

    def call(url: str, sent: bytes) -> int:
        answer = pool.urlopen(
            "POST",
            url,
            body=sent,
            headers=HEADERS,
            timeout=urllib3.Timeout(connect=10, read=60),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            return sum(map(len, answer.stream(PIECE, decode_content=True)))
        finally:
            answer.close() if not answer.closed else None
            answer.release_conn()

    return call


def cpu_of(call: Call, url: str, sent: bytes, calls: int, greenlets: int) -> float:
    """CPU seconds, user and system, of so many calls."""

    def work(number: int) -> None:
        for _ in range(number):
            if not call(url, sent):
                raise SystemExit("an answer was empty")

    began = time.process_time()
    gevent.joinall([gevent.spawn(work, calls // greenlets) for _ in range(greenlets)], raise_error=True)
    return time.process_time() - began


@contextmanager
def upstream(port: int, *options: str) -> "Iterator[str]":
    """The provider, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.upstream", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1/chat/completions"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--greenlets", type=int, default=64)
    parser.add_argument("--port", type=int, default=9700)
    given = parser.parse_args()
    whole = body("gpt-4o-mini").encode()
    streamed = body("gpt-4o-mini", stream=True).encode()
    events = 50
    with upstream(given.port, "--events", str(events), "--gap", "0.005") as url:
        systems = {"urllib3": urllib3s(), "ours": ours()}
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.rounds):
            for name, call in systems.items():
                alone = cpu_of(call, url, whole, given.calls // 4, 1) / (given.calls // 4)
                many = cpu_of(call, url, whole, given.calls, given.greenlets) / given.calls
                stream = cpu_of(call, url, streamed, given.greenlets, given.greenlets) / given.greenlets / events
                for kind, seconds in (
                    ("one at a time", alone),
                    ("many at a time", many),
                    ("event of a stream", stream),
                ):
                    found.setdefault((kind, name), []).append(seconds * 1e6)
    for kind in dict.fromkeys(kind for kind, _ in found):
        old, new = (statistics.median(found[kind, name]) for name in ("urllib3", "ours"))
        print(f"{kind}: urllib3 {old:.1f} µs, ours {new:.1f} µs, ratio {old / new:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
