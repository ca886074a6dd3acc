from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.local.child import Child
from app.local.endings import how_it_ended

PARENT = """
import os, sys, time
from app.local.child import Child
child = Child("child", ["sleep", "60"], os.environ)
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def shell(script: str) -> Child:
    return Child("part", ["sh", "-c", script], os.environ)


def eventually(condition: Callable[[], object], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_running(pid: int) -> bool:
    """A process that has ended, but whom nobody has asked how, does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_line_has_the_name_before_it(capfd: pytest.CaptureFixture[str]) -> None:
    child = shell("echo one; echo two >&2")
    child.start()
    assert eventually(lambda: child.ended() == 0)
    assert sorted(capfd.readouterr().out.splitlines()) == ["part     | one", "part     | two"]


def test_output_that_is_no_text_is_passed_on_as_far_as_it_goes(capfd: pytest.CaptureFixture[str]) -> None:
    child = shell(r"printf 'a\377b\n'")
    child.start()
    assert eventually(lambda: child.ended() == 0)
    assert capfd.readouterr().out == "part     | a\N{REPLACEMENT CHARACTER}b\n"


def test_one_that_ends_when_asked_is_not_killed() -> None:
    child = shell("exec sleep 60")
    child.start()
    assert child.stop(5)
    assert child.ended() == -signal.SIGTERM


def test_one_that_does_not_end_when_asked_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    child = shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    child.start()
    assert eventually(lambda: "deaf" in capfd.readouterr().out)
    assert not child.stop(0.2)
    assert child.ended() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_killed_child_had_started_ends_too(tmp_path: Path) -> None:
    child = shell(f"sleep 60 & echo $! > '{tmp_path}/pid'; wait")
    child.start()
    assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    grandchild = int((tmp_path / "pid").read_text())
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert eventually(lambda: child.ended() == -signal.SIGKILL)
    assert eventually(lambda: not is_running(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has ended")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
        assert eventually(lambda: not is_running(child))


def test_its_end_is_told_in_words() -> None:
    assert [how_it_ended(code) for code in (0, 3, -9)] == [
        "ended with exit code 0",
        "ended with exit code 3",
        "was killed by SIGKILL",
    ]
