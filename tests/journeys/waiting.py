"""Waiting for what becomes true in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far longer than anything takes, also on a machine that runs other tests: a wait that succeeds costs nothing.
LONGEST_SECONDS = 20.0


def until(condition: Callable[[], bool], seconds: float = LONGEST_SECONDS) -> float:
    """Waits until the condition holds and gives how long that took; fails when it does not in time."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "this did not become true in time"
        time.sleep(0.02)
    return time.monotonic() - started
