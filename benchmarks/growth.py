"""Does a call cost more as the gateway grows? The same load on a small database and on one that years have filled.

    python -m benchmarks.growth --users 1000000 --rows 10000000 --rounds 3 --seconds 5

The small one has ten users and no past. Measured are CPU per call of web and worker, PostgreSQL and Redis while all
users call, and CPU per row while the worker settles a full stream. Both run side by side and take turns; the ratios
(large : small) are what to keep. Filling takes about a minute for each million rows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from contextlib import ExitStack

import redis as redis_py

from benchmarks import crowd, settle
from benchmarks.__main__ import upstream
from benchmarks.measure import measured
from benchmarks.systems import Running, tollgate

FEW = 10
# So many different users call in turn. More would say the same: no two calls of one user come close together.
CALLERS = 2_000
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
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        address = stack.enter_context(upstream())
        small = stack.enter_context(tollgate(address, users=FEW))
        began = time.monotonic()
        large = stack.enter_context(tollgate(address, users=given.users, rows=given.rows))
        settle.say(f"{given.users:,} users and {given.rows:,} rows after {time.monotonic() - began:.0f} s")
        # Of the large one both are told: what its size costs the same ten callers, and what a crowd of callers costs.
        cases = {
            f"{FEW} users": (small, FEW, FEW),
            f"{given.users:,} users, {FEW} of them call": (large, FEW, FEW),
            f"{given.users:,} users, {CALLERS:,} of them call": (large, given.users, CALLERS),
        }
        for system, users, callers in cases.values():
            _calls(system, users, callers, given.seconds)
        for number in range(given.rounds):
            for name, (system, users, callers) in cases.items():
                figures = _calls(system, users, callers, given.seconds) | _rows(system, users, given.settled)
                for figure, value in figures.items():
                    found[name][figure].append(value)
                settle.say(f"round {number + 1}, load {os.getloadavg()[0]:.1f}, {name}: {_shown(figures)}")
    first = found[f"{FEW} users"]
    for name, all_figures in found.items():
        medians = {figure: _median(values) for figure, values in all_figures.items()}
        ratios = {figure: median / _median(first[figure]) for figure, median in medians.items()}
        settle.say(f"{name}: {_shown(medians)}; by the first: {_shown(ratios)}")


def _calls(system: Running, users: int, callers: int, seconds: float) -> dict[str, float]:
    """Microseconds of CPU per call."""
    callers = min(callers, users)
    keys = [crowd.SECRET.format(number * (users // callers)) for number in range(callers)]
    one = measured(system, seconds=seconds, connections=CONNECTIONS, keys=keys)
    if one.failed:
        raise RuntimeError(f"{one.failed} of {one.calls} calls failed")
    each = {f"{name} per call": taken / one.calls * 1e6 for name, taken in one.beside.items()}
    return {"gateway per call": one.cpu_per_call} | each


def _rows(system: Running, users: int, rows: int) -> dict[str, float]:
    """Microseconds of CPU per settled row."""
    with redis_py.Redis.from_url(system.redis_url) as store:
        one = settle.settled(system, store, rows, users)
    return {f"{name} per row": taken / one.rows * 1e6 for name, taken in one.cpu.items()}


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())


if __name__ == "__main__":
    main()
