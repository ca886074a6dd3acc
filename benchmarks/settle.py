"""Settling alone: a stream full of events of finished calls, and one real worker that books them.

    python -m benchmarks.settle --rows 30000 --users 1000 --rounds 3 --databases postgresql,sqlite

Prints rows per second, and CPU by /proc of all processes of the worker, of the database and of Redis, for each row.
PostgreSQL writes through to the disk (fsync), SQLite too.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import redis as redis_py

from app.ledger.event import Attempt, CallEvent
from app.ledger.pricing import Price, Rates, cost
from app.ledger.usage import Usage
from app.limits.meters import EVENTS, budget_key, holds_key
from benchmarks import crowd
from benchmarks.systems import Running
from tests.services.postgres import Postgres
from tests.services.stack import Stack, migrate
from tests.services.valkey import Valkey

PRICES = {
    model: Price(Rates.from_wire([fresh, output, read, 0, 0, output, 0, 0]), f"genai-prices 0.0.1 openai/{model}")
    for model, fresh, read, output in (
        ("gpt-4o", 2_500_000_000, 1_250_000_000, 10_000_000_000),
        ("gpt-4o-mini", 150_000_000, 75_000_000, 600_000_000),
        ("o3-mini", 1_100_000_000, 550_000_000, 4_400_000_000),
    )
}
WARM_UP_ROWS = 3_000
WRITTEN_AT_ONCE = 1_000
LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Settled:
    """What one round gave: rows, the seconds they took, and seconds of CPU by the name of who took them."""

    rows: int
    seconds: float
    cpu: dict[str, float]

    def __str__(self) -> str:
        """For people."""
        each = ", ".join(f"{name} {taken / self.rows * 1e6:.1f} µs" for name, taken in self.cpu.items())
        return f"{self.rows / self.seconds:,.0f} rows/s; CPU per row: {each}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", default="postgresql,sqlite")
    given = parser.parse_args()
    for database in given.databases.split(","):
        with worker(database, given.users) as (running, store):
            settled(running, store, WARM_UP_ROWS, range(given.users))
            for number in range(given.rounds):
                told = settled(running, store, given.rows, range(given.users))
                say(f"{database}, round {number + 1} of {given.rounds}, load {os.getloadavg()[0]:.1f}: {told}")


@contextmanager
def worker(database: str, users: int, rows: int = 0) -> Iterator[tuple[Running, redis_py.Redis]]:
    """One worker over a database with so many users and past rows, and its Redis."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(Valkey(directory))
        beside = {"Valkey": [psutil.Process(valkey.pid)]}
        url = f"sqlite:///{directory / 'tollgate.db'}"
        if database == "postgresql":
            postgres = stack.enter_context(Postgres(durable=True))
            beside["PostgreSQL"] = [psutil.Process(postgres.process.pid)]
            url = postgres.create("bench")
        migrate(url)
        crowd.people(url, users)
        if rows:
            crowd.years(url, users, rows)
        running = stack.enter_context(Stack(url, valkey.url, {"model_list": []}, web=0, workers=1))
        store = stack.enter_context(redis_py.Redis.from_url(valkey.url))
        yield Running("worker", "", "", [psutil.Process(running.workers[0].pid)], beside), store


def settled(running: Running, store: redis_py.Redis, rows: int, users: Sequence[int]) -> Settled:
    """Writes so many events of these users while the worker is frozen, then measures until the last of them is booked.

    Raises RuntimeError where that takes longer than LONGEST_SECONDS.
    """
    time.sleep(2.5)
    processes = [each for process in running.processes for each in (process, *process.children(recursive=True))]
    for process in processes:
        process.suspend()
    write(store, rows, users)
    before, beside = running.cpu(), running.cpu_beside()
    for process in processes:
        process.resume()
    until = time.monotonic() + LONGEST_SECONDS
    # The worker looks by itself every two seconds; only what it does from its first batch on is counted in seconds.
    while (left := store.xlen(EVENTS)) == rows:
        time.sleep(0.002)
    began = time.monotonic()
    while store.xlen(EVENTS):
        if time.monotonic() > until:
            raise RuntimeError(f"{store.xlen(EVENTS)} events were not settled in {LONGEST_SECONDS} s")
        time.sleep(0.005)
    seconds = time.monotonic() - began
    cpu = {"worker": running.cpu() - before}
    cpu |= {name: taken - beside[name] for name, taken in running.cpu_beside().items()}
    return Settled(rows, seconds * rows / max(1, left), cpu)


def write(store: redis_py.Redis, rows: int, users: Sequence[int]) -> None:
    """The events of finished calls, and what the end of a call leaves in Redis beside its event."""
    for first in range(0, rows, WRITTEN_AT_ONCE):
        with store.pipeline(transaction=False) as pipeline:
            for _ in range(min(WRITTEN_AT_ONCE, rows - first)):
                one, costs = event(random.choice(users))  # noqa: S311 - no secret
                pipeline.xadd(EVENTS, {"e": one.to_bytes()})
                for meter, start, has_budget in one.meters:
                    if has_budget:
                        pipeline.hset(holds_key(meter, start), f"d{one.request_id}", costs)
                        pipeline.hincrby(budget_key(meter, start), "due", costs)
            pipeline.execute()


def event(number: int) -> tuple[CallEvent, int]:
    """A finished call of user `number`, and what it costs."""
    model, price = random.choice(list(PRICES.items()))  # noqa: S311 - no secret
    usage = Usage(random.randrange(20, 4000), random.randrange(1, 800))  # noqa: S311 - no secret
    costs = cost(price, usage)
    now = int(time.time() * 1000)
    meters: list[list[Any]] = [[f"key:k{number}", 0, 0], [f"user:u{number}", 0, 1], ["gateway", 0, 0]]
    attempt = Attempt(
        "dep_0123456789ab", "openai", model, "success", 200, "provider", usage.to_wire(), costs, price.source
    )
    call = CallEvent(
        request_id="req_" + secrets.token_hex(12),
        key_id=f"k{number}",
        token=secrets.token_hex(32),
        user_id=f"u{number}",
        end_user=None,
        route="chat/completions",
        model_name=model,
        stream=bool(number % 2),
        started_ms=now - 900,
        hold=10**7,
        meters=meters,
        attempts=[attempt],
        first_byte_ms=now - 600,
        ended_ms=now,
    )
    return call, costs


def say(text: str) -> None:
    """On the terminal, at once."""
    print(text, flush=True)  # noqa: T201 - whoever starts it reads it


if __name__ == "__main__":
    main()
