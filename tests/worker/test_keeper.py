"""Who watches over the process that runs the tasks: it is replaced when it dies or hangs, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from celery import Celery

from app import CANNOT_START
from app.extensions import celery_settings
from tests.journeys.waiting import until
from tests.services.process import Process
from tests.services.stack import REPOSITORY, environment, runs_tasks

SECONDS = 30
# A task may take so long: many times what a busy machine needs to start a Python.
TASK_SECONDS = 8
KEEPER = "import sys; from worker.keeper import Keeper; sys.exit(Keeper({child!r}, {seconds}).run())"
SLEEPS, LOOPS = "tests.sleeps", "tests.loops"
# Stands in for the child: it says how it was started, and what it hears.
STAND_IN = """
import os, signal, sys, time
pipe, parent = int(sys.argv[1]), int(sys.argv[2])
assert parent == os.getppid()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, lambda number, _: print("heard", signal.Signals(number).name, flush=True))
print("hangups are ignored:", signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, flush=True)
signal.signal(signal.SIGHUP, lambda *_: print("heard SIGHUP", flush=True))
print("started", os.getpid(), flush=True)
while True:
    os.write(pipe, b".")
    time.sleep(0.1)
"""


class Kept:
    """A keeper as a process, with its output."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def out(self) -> str:
        return self.process.log.read_text()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def child(self) -> int:
        """The process that runs the tasks, which is waited for."""
        found: list[int] = []

        def there() -> bool:
            found[:] = [child.pid for child in psutil.Process(self.process.pid).children()]
            return bool(found)

        until(there, SECONDS)
        return found[0]

    def ended(self) -> int:
        """Its exit code, which is waited for."""
        assert self.process._process
        return self.process._process.wait(SECONDS)


@contextmanager
def kept(log: Path, child: list[str], environ: dict[str, str], ready: Callable[[int], bool]) -> Iterator[Kept]:
    process = Process(
        "keeper",
        [sys.executable, "-c", KEEPER.format(child=[sys.executable, *child], seconds=TASK_SECONDS)],
        log,
        environ=environ | {"PYTHONPATH": str(REPOSITORY)},
        ready=lambda: ready(process.pid),
    )
    with process:
        yield Kept(process)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Kept]:
    """A child that says every tenth of a second that it goes on, and what it hears."""
    log = tmp_path / "log"
    with kept(log, ["-c", STAND_IN], dict(os.environ), ready=lambda _: "started" in log.read_text()) as one:
        yield one
        # It takes no notice of who asks it to end.
        one.process.kill()


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_one_that_is_killed_is_replaced(stand_in: Kept) -> None:
    os.kill(first := stand_in.child(), signal.SIGKILL)
    until(lambda: stand_in.out().count("started") == 2, SECONDS)
    assert stand_in.child() != first
    assert "worker: its process was killed by SIGKILL; starting it again in 0.5 s" in stand_in.out()


def test_a_frozen_one_is_replaced(stand_in: Kept) -> None:
    os.kill(stand_in.child(), signal.SIGSTOP)
    until(lambda: stand_in.out().count("started") == 2, SECONDS)
    assert f"nothing was heard of its process for {TASK_SECONDS} s" in stand_in.out()


def test_a_hangup_is_passed_on_and_means_nothing_to_one_that_cannot_hear_it_yet(stand_in: Kept) -> None:
    assert "hangups are ignored: True" in stand_in.out()
    stand_in.send(signal.SIGHUP)
    until(lambda: "heard SIGHUP" in stand_in.out(), SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_who_asks_to_stop_once_does_not_hurry(stand_in: Kept, number: signal.Signals) -> None:
    stand_in.send(number)
    until(lambda: "heard SIGTERM" in stand_in.out(), SECONDS)
    stand_in.send(signal.SIGTERM)
    assert is_running(stand_in.child())
    os.kill(stand_in.child(), signal.SIGKILL)
    assert stand_in.ended() == 128 + signal.SIGKILL
    assert stand_in.out().count("started") == 1
    assert stand_in.out().count("heard") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_who_asks_again_and_again_is_obeyed_at_once(stand_in: Kept, number: signal.Signals) -> None:
    child = stand_in.child()

    def obeyed() -> bool:
        # Signals of one kind that wait together are one.
        stand_in.send(number)
        return not is_running(child)

    until(obeyed, SECONDS)
    assert stand_in.ended() == 128 + signal.SIGKILL
    assert stand_in.out().count("heard") == 1


def test_one_that_can_never_start_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model_list: 5\n")
    environ = environment("sqlite:///nowhere.db", "redis://127.0.0.1:1/0", tmp_path, "sk-never-used-by-anybody")
    command = [sys.executable, "-m", "worker"]
    ended = subprocess.run(
        command, env=environ, cwd=REPOSITORY, check=False, timeout=60, capture_output=True, text=True
    )
    assert ended.returncode == CANNOT_START
    assert len(ended.stderr.splitlines()) == 1
    assert "model_list" in ended.stderr


@pytest.fixture
def worker(tmp_path: Path, redis_url: str, migrated_sqlite: Path) -> Iterator[Kept]:
    """The real process, with the tasks of odd_tasks."""
    (tmp_path / "config.yaml").write_text("model_list: []\n")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'tollgate.db')}"
    environ = environment(url, redis_url, tmp_path, "sk-never-used-by-anybody")
    child = ["-m", "tests.worker.odd_tasks"]
    with kept(tmp_path / "log", child, environ, ready=lambda pid: runs_tasks(redis_url, pid)) as one:
        yield one


@pytest.fixture
def send(redis_url: str) -> Iterator[Callable[..., object]]:
    """Sends a task to the worker."""
    with Celery(set_as_current=False) as app:
        app.config_from_object(celery_settings(redis_url))
        yield lambda task, *arguments: app.send_task(task, arguments)


def test_one_that_dies_while_config_yaml_is_wrong_is_replaced_under_the_last_good_one(
    worker: Kept, tmp_path: Path, redis_url: str
) -> None:
    first = worker.child()
    (tmp_path / "config.yaml").write_text("model_list: 5\n")
    os.kill(first, signal.SIGKILL)
    until(lambda: worker.child() != first and runs_tasks(redis_url, worker.process.pid), SECONDS)


def test_none_is_left_behind_by_a_keeper_that_is_killed(worker: Kept) -> None:
    os.kill(child := worker.child(), signal.SIGSTOP)
    worker.send(signal.SIGKILL)
    until(lambda: not is_running(child), SECONDS)


def test_a_task_that_runs_is_finished_by_who_is_asked_to_end(worker: Kept, send: Callable[..., object]) -> None:
    child = worker.child()
    send(SLEEPS, 1.5)
    until(lambda: "begins 1.5" in worker.out(), SECONDS)
    worker.send(signal.SIGTERM)
    assert worker.ended() == 0
    assert "ends 1.5" in worker.out()
    assert not is_running(child)


def test_a_task_that_takes_too_long_is_ended_and_the_next_one_runs(worker: Kept, send: Callable[..., object]) -> None:
    child = worker.child()
    send(SLEEPS, 600)
    send(SLEEPS, 0)
    until(lambda: f"ends 0 in {child}" in worker.out(), SECONDS)
    assert "begins 600" in worker.out()
    assert "SoftTimeLimitExceeded" in worker.out()


def test_a_task_that_does_not_end_is_ended_with_its_process(worker: Kept, send: Callable[..., object]) -> None:
    child = worker.child()
    send(LOOPS)
    until(lambda: f"goes on in {child}" in worker.out(), SECONDS)
    until(lambda: worker.child() != child, SECONDS)
    send(SLEEPS, 0)
    until(lambda: f"ends 0 in {worker.child()}" in worker.out(), SECONDS)
