"""The faults. Each breaks one part, waits a moment, and mends it as a platform would; nothing else is touched."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.load import Load
from tests.chaos.world import World
from tests.services.process import Process
from tests.services.short_lease import SECONDS as LEASE_SECONDS

# How long a part is down before the platform has it back, in seconds.
DOWN_SECONDS = 1.0
LONG_DOWN_SECONDS = LEASE_SECONDS + 2
CUT_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'chaos'"


@dataclass(frozen=True)
class Fault:
    """`act` breaks and mends. `noticed` is what callers may be told because of it; `databases`: where it can happen.

    `orphans`: calls in flight are known to Valkey alone until they are booked; `forgets`: Valkey forgets them.
    """

    name: str
    act: Callable[[World, Load, random.Random], None]
    noticed: tuple[str, ...] = ()
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    orphans: bool = False
    forgets: bool = False


def family(pid: int) -> list[int]:
    """A process and all that descend from it, parents first."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The program's name stands in brackets and may hold anything, so what counts is what follows it.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_and_start(process: Process, down: float = DOWN_SECONDS) -> None:
    """kill -9 of all of it. PostgreSQL's children have sessions of their own, so the group alone is not all."""
    send(signal.SIGKILL, family(process.pid))
    process.kill()
    time.sleep(down)
    back(process)


def freeze(process: Process, seconds: float) -> None:
    """SIGSTOP of all of it: connections stay open, nobody answers."""
    frozen = family(process.pid)
    send(signal.SIGSTOP, frozen)
    time.sleep(seconds)
    send(signal.SIGCONT, frozen)


def back(process: Process) -> None:
    process.start()
    process.wait_until_ready()


def children(process: Process) -> list[int]:
    return family(process.pid)[1:]


def web_killed(world: World, _: Load, chance: random.Random) -> None:
    kill_and_start(chance.choice(world.stack.web))


def web_restarted(world: World, _: Load, chance: random.Random) -> None:
    """SIGTERM, as at every rollout; what is still running after the grace period is killed."""
    chance.choice(world.stack.web).restart()


def web_child_killed(world: World, _: Load, chance: random.Random) -> None:
    """gunicorn itself lives and starts another."""
    process = chance.choice(world.stack.web)
    send(signal.SIGKILL, children(process))
    time.sleep(DOWN_SECONDS)
    process.wait_until_ready()


def web_frozen(world: World, _: Load, chance: random.Random) -> None:
    freeze(chance.choice(world.stack.web), chance.uniform(1, 3))


def worker_child_killed(world: World, _: Load, chance: random.Random) -> None:
    """The one that runs the tasks; who watches over it lives and starts another."""
    send(signal.SIGKILL, children(chance.choice(world.stack.workers)))
    time.sleep(DOWN_SECONDS)


def worker_killed(world: World, _: Load, chance: random.Random) -> None:
    kill_and_start(chance.choice(world.stack.workers))


def worker_restarted(world: World, _: Load, chance: random.Random) -> None:
    chance.choice(world.stack.workers).restart()


def worker_frozen(world: World, _: Load, chance: random.Random) -> None:
    freeze(chance.choice(world.stack.workers), chance.uniform(1, 3))


def valkey_restarted(world: World, _: Load, __: random.Random) -> None:
    world.valkey.end()
    time.sleep(DOWN_SECONDS)
    back(world.valkey)


def valkey_killed(world: World, _: Load, __: random.Random) -> None:
    kill_and_start(world.valkey)


def valkey_down_for_long(world: World, _: Load, __: random.Random) -> None:
    kill_and_start(world.valkey, LONG_DOWN_SECONDS)


def valkey_killed_and_emptied(world: World, _: Load, __: random.Random) -> None:
    world.valkey.kill()
    shutil.rmtree(world.valkey.log.parent / "appendonlydir")
    time.sleep(DOWN_SECONDS)
    back(world.valkey)


def valkey_frozen(world: World, _: Load, chance: random.Random) -> None:
    freeze(world.valkey, chance.uniform(1, 3))


def postgres_restarted(world: World, _: Load, __: random.Random) -> None:
    assert world.postgres
    world.postgres.process.end()
    time.sleep(DOWN_SECONDS)
    back(world.postgres.process)


def postgres_killed(world: World, _: Load, __: random.Random) -> None:
    assert world.postgres
    kill_and_start(world.postgres.process)


def postgres_down_for_long(world: World, _: Load, __: random.Random) -> None:
    assert world.postgres
    kill_and_start(world.postgres.process, LONG_DOWN_SECONDS)


def postgres_frozen(world: World, _: Load, chance: random.Random) -> None:
    assert world.postgres
    freeze(world.postgres.process, chance.uniform(1, 3))


def postgres_connections_cut(world: World, _: Load, __: random.Random) -> None:
    assert world.postgres
    world.postgres.execute(CUT_CONNECTIONS)


def sqlite_locked(world: World, _: Load, chance: random.Random) -> None:
    """Somebody else writes for long; readers go on."""
    with contextlib.closing(sqlite3.connect(world.database_url.removeprefix("sqlite:///"), timeout=10)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        time.sleep(chance.uniform(1, 5))
        other.execute("ROLLBACK")


def clients_cut(_: World, load: Load, __: random.Random) -> None:
    """Every client that reads a stream leaves at once."""
    load.cut.set()
    time.sleep(0.3)
    load.cut.clear()


CUT, UNAVAILABLE, ON_POSTGRESQL = ("cut", "ended without [DONE]"), ("503",), ("postgresql",)
FAULTS = (
    Fault("web killed", web_killed, CUT, orphans=True),
    Fault("web restarted", web_restarted, CUT, orphans=True),
    Fault("web child killed", web_child_killed, CUT, orphans=True),
    # Frozen for longer than it waits for Redis, it may have missed an answer.
    Fault("web frozen", web_frozen, UNAVAILABLE),
    Fault("worker child killed", worker_child_killed),
    Fault("worker killed", worker_killed),
    Fault("worker restarted", worker_restarted),
    Fault("worker frozen", worker_frozen),
    Fault("Valkey restarted", valkey_restarted, UNAVAILABLE),
    Fault("Valkey killed", valkey_killed, UNAVAILABLE),
    Fault("Valkey down for longer than a lease", valkey_down_for_long, UNAVAILABLE),
    Fault("Valkey killed, data gone", valkey_killed_and_emptied, UNAVAILABLE, forgets=True),
    Fault("Valkey frozen", valkey_frozen, UNAVAILABLE),
    Fault("PostgreSQL restarted", postgres_restarted, UNAVAILABLE, ON_POSTGRESQL),
    Fault("PostgreSQL killed", postgres_killed, UNAVAILABLE, ON_POSTGRESQL),
    Fault("PostgreSQL down for longer than a lease", postgres_down_for_long, UNAVAILABLE, ON_POSTGRESQL),
    Fault("PostgreSQL frozen", postgres_frozen, UNAVAILABLE, ON_POSTGRESQL),
    Fault("PostgreSQL connections cut", postgres_connections_cut, UNAVAILABLE, ON_POSTGRESQL),
    Fault("SQLite locked", sqlite_locked, UNAVAILABLE, ("sqlite",)),
    Fault("clients cut", clients_cut),
)


def faults_for(database: str) -> list[Fault]:
    return [fault for fault in FAULTS if database in fault.databases]
