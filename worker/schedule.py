"""What runs by the clock. Every worker carries the schedule; each tick is run by one of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis.exceptions import LockError
from redis.lock import Lock

from app.extensions import redis
from app.queue import BUDGETS, EXPIRY, RECONCILE, RETENTION, ROTATION, SETTLE, SWEEP, WEBHOOKS

SETTLE_SECONDS = 2
SWEEP_SECONDS = 5
WEBHOOKS_SECONDS = 5
BUDGETS_SECONDS = 30
ROTATION_SECONDS = 30
RETENTION_SECONDS = 60
EXPIRY_SECONDS = 300
RECONCILE_SECONDS = 600

# A tick that could not be run in time is dropped: the next one does its work.
SCHEDULE = {
    name: {"task": name, "schedule": seconds, "options": {"expires": seconds}}
    for name, seconds in (
        (SETTLE, SETTLE_SECONDS),
        (SWEEP, SWEEP_SECONDS),
        (WEBHOOKS, WEBHOOKS_SECONDS),
        (BUDGETS, BUDGETS_SECONDS),
        (ROTATION, ROTATION_SECONDS),
        (RETENTION, RETENTION_SECONDS),
        (EXPIRY, EXPIRY_SECONDS),
        (RECONCILE, RECONCILE_SECONDS),
    )
}


def once(name: str, seconds: int) -> bool:
    """True for the first of all workers that asks in this span of time."""
    span = int(time.time()) // seconds
    return bool(redis.client.set(f"tollgate:once:{name}:{span}", "1", nx=True, ex=seconds * 2))


@contextmanager
def only_one(name: str, seconds: int) -> Iterator[Lock | None]:
    """A lock for `seconds`, to be renewed by `reacquire`; None where another worker has it."""
    lock = redis.client.lock(f"tollgate:lock:{name}", timeout=seconds, blocking=False)
    if not lock.acquire():
        yield None
        return
    try:
        yield lock
    finally:
        with suppress(LockError):
            lock.release()
