"""The worker's process with tasks that give trouble, and little patience: `worker.child` in the tests of its keeper."""

from __future__ import annotations

import os
import sys
import time

from celery.exceptions import SoftTimeLimitExceeded

from worker.application import celery
from worker.child import main

SOFT_SECONDS = 2

celery.conf.task_soft_time_limit = SOFT_SECONDS


def say(line: str) -> None:
    os.write(1, f"{line} in {os.getpid()}\n".encode())


@celery.task(name="tests.sleeps")
def sleeps(seconds: float) -> None:
    say(f"begins {seconds}")
    time.sleep(seconds)
    say(f"ends {seconds}")


@celery.task(name="tests.loops")
def loops() -> None:
    """Takes no notice of its limit."""
    while True:
        try:
            say("loops")
            while True:
                pass
        except SoftTimeLimitExceeded:
            say("goes on")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
