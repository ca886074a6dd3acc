"""What has limits, and how Redis keys are named."""

from __future__ import annotations

from dataclasses import dataclass

CALLS = "tollgate:calls"
TEMPLATES = "tollgate:templates"
EVENTS = "tollgate:events"
UNREADABLE = "tollgate:events:unreadable"
WAKE = "tollgate:wake"
SETTLED = "tollgate:settled"
EPOCH = "tollgate:epoch"
WARMING = "tollgate:warming"


@dataclass(frozen=True, slots=True)
class Meter:
    """One thing with limits, as it stands for one call.

    `name` is "user:ada" or "key:<id>". `max_budget` is in nano-dollars (None: no budget) and counts in the window that
    began at `window_start` (epoch seconds, 0: ever) and ends at `resets_at` (None: never). `max_parallel` is a number
    of calls (None: no limit).
    """

    name: str
    max_budget: int | None = None
    strict: bool = False
    window_start: int = 0
    resets_at: int | None = None
    max_parallel: int | None = None


def budget_key(meter: str, window_start: int) -> str:
    """Hash: spend (settled), version (of spend), held (by calls in flight), due (finished, not settled yet)."""
    return f"tollgate:budget:{meter}@{window_start}"


def holds_key(meter: str, window_start: int) -> str:
    """Hash: "h<request id>" → what a call in flight holds; "d<request id>" → what a finished call costs."""
    return f"tollgate:holds:{meter}@{window_start}"


def slots_key(meter: str) -> str:
    """Sorted set: request id → the millisecond at which its lease ends."""
    return f"tollgate:slots:{meter}"
