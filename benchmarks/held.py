"""`python -m benchmarks.held`: slow streams of ten seconds that one process holds open, so many at the same time.

    python -m benchmarks.held --systems tollgate,nginx --streams 500,2000

Each connection has one stream after the other, an event a second; they begin spread over ten seconds, so that every
second a tenth of them ends and as many begin. First bytes are those of streams that begin once all flow; the memory of
a stream is what the system has more (PSS) in the middle of that time than before the first stream, by their number.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import measure, peers, processes, results, table
from benchmarks.measure import Lab
from benchmarks.systems import SYSTEMS, Upstream

STREAM_SECONDS = 10
GAP_SECONDS = 1.0
WINDOW_SECONDS = 10.0
FULL = [500, 2000, 5000]
# LiteLLM takes many seconds to the first byte with 500 of them; more would only be more of that.
LEFT_OUT = {"portkey"}
MOST = {"litellm": 500}
ALONE = 20


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="tollgate,litellm,nginx")
    parser.add_argument("--streams", default=",".join(map(str, FULL)))
    given = parser.parse_args()
    processes.prepare()
    names = [name for name in given.systems.split(",") if not peers.missing(name)]
    peers.install(names)
    results.keep("held", run(names, [int(number) for number in given.streams.split(",")]))
    print(table.held(results.read()["held"]), flush=True)  # noqa: T201 - it is what was asked for


def run(names: list[str], numbers: list[int]) -> dict[str, Any]:
    """First byte p99 and memory a stream of each system with each number of streams."""
    cores = processes.cores()
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        for number in numbers:
            if name in LEFT_OUT or number > MOST.get(name, number):
                continue
            # A process that has held streams keeps memory for the next, so each number gets a fresh one.
            results.say(f"{number} streams held by {name}")
            with Upstream(cores, GAP_SECONDS) as upstream, SYSTEMS[name](upstream.url, cores) as system:
                told = _held(Lab(upstream, cores), system, number)
                found.setdefault(system.name, {})[str(number)] = told
    return {"machine": processes.machine(), "cores": str(cores), "systems": found}


def _held(lab: Lab, system: Any, number: int) -> dict[str, Any]:
    measure.streams(lab, system, ALONE, 2, 1.0, again=True)
    before = system.memory()
    one = measure.streams(lab, system, number, STREAM_SECONDS, WINDOW_SECONDS, spread=STREAM_SECONDS, again=True)
    if one.problems:
        return {"invalid": one.problems[0]}
    return {
        "first_byte_p99_ms": one.first_byte_p99 * 1e3,
        "kb_a_stream": (one.memory - before) / number / 1e3,
        "cpu_share": one.spent.system / one.spent.seconds,
        "strangers": one.strangers,
    }


if __name__ == "__main__":
    main()
