"""`make bench`: Tollgate beside its peers, in one run on one machine, the rounds interleaved.

    python -m benchmarks --systems tollgate,litellm,nginx --rounds 3 --seconds 5

Every system gets the same calls to the same upstream. CPU is user + system of all processes of a system, web and
worker, by /proc. Absolute figures belong to the machine that is printed with them; the ratios are what to keep.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import table
from benchmarks.measure import Round, measured
from benchmarks.systems import PEERS, SYSTEMS, Running, available, install

CONNECTIONS = 64
# LiteLLM is beyond its means with more streams than this, and would be measured while it drowns.
STREAMS = {"LiteLLM": 8}
MOST_STREAMS = 48
# Half of what a system can do; PERF's lesson is that a full queue measures the queue.
LOAD = 0.5


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    names = [name for name in given.systems.split(",") if not _missing(name)]
    install(names)
    results = run(names, given.rounds, given.seconds)
    PEERS.mkdir(exist_ok=True)
    (PEERS / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    _say(table.written(results))


def run(names: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """The medians of everything, by system."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        address = stack.enter_context(upstream())
        systems: list[Running] = []
        for name in names:
            began = time.monotonic()
            systems.append(stack.enter_context(SYSTEMS[name](address)))
            found[systems[-1].name]["start_seconds"].append(time.monotonic() - began)
        for system in systems:
            measured(system, seconds=min(seconds, 3), connections=8)
            found[system.name]["memory_mb"].append(system.memory())
        for number in range(rounds):
            for system in systems:
                _say(f"round {number + 1} of {rounds}: {system.name}", file=sys.stderr)
                _round(system, seconds, found[system.name])
    return {"machine": _machine(), "rounds": rounds, "systems": {name: _medians(all_) for name, all_ in found.items()}}


def _round(system: Running, seconds: float, found: dict[str, list[float]]) -> None:
    full = measured(system, seconds=seconds, connections=CONNECTIONS)
    _add(found, full, {"cpu_us": lambda one: one.cpu_per_call, "per_core": lambda one: one.per_core})
    found["calls_per_second"].append(full.calls / full.seconds)
    for name, taken in full.beside.items():
        found[f"{name}_us"].append(taken / max(1, full.calls) * 1e6)
    half = measured(system, seconds=seconds, connections=CONNECTIONS, rate=LOAD * full.calls / seconds)
    _add(found, half, {"p50_ms": lambda one: one.p50 * 1e3, "p99_ms": lambda one: one.p99 * 1e3})
    streams = measured(system, seconds=seconds, connections=STREAMS.get(system.name, MOST_STREAMS), stream=True)
    _add(found, streams, {"event_us": lambda one: one.cpu_per_event})
    found["failed"].append(full.failed + half.failed + streams.failed)


def _add(found: dict[str, list[float]], one: Round, figures: dict[str, Callable[[Round], float]]) -> None:
    for name, figure in figures.items():
        found[name].append(figure(one))


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: sorted(values)[len(values) // 2] for name, values in found.items()}


class upstream:  # noqa: N801 - used as a function
    """The scripted upstream, as a process of its own."""

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "benchmarks.upstream"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        return self._process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _missing(name: str) -> bool:
    if why := available(name):
        _say(f"{name} is left out: {why}", file=sys.stderr)
    return why is not None


def _machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{psutil.cpu_count()} cores, {processor}, Python {platform.python_version()}"


def _say(text: str, file: Any = None) -> None:
    print(text, file=file, flush=True)


if __name__ == "__main__":
    main()
