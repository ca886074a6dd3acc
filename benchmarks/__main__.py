"""`make bench`: Tollgate beside its peers, in one run on one machine, the rounds interleaved.

    python -m benchmarks --small
    python -m benchmarks --systems tollgate,litellm,nginx --rounds 3 --seconds 5

Every system gets the same calls to the same upstream; README.md beside this file says what is measured how. Absolute
figures belong to the machine that is printed with them; the ratios are what to keep.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks import held, measure, peers, processes, results, start, table
from benchmarks.figures import Found
from benchmarks.measure import Lab, Round
from benchmarks.systems import SYSTEMS, Running, Upstream, direct

CONNECTIONS = 64
# LiteLLM is beyond its means with more streams than this, and would be measured while it drowns.
STREAMS = {"LiteLLM": 8}
MOST_STREAMS = 48
GAP_SECONDS = 0.02
# Streams go on for that long before and after the window in which all of them flow.
AROUND_SECONDS = 2.0
# A full queue measures the queue.
LOAD = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    names: list[str]
    rounds: int
    seconds: float


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--rounds", type=int, help="3, or 1 with --small")
    parser.add_argument("--seconds", type=float, help="of each measurement: 5, or 3 with --small")
    parser.add_argument("--small", action="store_true", help="in three minutes, for a first look")
    given = parser.parse_args()
    names = [name for name in given.systems.split(",") if not _missing(name)]
    rounds, seconds = given.rounds or (1 if given.small else 3), given.seconds or (3 if given.small else 5)
    processes.prepare()
    peers.install(names)
    results.keep("calls", run(Plan(names, rounds, seconds)))
    results.keep("start", start.run(names, 1 if given.small else 3))
    # Each number of streams takes more than half a minute for each system: the small form has only ours.
    holding, numbers = (names[:1], held.FULL[:1]) if given.small else (names, held.FULL)
    results.keep("held", held.run(holding, numbers))
    print(table.written(results.read()), flush=True)  # noqa: T201 - it is what was asked for


def run(plan: Plan) -> dict[str, Any]:
    """The medians of everything, by system."""
    cores = processes.cores()
    with ExitStack() as stack:
        lab = Lab(stack.enter_context(Upstream(cores, GAP_SECONDS)), cores)
        upstream = stack.enter_context(direct(lab.upstream.url, cores))
        systems = [stack.enter_context(SYSTEMS[name](lab.upstream.url, cores)) for name in plan.names]
        found = {system.name: Found() for system in systems}
        for system in systems:
            measure.calls(lab, system, min(plan.seconds, 3), 8)
        strangers: list[float] = []
        for number in range(plan.rounds):
            for system in systems:
                results.say(f"round {number + 1} of {plan.rounds}: {system.name}")
                strangers += _round(lab, system, upstream, plan.seconds, found[system.name])
        return {
            "machine": processes.machine(),
            "cores": str(cores),
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "strangers": sum(strangers) / max(1, len(strangers)),
            "systems": {name: all_.told() for name, all_ in found.items()},
        }


def _round(lab: Lab, system: Running, upstream: Running, seconds: float, found: Found) -> list[float]:
    """All measurements of one system, one after the other. Gives what share of the machine others took in each."""
    full = measure.calls(lab, system, seconds, CONNECTIONS)
    _full(full, found)
    # What it can go on doing: rows may be booked after the calls, and the core has to do that as well.
    rate = LOAD * max(1.0, min(found.median("calls_per_second") or 0, found.median("per_core") or 0))
    half = measure.calls(lab, system, seconds, CONNECTIONS, rate)
    bare = measure.calls(lab, upstream, seconds, CONNECTIONS, rate)
    found.add(
        half.problems + bare.problems,
        half_rate=rate,
        p50_ms=half.p50 * 1e3,
        p99_ms=half.p99 * 1e3,
        direct_p50_ms=bare.p50 * 1e3,
        direct_p99_ms=bare.p99 * 1e3,
        added_p50_ms=(half.p50 - bare.p50) * 1e3,
        added_p99_ms=(half.p99 - bare.p99) * 1e3,
    )
    number = STREAMS.get(system.name, MOST_STREAMS)
    flow = measure.streams(lab, system, number, int((seconds + 2 * AROUND_SECONDS) / GAP_SECONDS), seconds)
    found.add(flow.problems, event_us=flow.per_event(flow.spent.system), merged=flow.merged)
    return [full.strangers, half.strangers, bare.strangers, flow.strangers]


def _full(full: Round, found: Found) -> None:
    found.add(
        full.problems,
        cpu_us=full.per_call(full.spent.system),
        per_core=full.calls / full.spent.system if full.spent.system else 0.0,
        calls_per_second=full.calls / full.seconds,
    )
    if full.spent.workers:
        found.add(full.problems, worker_us=full.per_call(full.spent.workers))
    for name, taken in full.spent.beside.items():
        found.add(full.problems, **{f"{name}_us": full.per_call(taken)})
    # A figure by itself, so that the table can say "at least".
    found.add([], limited=float(full.limited))


def _missing(name: str) -> bool:
    if name not in SYSTEMS:
        sys.exit(f"{name}: there are {', '.join(SYSTEMS)}")
    if why := peers.missing(name):
        results.say(f"{name} is left out: {why}")
    return why is not None


if __name__ == "__main__":
    main()
