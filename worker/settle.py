"""Settling: usage events in batches to ledger rows and balances in one SQL transaction; then Redis is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery import shared_task
from flask import current_app
from sqlalchemy.exc import DataError, IntegrityError

from app.extensions import redis, write_transaction
from app.ledger import balances, post
from app.ledger.event import CallEvent
from app.limits import admission
from app.limits.admission import Balance
from app.limits.meters import EVENTS, UNREADABLE, WAKE
from app.queue import SETTLE, send
from worker import alerts
from worker.budgets import check_users, near_budget
from worker.schedule import only_one

log = logging.getLogger(__name__)

# Only a worker that is behind has so many. Larger ones gain little, take more memory, and hold up admissions for longer
# while Redis is told (see benchmarks/README.md).
BATCH = 2000
# What an event can do to a batch that is the event's fault, and not the database's.
UNBOOKABLE = (DataError, IntegrityError, ValueError, KeyError, TypeError)
# The task stays a moment after the last event: a steady trickle of calls then costs one message, not one each.
LINGER_SECONDS = 1.0
BLOCK_MS = 150
# A transaction costs the same for one event as for a hundred, and nobody waits for it: Redis knows the cost already.
GATHER_SECONDS = 0.2
# Renewed with every batch; when a worker is killed, another settles after this time.
LOCK_SECONDS = 5
# The worker has other tasks too: after this long they get their turn, and settling goes on behind them.
LONGEST_SECONDS = 5


@dataclass(slots=True)
class Entry:
    """An event as it stands in the stream; `abandoned` is what a dead process's call is booked for, nano-dollars."""

    id: bytes
    event: CallEvent
    abandoned: int | None


@shared_task(name=SETTLE, ignore_result=True)
def settle() -> None:
    """Settles until nothing has come for a moment. One worker at a time: two would do no harm, only the same work."""
    with only_one("settle", LOCK_SECONDS) as lock:
        if lock is None:
            return
        if not settle_batch(0):
            return
        started = idle_since = time.monotonic()
        while time.monotonic() - started < LONGEST_SECONDS:
            lock.reacquire()
            # As long as this stands, nobody else wakes the worker.
            redis.client.set(WAKE, "1", px=admission.WAKE_MS)
            if taken := settle_batch(BLOCK_MS):
                idle_since = time.monotonic()
                if taken < BATCH:
                    time.sleep(GATHER_SECONDS)
            elif time.monotonic() - idle_since >= LINGER_SECONDS:
                break
        redis.client.delete(WAKE)
        # An event may have come in before the wake-up was possible again.
        more = settle_batch(0) > 0
    if more:
        send(SETTLE)


def settle_batch(block_ms: int) -> int:
    """Reads at most one batch, waiting up to `block_ms` for a first event; gives how many events it took."""
    entries = read(block_ms)
    if entries:
        try:
            book(entries)
        except UNBOOKABLE:
            book_in_parts(entries)
    return len(entries)


def read(block_ms: int) -> list[Entry]:
    """The oldest events of the stream. What cannot be read is set aside, so that it holds up nothing."""
    entries = []
    for entry_id, fields in _first_of_stream(block_ms):
        try:
            event = CallEvent.from_bytes(fields[b"e"])
            entries.append(Entry(entry_id, event, _charged(fields.get(b"abandoned"))))
        except (ValueError, KeyError, TypeError):
            set_aside(entry_id, fields)
    return entries


def _charged(held: bytes | None) -> int | None:
    """What a dead process's call is charged, by general_settings.abandoned: what it held, or nothing."""
    if held is None:
        return None
    return int(held) if current_app.extensions["tollgate"].settings.abandoned == "held" else 0


def _first_of_stream(block_ms: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
    answer: Any = redis.client.xread({EVENTS: "0"}, count=BATCH, block=block_ms or None)
    return list(answer[0][1]) if answer else []


def set_aside(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    """Moves an event that cannot be booked where an admin finds it; nothing is thrown away."""
    log.error("an event cannot be booked; it is kept in %s", UNREADABLE)
    with redis.client.pipeline() as pipeline:
        pipeline.xadd(UNREADABLE, fields)  # type: ignore[arg-type]
        pipeline.xdel(EVENTS, entry_id)
        pipeline.execute()


def book(entries: Sequence[Entry]) -> None:
    """Posts a batch, tells Redis, and looks at the budgets of the users in it. May be repeated at any point.

    Until Redis is told, the events stay in the stream: whatever dies here, the batch is taken up again from the start.
    """
    windows = {window for entry in entries for window in post.windows(entry.event)}
    with write_transaction() as session:
        known = post.post(session, [(entry.event, entry.abandoned) for entry in entries])
        # Redis may not have heard of those that were booked before, and not by us.
        known |= balances.read(session, windows - known.keys())
    spends = {window: balance.spend for window, balance in known.items()}
    alerts.raise_alerts(spends)
    costs = [cost for entry in entries for cost in costs_of(entry)]
    limited = {(meter, start) for meter, start, _ in costs}
    admission.settled(
        [Balance(*window, known[window].spend, known[window].version) for window in sorted(known)],
        limited,
        [entry.id for entry in entries],
        costs,
    )
    check_users(near_budget(spends))


def costs_of(entry: Entry) -> list[tuple[str, int, str]]:
    """(meter, window start, request id) of the costs that Redis has set aside for an event."""
    return [(meter, start, entry.event.request_id) for meter, start, has_budget in entry.event.meters if has_budget]


def book_in_parts(entries: Sequence[Entry]) -> None:
    """One event of the batch is impossible for the database: it alone is set aside, found by halving the batch."""
    if len(entries) == 1:
        _give_up(entries[0])
        return
    half = len(entries) // 2
    for part in entries[:half], entries[half:]:
        try:
            book(part)
        except UNBOOKABLE:
            book_in_parts(part)


def _give_up(entry: Entry) -> None:
    fields = {b"e": entry.event.to_bytes()}
    if entry.abandoned is not None:
        fields[b"abandoned"] = str(entry.abandoned).encode()
    set_aside(entry.id, fields)
    # Nothing will ever settle it, so nothing may stay set aside for it.
    admission.settled([], set(), [], costs_of(entry))
