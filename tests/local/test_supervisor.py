from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from app.local.child import Child
from app.local.endings import restart_delay
from app.local.supervisor import Stopped, Supervisor
from tests.journeys.waiting import until


def sleeper(name: str) -> Child:
    return Child(name, ["sleep", "60"], os.environ)


def ask_to_stop(after: float) -> None:
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGTERM)).start()


def test_delays_double_from_half_a_second_to_ten() -> None:
    assert [restart_delay(deaths) for deaths in (0, 1, 2, 4, 5, 1000)] == [0.5, 1, 2, 8, 10, 10]


def test_a_child_that_dies_is_started_again_and_that_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    child = sleeper("web")
    with Supervisor() as supervisor:
        supervisor.start(child, patience=1)
        first = child.pid
        assert first
        os.kill(first, signal.SIGKILL)
        assert supervisor.wait(lambda: child.pid != first, 5)
    said = [line for line in capsys.readouterr().out.splitlines() if "killed" in line]
    assert said == ["tollgate | web was killed by SIGKILL; starting it again in 0.5 s"]


def test_a_child_that_keeps_dying_is_counted() -> None:
    with Supervisor() as supervisor:
        watched = supervisor.start(Child("web", ["false"], os.environ), patience=1)
        assert supervisor.wait(lambda: watched.deaths == 2, 5)


def test_the_last_started_stops_first(capsys: pytest.CaptureFixture[str]) -> None:
    with Supervisor() as supervisor:
        for name in ("valkey", "worker", "web"):
            supervisor.start(sleeper(name), patience=1)
    said = capsys.readouterr().out.splitlines()
    assert said == ["tollgate | stopping web", "tollgate | stopping worker", "tollgate | stopping valkey"]


def test_a_signal_ends_the_watch() -> None:
    child = sleeper("web")
    with Supervisor() as supervisor:
        supervisor.start(child, patience=1)
        ask_to_stop(after=0.1)
        supervisor.watch()
    assert child.ended() is not None


def test_a_signal_ends_the_wait_for_something_else() -> None:
    with Supervisor() as supervisor:
        ask_to_stop(after=0.1)
        with pytest.raises(Stopped):
            supervisor.wait(lambda: False, 5)


def test_a_second_signal_hurries_the_stop(capsys: pytest.CaptureFixture[str]) -> None:
    with Supervisor() as supervisor:
        script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
        supervisor.start(Child("web", ["sh", "-c", script], os.environ), patience=60)
        time.sleep(0.2)
        ask_to_stop(after=0)
        ask_to_stop(after=0.2)
        supervisor.watch()
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert "tollgate | web took too long and was killed" in capsys.readouterr().out


def test_handlers_of_signals_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


HEARS = ["sh", "-c", "trap 'echo heard' HUP; echo ready; while :; do sleep 0.1; done"]
# What a terminal's own process does: it keeps such a child running until it is asked to stop.
KEEPER = f"""
import os
from app.local.child import Child
from app.local.supervisor import Supervisor
with Supervisor() as supervisor:
    supervisor.start(Child("web", {HEARS!r}, os.environ), 1, rereads=True)
    supervisor.watch()
"""


def hang_up_myself(after: float) -> None:
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGHUP)).start()


def test_a_hangup_goes_on_to_those_who_read_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    with Supervisor() as supervisor:
        supervisor.start(sleeper("valkey"), patience=1)
        supervisor.start(Child("web", HEARS, os.environ), patience=1, rereads=True)
        hang_up_myself(after=0.5)
        ask_to_stop(after=1.2)
        supervisor.watch()
    said = capsys.readouterr().out.splitlines()
    assert "tollgate | SIGHUP: web read config.yaml again" in said
    assert "web      | heard" in said
    assert not [line for line in said if "killed" in line]


def test_a_hangup_that_was_ignored_stops_nobody() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor() as supervisor:
            hang_up_myself(after=0.1)
            assert not supervisor.wait(lambda: False, 0.5)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_closed_ends_what_runs_in_it(tmp_path: Path) -> None:
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with (tmp_path / "out").open("wb") as out:
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER],
            stdin=theirs,
            stdout=out,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - it takes no lock
            pass_fds=[theirs],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    os.close(theirs)
    try:
        until(lambda: "ready" in (tmp_path / "out").read_text())
        keeper.send_signal(signal.SIGHUP)
        until(lambda: "heard" in (tmp_path / "out").read_text())
        assert keeper.poll() is None
        os.close(ours)
        assert keeper.wait(10) == 0
    finally:
        keeper.kill()
    assert "tollgate | stopping web" in (tmp_path / "out").read_text()
