"""Does a call cost more as the gateway grows? The same load on a small database and on one that years have filled.

    python -m benchmarks.growth --users 1000000 --rows 10000000 --rounds 3 --seconds 5

The small one has no past and only the users who call. Measured are CPU per call of web and worker, PostgreSQL and
Redis, and CPU per row while the worker settles a full stream; with few users who call, and with many, who are spread
over all that there are. The two databases take turns; the ratios (large : small) are what to keep. Filling takes about
a minute for each million rows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

import redis as redis_py

from benchmarks import crowd, measure, processes, settle
from benchmarks.measure import Lab
from benchmarks.systems import Running, Upstream, tollgate

CALLERS = (10, 300)
CONNECTIONS = 32


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--settled", type=int, default=20_000)
    given = parser.parse_args()
    found: dict[int, dict[str, list[list[float]]]] = {callers: defaultdict(list) for callers in CALLERS}
    cores = processes.cores()
    with ExitStack() as stack:
        lab = Lab(stack.enter_context(Upstream(cores, 0)), cores)
        small = stack.enter_context(tollgate(lab.upstream.url, cores, users=max(CALLERS)))
        began = time.monotonic()
        large = stack.enter_context(tollgate(lab.upstream.url, cores, users=given.users, rows=given.rows))
        settle.say(f"{given.users:,} users and {given.rows:,} rows after {time.monotonic() - began:.0f} s")
        for number in range(given.rounds + 1):
            for callers, figures in found.items():
                pair = [
                    _measured(lab, system, range(0, users, users // callers)[:callers], given.seconds, given.settled)
                    for system, users in ((small, max(CALLERS)), (large, given.users))
                ]
                load = f"load {os.getloadavg()[0]:.1f}"
                settle.say(f"{number or 'warm-up'}: {callers} callers, {load}: {_shown(pair[0])} | {_shown(pair[1])}")
                # In the first round everything is met for the first time.
                for figure in pair[0] if number else ():
                    figures[figure].append([one[figure] for one in pair])
    for callers, figures in found.items():
        settle.say(f"\n{callers} callers, µs of CPU: small, large, ratio")
        for figure, pairs in figures.items():
            few, many = (_median([pair[place] for pair in pairs]) for place in (0, 1))
            settle.say(f"{figure}: {few:.3g}, {many:.3g}, {many / few if few else 0:.2f}")


def _measured(lab: Lab, system: Running, numbers: Sequence[int], seconds: float, rows: int) -> dict[str, float]:
    """Microseconds of CPU per call and per settled row, of the users with these numbers."""
    keys = [crowd.SECRET.format(number) for number in numbers]
    calls = measure.calls(lab, system, seconds, CONNECTIONS, keys=keys)
    if calls.problems or not calls.calls:
        raise RuntimeError(f"{calls.calls} calls were answered: {calls.problems}")
    with redis_py.Redis.from_url(system.redis_url) as store:
        settled = settle.settled(system, store, rows, numbers)
    found = {"gateway per call": calls.per_call(calls.spent.system)}
    found |= {f"{name} per call": calls.per_call(taken) for name, taken in calls.spent.beside.items()}
    return found | {f"{name} per row": taken / settled.rows * 1e6 for name, taken in settled.cpu.items()}


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())


if __name__ == "__main__":
    main()
