"""`python -m benchmarks.start`: how long it takes to the first answered call, and what it needs while it is idle.

Tollgate is started as `make run` does, with an empty directory, then once more with what the first start has left: web,
worker, SQLite and the embedded Valkey, one process tree. The peers are started as in `make bench`. Time counts from
the start of the process to the first call that was answered with 200; memory is PSS, some seconds later.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import yaml

from app.local.valkey import free_port
from benchmarks import measure, peers, processes, results, table
from benchmarks.figures import Found
from benchmarks.processes import Cores
from benchmarks.systems import MODEL, SYSTEMS, Running, Upstream, deployment
from tests.services.process import Process

IDLE_SECONDS = 5.0
KEY = "sk-only-for-this-measurement"
PARTS = {"gunicorn": "web", "-m worker": "worker", "valkey-server": "Valkey"}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    processes.prepare()
    names = [name for name in given.systems.split(",") if not peers.missing(name)]
    peers.install(names)
    results.keep("start", run(names, given.rounds))
    print(table.start(results.read()["start"]), flush=True)  # noqa: T201 - it is what was asked for


def run(names: list[str], rounds: int) -> dict[str, Any]:
    """Medians of seconds and megabytes, by system."""
    cores = processes.cores()
    # Nobody is held back while it starts: every process may use every core, ours as well as theirs.
    cores = Cores(cores.gateway | cores.others, cores.gateway | cores.others)
    found: dict[str, Found] = {}
    strangers = processes.strangers()
    with Upstream(cores) as upstream:
        for number in range(rounds):
            for name in names:
                results.say(f"start {number + 1} of {rounds}: {name}")
                if name == "tollgate":
                    _ours(upstream.url, found.setdefault("Tollgate", Found()))
                    continue
                began = time.monotonic()
                with SYSTEMS[name](upstream.url, cores) as system:
                    _until_answered(system)
                    taken = time.monotonic() - began
                    time.sleep(IDLE_SECONDS)
                    figures = {"start_seconds": taken, "memory_mb": system.memory() / 1e6}
                    found.setdefault(system.name, Found()).add([], **figures)
    return {
        "machine": processes.machine(),
        "rounds": rounds,
        "strangers": strangers(),
        "systems": {name: all_.told() for name, all_ in found.items()},
    }


def _ours(upstream: str, found: Found) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with _made_run(upstream, directory) as (first, seconds):
            found.add([], start_seconds=seconds)
            time.sleep(IDLE_SECONDS)
            parts = memory_by_part(first)
            found.add([], memory_mb=sum(parts.values()), **{f"{part}_mb": taken for part, taken in parts.items()})
        with _made_run(upstream, directory) as (_, seconds):
            found.add([], again_seconds=seconds)


@contextmanager
def _made_run(upstream: str, directory: Path) -> Iterator[tuple[psutil.Process, float]]:
    """What `make run` starts, and the seconds until it had answered a call."""
    (directory / "config.yaml").write_text(yaml.safe_dump(deployment(upstream)), encoding="utf-8")
    port = free_port()
    unwanted = {"DATABASE_URL", "REDIS_URL", "WEB_CONCURRENCY"}
    environ = {name: value for name, value in os.environ.items() if name not in unwanted and "TOLLGATE" not in name}
    environ |= {"PORT": str(port), "TOLLGATE_MASTER_KEY": KEY, "TOLLGATE_HOME": str(directory / "home")}
    environ |= {"TOLLGATE_CONFIG": str(directory / "config.yaml")}
    system = Running("Tollgate", f"http://127.0.0.1:{port}", KEY, [])
    command = [sys.executable, "-m", "app.local"]
    process = Process("make run", command, directory / "output.log", environ=environ, ready=lambda: _answered(system))
    began = time.monotonic()
    process.start()
    try:
        process.wait_until_ready(60)
        yield psutil.Process(process.pid), time.monotonic() - began
    finally:
        process.end(40)


def memory_by_part(root: psutil.Process) -> dict[str, float]:
    """Megabytes (PSS) of each part of the process tree; what is none of the named parts watches over the others."""
    found = dict.fromkeys([*PARTS.values(), "supervisor"], 0.0)
    for each in processes.tree([root]):
        words = " ".join(each.cmdline())
        part = next((part for word, part in PARTS.items() if word in words), "supervisor")
        found[part] += float(each.memory_full_info().pss) / 1e6
    return found


def _until_answered(system: Running) -> None:
    until = time.monotonic() + 60
    while not _answered(system):
        if time.monotonic() > until:
            raise RuntimeError(f"{system.name} did not begin to answer")
        time.sleep(0.01)


def _answered(system: Running) -> bool:
    """Whether a call is answered with 200."""
    host = system.url.removeprefix("http://")
    headers = {"Authorization": f"Bearer {system.key}", "Content-Type": "application/json"} | system.headers
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("POST", "/v1/chat/completions", measure.body(MODEL), headers)
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK and "choices" in json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
