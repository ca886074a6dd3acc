from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from app.local.child import Child
from app.local.supervisor import Stopped, Supervisor, restart_delay


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


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
