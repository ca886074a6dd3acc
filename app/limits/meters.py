"""What has limits, and how Redis keys are named."""

from __future__ import annotations

from dataclasses import dataclass

CALLS = "tollgate:calls"
TEMPLATES = "tollgate:templates"
EVENTS = "tollgate:events"
UNREADABLE = "tollgate:events:unreadable"
BUDGETS = "tollgate:budget:"
WAKE = "tollgate:wake"
SETTLED = "tollgate:settled"
EPOCH = "tollgate:epoch"
WARMING = "tollgate:warming"
# Counts everybody who ever joined a queue: who has the smaller number came first.
ARRIVALS = "tollgate:arrivals"


@dataclass(slots=True, eq=False)
class Meter:
    """One thing with limits, as it stands at a moment. It is never changed, and is itself alone.

    `name` is "user:ada" or "key:<id>". `max_budget` is in nano-dollars (None: no budget) and counts in the window that
    began at `window_start` (epoch seconds, 0: ever) and ends at `resets_at` (None: never). `max_parallel` is a number
    of calls (None: no limit); `rpm` and `tpm` are requests and tokens in any 60 seconds (None: no limit).

    What the window that began at `previous_start` left of `rolls_over` (nano-dollars, 0: nothing rolls over) is added
    to `max_budget`: `rolls_over` is the budget without raises and credits that were meant for this window alone.
    Calls wait for a slot in the order in which they came where `queue_ms` (0: they do not wait) says for how long.
    """

    name: str
    max_budget: int | None = None
    strict: bool = False
    window_start: int = 0
    resets_at: int | None = None
    max_parallel: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    previous_start: int | None = None
    rolls_over: int = 0
    queue_ms: int = 0

    @property
    def previous(self) -> int | None:
        """The start of the window that something may roll over from; None: nothing rolls over."""
        return self.previous_start if self.max_budget is not None and self.rolls_over > 0 else None

    @property
    def has_queue(self) -> bool:
        """Whether calls wait for its slots."""
        return self.max_parallel is not None and self.queue_ms > 0

    def has_limits(self) -> bool:
        """Whether admission has to look at it; the spend of the others is counted all the same."""
        return (self.max_budget, self.max_parallel, self.rpm, self.tpm) != (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call is reckoned with where tokens are limited.

    `certain` is its input and the output cap that it states; `likely` is that and, where it states no cap, a guess.
    """

    certain: int = 0
    likely: int = 0

    def needed_of(self, limit: int) -> int:
        """What the call needs of a limit: a guess alone never makes it too large for an empty minute."""
        return max(self.certain, min(self.likely, limit))


def budget_key(meter: str, window_start: int) -> str:
    """Hash: spend (settled), version (of spend), held (by calls in flight), due (finished, not settled yet)."""
    return f"{BUDGETS}{meter}@{window_start}"


def holds_key(meter: str, window_start: int) -> str:
    """Hash: "h<request id>" → what a call in flight holds; "d<request id>" → what a finished call costs."""
    return f"tollgate:holds:{meter}@{window_start}"


def slots_key(meter: str) -> str:
    """Sorted set: request id → the millisecond at which its lease ends."""
    return f"tollgate:slots:{meter}"


def queue_key(meter: str) -> str:
    """Sorted set: request id of a call that waits for a slot → its arrival, a number of ARRIVALS."""
    return f"tollgate:queue:{meter}"


def asked_key(meter: str) -> str:
    """Sorted set: request id of a call that waits for a slot → the millisecond at which it last asked."""
    return f"tollgate:asked:{meter}"


def requests_key(meter: str) -> str:
    """Sorted set: request id → the millisecond at which it was admitted."""
    return f"tollgate:requests:{meter}"


def tokens_key(meter: str) -> str:
    """Sorted set: request id → the millisecond at which it was admitted."""
    return f"tollgate:tokens:{meter}"


def amounts_key(meter: str) -> str:
    """Hash: request id → its tokens, as reckoned and later as used; "sum" → all of them together."""
    return f"tollgate:amounts:{meter}"


def cooling_key(deployment: str) -> str:
    """Text, as long as the deployment is left alone: "1" where the provider said for how long, else "0"; then why."""
    return f"tollgate:cooling:{deployment}"


def fails_key(deployment: str) -> str:
    """Number: how often the deployment has failed in the minute that began with its first failure."""
    return f"tollgate:fails:{deployment}"


def places_key(deployment: str) -> str:
    """Sorted set: attempt at the deployment → the millisecond at which its lease ends."""
    return f"tollgate:places:{deployment}"


def pace_key(deployment: str) -> str:
    """Hash: "stream", "whole" → how many milliseconds pass until the deployment answers."""
    return f"tollgate:pace:{deployment}"
