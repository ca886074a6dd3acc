"""What whoever watches over a process makes of its end: when to start it again, and how to tell of it."""

from __future__ import annotations

import signal

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
HEALTHY_AFTER_SECONDS = 30.0


def restart_delay(deaths: int) -> float:
    """Seconds to wait after so many earlier deaths in a row."""
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(deaths, 10))


def how_it_ended(code: int) -> str:
    """In words; `code` is the exit code, or minus the signal's number."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
