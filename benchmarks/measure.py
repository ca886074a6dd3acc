"""One measurement of one system: CPU, calls, latencies of a load that runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import processes
from benchmarks.processes import Cores, pinned
from benchmarks.systems import Running, Upstream
from benchmarks.upstream import WORDS

# Rows are booked behind the calls, and that work belongs to them.
SETTLE_SECONDS = 30.0
PROMPT = "Tell me something about gateways, in as many words as you like. " * 3
# Above this share of their cores the load and the upstream, and not the gateway, may be what is measured.
FULL = 0.9
# Events that the load reads together, because it or the gateway was late; more than a few are a gateway's merging.
MERGED = 0.05


@dataclass(frozen=True, slots=True)
class Lab:
    """Where systems are measured."""

    upstream: Upstream
    cores: Cores


@dataclass(slots=True)
class Spent:
    """What a measurement has cost: seconds on the clock, and of CPU by those who took it."""

    seconds: float = 0.0
    system: float = 0.0
    workers: float = 0.0
    beside: dict[str, float] = field(default_factory=dict)
    upstream: float = 0.0
    everybody: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one measurement gave. `problems` make it worthless.

    Times are in seconds. `limited`: not the gateway, but load and upstream were at their end. `strangers` is the share
    of the machine that others took meanwhile. `merged` is the share of events that came together with another.
    """

    calls: int
    seconds: float
    spent: Spent
    problems: list[str]
    p50: float = 0.0
    p99: float = 0.0
    first_byte_p99: float = 0.0
    events: int = 0
    merged: float = 0.0
    memory: float = 0.0
    limited: bool = False
    strangers: float = 0.0

    def per_call(self, seconds: float) -> float:
        """Microseconds."""
        return seconds / max(1, self.calls) * 1e6

    def per_event(self, seconds: float) -> float:
        """Microseconds."""
        return seconds / max(1, self.events) * 1e6


def body(model: str, *, stream: bool = False, events: int | None = None) -> str:
    """A request of about 300 bytes. `events` is how long a stream of the scripted upstream shall be."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100}
    if stream:
        asked |= {"stream": True}
    if events is not None:
        del asked["max_tokens"]
        asked |= {"max_completion_tokens": events, "stream_options": {"include_usage": True}}
    return json.dumps(asked)


def calls(
    lab: Lab,
    system: Running,
    seconds: float,
    connections: int,
    rate: float | None = None,
    keys: Sequence[str] = (),
) -> Round:
    """Whole answers, as fast as they come, or as an open loop at a steady rate. `keys` are others than the system's."""
    command = [*_command("load", system, body(system.model)), "--expected", WORDS.strip()]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    command += [word for key in keys or (system.key,) for word in ("--key", key)]
    command += [] if rate is None else ["--rate", str(rate)]
    before, began = lab.upstream.done()["calls"], datetime.now(UTC)
    with _spending(lab, system) as spent:
        with pinned(lab.cores.others):
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=seconds + 60, **_dies_with_us()
            )
        told = json.loads(done.stdout)
        problems = _wrong(told["failed"], told["example"], told["calls"], lab.upstream.done()["calls"] - before)
        problems += settled(system, began, told["calls"])
    return Round(
        calls=told["calls"],
        seconds=told["seconds"],
        spent=spent,
        problems=problems,
        p50=told["p50"],
        p99=told["p99"],
        limited=_limited(lab.cores, told["seconds"], told["cpu"], spent),
        strangers=_strangers(spent, told["cpu"]),
    )


def streams(
    lab: Lab, system: Running, number: int, events: int, window: float, *, spread: float = 0.02, again: bool = False
) -> Round:
    """So many streams at once. CPU and events are those of the window in which all of them flow.

    Memory is taken in its middle, in bytes, where streams follow each other (`again`).
    """
    command = [*_command("streams", system, body(system.model, stream=True, events=events)), "--key", system.key]
    command += ["--streams", str(number), "--events", str(events), "--window", str(window), "--spread", str(spread)]
    command += ["--again"] if again else []
    before, began, memory = lab.upstream.done()["streams"], datetime.now(UTC), 0.0
    with pinned(lab.cores.others):
        load = psutil.Popen(command, stdout=subprocess.PIPE, text=True, **_dies_with_us())
    try:
        _line(load, "open")
        with _spending(lab, system) as spent:
            if again:
                time.sleep(window / 2)
                memory = system.memory()
            inside = json.loads(_line(load, "closed"))
        told = json.loads(_line(load, ""))
    finally:
        load.kill()
        load.wait()
        load.stdout.close()
    merged = inside["merged"] / max(1, inside["events"])
    problems = _wrong(told["failed"], told["example"], told["whole"], lab.upstream.done()["streams"] - before)
    # The upstream sends the last three events of a stream as one; where none ends, none come together.
    if merged > MERGED and not again:
        problems.append(f"{merged:.0%} of the events came merged with another")
    problems += settled(system, began, told["whole"])
    return Round(
        calls=told["whole"],
        seconds=window,
        spent=spent,
        problems=problems,
        first_byte_p99=told["first_byte_p99"],
        events=inside["events"],
        merged=merged,
        memory=memory,
        strangers=_strangers(spent, told["cpu"]),
    )


def settled(system: Running, since: datetime, wanted: int) -> list[str]:
    """Waits until every call has its row. The problem, where that does not happen."""
    if system.booked is None:
        return []
    until = time.monotonic() + SETTLE_SECONDS
    while (found := system.booked(since)) < wanted and time.monotonic() < until:
        time.sleep(0.2)
    return [] if found == wanted else [f"{found} of {wanted} calls are in the ledger"]


def _command(module: str, system: Running, asked: str) -> list[str]:
    command = [sys.executable, "-m", f"benchmarks.{module}", "--url", f"{system.url}/v1/chat/completions"]
    command += ["--body", asked]
    return command + [word for name, value in system.headers.items() for word in ("--header", f"{name}: {value}")]


def _dies_with_us() -> dict[str, Any]:
    return {"preexec_fn": processes.dies_with_us}


def _line(load: Any, word: str) -> str:
    """The rest of the next line that the load prints. It has patience of its own, so that this ends."""
    line: str = load.stdout.readline()
    if not line.startswith(word) or not line:
        raise RuntimeError(f"the load said {line!r} instead of {word!r}")
    return line.removeprefix(word)


@contextmanager
def _spending(lab: Lab, system: Running) -> Iterator[Spent]:
    """What is taken until the end of the block."""
    spent = Spent()
    before = _taken(lab, system)
    yield spent
    after = _taken(lab, system)
    spent.seconds = after.seconds - before.seconds
    spent.system, spent.workers = after.system - before.system, after.workers - before.workers
    spent.beside = {name: taken - before.beside[name] for name, taken in after.beside.items()}
    spent.upstream, spent.everybody = after.upstream - before.upstream, after.everybody - before.everybody


def _taken(lab: Lab, system: Running) -> Spent:
    return Spent(
        seconds=time.monotonic(),
        system=system.cpu(),
        workers=processes.cpu(system.workers),
        beside=system.cpu_beside(),
        upstream=lab.upstream.cpu(),
        everybody=processes.busy(),
    )


def _wrong(failed: int, example: str, answered: int, at_upstream: int) -> list[str]:
    """Why a measurement is worthless: failed calls, or answers that the upstream knows nothing of."""
    problems = []
    if failed:
        problems.append(f"{failed} of {failed + answered} failed: {' '.join(example.split())[:120]}")
    if not answered:
        problems.append("nothing was answered")
    if answered != at_upstream and not failed:
        problems.append(f"{answered} answers, but {at_upstream} calls at the upstream")
    return problems


def _limited(cores: Cores, seconds: float, load: float, spent: Spent) -> bool:
    """Whether load, upstream, Redis and SQL had their cores full, or one of them the one core it can use."""
    every = load + spent.upstream + sum(spent.beside.values())
    fullest = max(load, spent.upstream, every / len(cores.others))
    return fullest > FULL * seconds


def _strangers(spent: Spent, load: float) -> float:
    ours = spent.system + spent.upstream + load + sum(spent.beside.values())
    return max(0.0, (spent.everybody - ours) / spent.seconds / (psutil.cpu_count() or 1))
