"""Posting: usage events to ledger rows and balances, in one transaction that can be repeated any number of times.

What holds, always:
- a row is written once: its primary key is (request id, attempt), and a second posting of it changes nothing;
- a balance is the sum of the rows whose meters name it: only rows that this transaction has inserted are added;
- so is a daily total, of the rows of its day, user, key, team, customer, model and provider, or of its day and tag;
- rows are never changed and never refused for what they cost: the call has taken place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from itertools import compress
from operator import add
from typing import Any

from sqlalchemy.orm import Session

from app.ledger import writing
from app.ledger.balances import Settled, Window
from app.ledger.event import Attempt, CallEvent
from app.ledger.writing import AMOUNTS
from app.models import DailySpend, DailyTag

Rows = list[dict[str, Any]]

CALL = "call"
LONGEST_TIER = 32
# The outcomes of rows that count as failed requests in the daily totals.
FAILED = ("failure", "abandoned")
TAG_GROUP, TAG_SUMS = ("day", "tag"), ("requests", "failed_requests", "input_tokens", "output_tokens", "cost")
DAY_GROUP = ("day", "user_id", "key_id", "team_id", "customer_id", "model_name", "provider")
DAY_SUMS = (*TAG_SUMS, "cache_read_tokens", "cache_write_tokens")


def windows(event: CallEvent) -> list[Window]:
    """The (meter, window start) pairs that the event's cost is part of."""
    return [(meter, start) for meter, start, _ in event.meters]


def post(session: Session, calls: Iterable[Rows]) -> dict[Window, Settled]:
    """Writes these calls' rows, as `rows_of` makes them, and adds what is new to the balances and to the daily totals.

    All in key order, so that no two postings wait for each other in a circle. Gives the balances that have changed.
    """
    first: dict[str, Rows] = {}
    for rows in calls:
        if rows:
            # A call that was given up for dead and ends after all comes twice; the first decides, as between batches.
            first.setdefault(rows[0]["request_id"], rows)
    ordered = [row for request_id in sorted(first) for row in first[request_id]]
    return add_up(session, _insert_new(session, ordered))


def add_up(session: Session, new: Sequence[dict[str, Any]]) -> dict[Window, Settled]:
    """Adds rows that this transaction has inserted to their balances and to the daily totals.

    Gives the balances that have changed.
    """
    added: dict[Window, int] = {}
    days: dict[tuple[Any, ...], list[int]] = {}
    tags: dict[tuple[Any, ...], list[int]] = {}
    for row in new:
        cost = row["cost"]
        for meter, start in row["meters"]:
            window = meter, start
            added[window] = added.get(window, 0) + cost
        day, counted = row["started_at"].date(), _counted(row)
        _add(days, _day_group(day, row), counted)
        for tag in dict.fromkeys(row["tags"]):
            _add(tags, (day, tag), counted[: len(TAG_SUMS)])
    changed = writing.add_to_balances(session, added)
    writing.add_to_totals(session, DailySpend, DAY_GROUP, DAY_SUMS, days)
    writing.add_to_totals(session, DailyTag, TAG_GROUP, TAG_SUMS, tags)
    return changed


def rows_of(event: CallEvent, abandoned: int | None) -> Rows:
    """The ledger rows of one event, as columns, in the order of their attempts.

    `abandoned` is the cost of a call that was given up for dead (nano-dollars), None for one that has ended.
    Amounts of a usage (writing.AMOUNTS) that are 0 are left out: most are, and each would be written and read.
    """
    common = {
        "request_id": event.request_id,
        "key_id": event.key_id,
        "token": event.token,
        "user_id": event.user_id,
        "team_id": event.team_id,
        "end_user": event.end_user,
        "customer_id": event.customer_id,
        "tags": event.tags,
        "route": event.route,
        "model_name": event.model_name,
        "stream": event.stream,
        "started_at": _moment(event.started_ms),
        "first_byte_at": None if event.first_byte_ms is None else _moment(event.first_byte_ms),
        "ended_at": _moment(event.ended_ms or event.started_ms),
        "entry": CALL,
        "meters": windows(event),
    }
    if abandoned is not None:
        return [common | _abandoned(abandoned)]
    return [common | _attempted(number, attempt) for number, attempt in enumerate(event.attempts)]


def _attempted(number: int, attempt: Attempt) -> dict[str, Any]:
    return {
        **_amounts(attempt.usage),
        "attempt": number,
        "deployment_id": attempt.deployment_id,
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "http_status": attempt.http_status,
        "usage_source": attempt.usage_source,
        "tier": attempt.tier.replace("\0", "")[:LONGEST_TIER],
        "cost": attempt.cost,
        "price": attempt.price,
    }


def _abandoned(held: int) -> dict[str, Any]:
    return {
        "attempt": 0,
        "deployment_id": "",
        "provider": "",
        "model": "",
        "outcome": "abandoned",
        "http_status": 0,
        "usage_source": "held",
        "tier": "",
        "cost": held,
        "price": "held",
    }


def _amounts(usage: Sequence[int]) -> dict[str, int]:
    """A usage in its wire form as columns of a row. Raises ValueError where it is none that this version knows."""
    if min(usage) < 0 or len(usage) > len(AMOUNTS):
        raise ValueError("a usage has a negative amount, or one too many")
    return dict(compress(zip(AMOUNTS, usage, strict=False), usage))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _insert_new(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Inserts the rows of calls that have none yet; gives those.

    The first row of a call decides about the others: a call that was given up for dead and booked from its hold is not
    booked again when its process turns out to live.
    """
    firsts = insert_rows(session, [row for row in rows if not row["attempt"]])
    new = {row["request_id"] for row in firsts}
    return firsts + insert_rows(session, [row for row in rows if row["attempt"] and row["request_id"] in new])


def insert_rows(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Inserts the rows that are not there yet; gives those. They come in the order of their keys."""
    written = writing.insert_new(session, rows)
    return [row for row in rows if (row["request_id"], row["attempt"]) in written]


def _day_group(day: date, row: dict[str, Any]) -> tuple[Any, ...]:
    who = row["user_id"] or "", row["key_id"] or "", row["team_id"] or "", row["customer_id"] or ""
    return (day, *who, row["model_name"], row["provider"])


def _add(totals: dict[tuple[Any, ...], list[int]], place: tuple[Any, ...], amounts: Sequence[int]) -> None:
    total = totals.get(place)
    totals[place] = list(amounts) if total is None else list(map(add, total, amounts))


def _counted(row: dict[str, Any]) -> tuple[int, ...]:
    """What one row adds to each of DAY_SUMS. A reversal or a correction is money alone."""
    if row["entry"] != CALL:
        return (0, 0, 0, 0, row["cost"], 0, 0)
    of = row.get
    written = of("cache_write_5m_tokens", 0) + of("cache_write_1h_tokens", 0)
    failed, cached = int(row["outcome"] in FAILED), of("cache_read_tokens", 0)
    return (1, failed, of("input_tokens", 0), of("output_tokens", 0), row["cost"], cached, written)
