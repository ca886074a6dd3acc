"""One batch: usage events to ledger rows and balances in one SQL transaction; then Redis is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import current_app
from sqlalchemy.exc import DataError, IntegrityError

from app.extensions import redis, write_transaction
from app.ledger import balances, post
from app.ledger.balances import Window
from app.ledger.event import CallEvent
from app.limits import admission
from app.limits.admission import Balance
from app.limits.meters import EVENTS, UNREADABLE
from worker import alerts
from worker.budgets import check_users, near_budget

log = logging.getLogger(__name__)

# Only a worker that is behind has so many. Larger ones gain little, take more memory, and hold up admissions for longer
# while Redis is told (see benchmarks/README.md).
BATCH = 2000
# What an event can do to a batch that is the event's fault, and not the database's.
MALFORMED = (ValueError, KeyError, TypeError)
UNBOOKABLE = (DataError, IntegrityError, *MALFORMED)


@dataclass(slots=True)
class Entry:
    """An event, its place in the stream and what stands there, and the ledger rows that it becomes."""

    id: bytes
    fields: dict[bytes, bytes]
    event: CallEvent
    rows: post.Rows


class Booked(NamedTuple):
    """What Redis is to be told of a batch that SQL has: the arguments of `admission.settled`."""

    balances: list[Balance]
    limiting: set[Window]
    entries: list[bytes]
    costs: list[tuple[str, int, str]]


def settle_batch(block_ms: int) -> int:
    """Reads at most one batch, waiting up to `block_ms` for a first event; gives how many events it took."""
    entries = read(block_ms)
    book(entries)
    return len(entries)


def read(block_ms: int, after: bytes = b"0") -> list[Entry]:
    """The oldest events behind that place, at most BATCH, waiting up to `block_ms` for a first one.

    What can be no ledger row is set aside, so that it holds up nothing.
    """
    entries = []
    for entry_id, fields in _first_of_stream(block_ms, after):
        try:
            event = CallEvent.from_bytes(fields[b"e"])
        except MALFORMED:
            set_aside(entry_id, fields)
            continue
        try:
            entries.append(Entry(entry_id, fields, event, post.rows_of(event, _charged(fields.get(b"abandoned")))))
        except MALFORMED:
            _give_up(entry_id, fields, event)
    return entries


def _charged(held: bytes | None) -> int | None:
    """What a dead process's call is charged, by general_settings.abandoned: what it held, or nothing."""
    if held is None:
        return None
    return int(held) if current_app.extensions["tollgate"].settings.abandoned == "held" else 0


def _first_of_stream(block_ms: int, after: bytes) -> list[tuple[bytes, dict[bytes, bytes]]]:
    answer: Any = redis.client.xread({EVENTS: after}, count=BATCH, block=block_ms or None)
    return list(answer[0][1]) if answer else []


def set_aside(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    """Moves an event that cannot be booked where an admin finds it; nothing is thrown away."""
    log.error("an event cannot be booked; it is kept in %s", UNREADABLE)
    with redis.client.pipeline() as pipeline:
        pipeline.xadd(UNREADABLE, fields)  # type: ignore[arg-type]
        pipeline.xdel(EVENTS, entry_id)
        pipeline.execute()


def book(entries: Sequence[Entry]) -> None:
    """Writes a batch to SQL and tells Redis. May be repeated at any point.

    Until Redis is told, the events stay in the stream: whatever dies here, the batch is taken up again from the start.
    """
    for booked in write(entries):
        admission.settled(*booked)


def write(entries: Sequence[Entry]) -> list[Booked]:
    """Posts these events. One that is impossible for the database is set aside alone, found by halving the batch."""
    if not entries:
        return []
    try:
        return [_posted(entries)]
    except UNBOOKABLE:
        if len(entries) == 1:
            _give_up(entries[0].id, entries[0].fields, entries[0].event)
            return []
    half = len(entries) // 2
    return write(entries[:half]) + write(entries[half:])


def _posted(entries: Sequence[Entry]) -> Booked:
    """Posts a batch in one transaction, and looks at the budgets of the users in it."""
    windows = {window for entry in entries for window in post.windows(entry.event)}
    with write_transaction() as session:
        known = post.post(session, [entry.rows for entry in entries])
        # Redis may not have heard of those that were booked before, and not by us.
        known |= balances.read(session, windows - known.keys())
    spends = {window: balance.spend for window, balance in known.items()}
    alerts.raise_alerts(spends)
    check_users(near_budget(spends))
    costs = [cost for entry in entries for cost in costs_of(entry.event)]
    return Booked(
        [Balance(*window, known[window].spend, known[window].version) for window in sorted(known)],
        {(meter, start) for meter, start, _ in costs},
        [entry.id for entry in entries],
        costs,
    )


def costs_of(event: CallEvent) -> list[tuple[str, int, str]]:
    """(meter, window start, request id) of the costs that Redis has set aside for an event."""
    return [(meter, start, event.request_id) for meter, start, has_budget in event.meters if has_budget]


def _give_up(entry_id: bytes, fields: dict[bytes, bytes], event: CallEvent) -> None:
    set_aside(entry_id, fields)
    # Nothing will ever settle it, so nothing may stay set aside for it.
    admission.settled([], set(), [], costs_of(event))
