"""A task process is forked from one that has threads: what those held at that moment must not stay taken in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.services.stack import REPOSITORY, environment

CHILD = """
import os, signal, sys, threading
import worker
from app.extensions import redis

def child(work):
    # What hangs is ended, and the status says so.
    pid = os.fork()
    if not pid:
        signal.alarm(10)
        worker.begin_child()
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

taken = threading.Lock()
under_way = threading.Event()
"""

A_LOCKED_POOL = """
def hold():
    with redis.client.connection_pool._lock:
        under_way.set()
        threading.Event().wait()

redis.client.ping()
threading.Thread(target=hold, daemon=True).start()
under_way.wait()
sys.exit(child(lambda: redis.client.ping()))
"""

A_LOOK_UNDER_WAY = """
def look():
    if not under_way.is_set():
        with taken:
            under_way.set()
            threading.Event().wait(0.5)

worker.reloader._look = look
threading.Thread(target=worker.reloader.look, daemon=True).start()
under_way.wait()
sys.exit(child(lambda: taken.acquire(blocking=False)))
"""


def status(script: str, redis_url: str, directory: Path) -> int:
    """The child's exit code; negative: the signal that ended it."""
    (directory / "config.yaml").write_text("model_list: []\n")
    environ = environment(f"sqlite:///{directory}/tollgate.db", redis_url, directory, "sk-never-used-by-anybody")
    command = [sys.executable, "-c", CHILD + script]
    return subprocess.run(command, env=environ, cwd=REPOSITORY, check=False, timeout=60).returncode


def test_a_pool_that_was_locked_is_not_locked_in_the_child(redis_url: str, tmp_path: Path) -> None:
    assert status(A_LOCKED_POOL, redis_url, tmp_path) == 0


def test_nothing_is_forked_while_config_yaml_is_looked_after(redis_url: str, tmp_path: Path) -> None:
    assert status(A_LOOK_UNDER_WAY, redis_url, tmp_path) == 0
