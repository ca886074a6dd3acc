"""Posting: usage events to ledger rows and balances, in one transaction that can be repeated any number of times.

What holds, always:
- a row is written once: its primary key is (request id, attempt), and a second posting of it changes nothing;
- a balance is the sum of the rows whose meters name it: only rows that this transaction has inserted are added;
- so is a daily total, of the rows of its day, user, key, team, customer, model and provider, or of its day and tag;
- rows are never changed and never refused for what they cost: the call has taken place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.extensions import insert_into
from app.ledger.balances import Window
from app.ledger.event import Attempt, CallEvent
from app.ledger.pricing import Price, cost
from app.ledger.usage import KINDS, Usage
from app.models import Balance, DailySpend, DailyTag, LedgerRow

UNPRICED = "unpriced"
NO_USAGE = [0] * len(KINDS)
CALL = "call"
LONGEST_TIER = 32
# The outcomes of rows that count as failed requests in the daily totals.
FAILED = ("failure", "abandoned")
TAG_GROUP, TAG_SUMS = ("day", "tag"), ("requests", "failed_requests", "input_tokens", "output_tokens", "cost")
DAY_GROUP = ("day", "user_id", "key_id", "team_id", "customer_id", "model_name", "provider")
DAY_SUMS = (*TAG_SUMS, "cache_read_tokens", "cache_write_tokens")

# The columns of a row that hold the kinds of a usage, in its order.
COLUMNS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "cache_read_audio_tokens"),
    *("cache_read_image_tokens", "image_input_tokens", "image_output_tokens"),
    *("web_searches", "images", "audio_ms", "characters", "requests", "pages"),
)


def windows(event: CallEvent) -> list[Window]:
    """The (meter, window start) pairs that the event's cost is part of."""
    return [(meter, start) for meter, start, _ in event.meters]


def post(session: Session, events: Sequence[tuple[CallEvent, int | None]]) -> None:
    """Writes the rows of these events and adds what is new to the balances and to the daily totals.

    All in key order, so that no two postings wait for each other in a circle. Each event comes with the cost of an
    abandoned call (nano-dollars), or None for a call that was finished.
    """
    first: dict[str, tuple[CallEvent, int | None]] = {}
    for event, abandoned in events:
        # A call that was given up for dead and ends after all has two events; the first decides, as between batches.
        first.setdefault(event.request_id, (event, abandoned))
    rows = _in_key_order(row for event, abandoned in first.values() for row in rows_of(event, abandoned))
    add_up(session, _insert_new(session, rows))


def add_up(session: Session, new: Sequence[dict[str, Any]]) -> None:
    """Adds rows that this transaction has inserted to their balances and to the daily totals."""
    added: dict[Window, int] = defaultdict(int)
    for row in new:
        for meter, start in row["meters"]:
            added[meter, start] += row["cost"]
    _add(session, added)
    _add_totals(session, DailySpend, DAY_GROUP, DAY_SUMS, ((_day_group(row), row) for row in new))
    tagged = (((row["started_at"].date(), tag), row) for row in new for tag in dict.fromkeys(row["tags"]))
    _add_totals(session, DailyTag, TAG_GROUP, TAG_SUMS, tagged)


def rows_of(event: CallEvent, abandoned: int | None) -> list[dict[str, Any]]:
    """The ledger rows of one event, as columns."""
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
        "meters": [list(window) for window in windows(event)],
    }
    if abandoned is not None:
        return [common | _abandoned(abandoned)]
    return [common | {"attempt": number} | _attempted(attempt) for number, attempt in enumerate(event.attempts)]


def _attempted(attempt: Attempt) -> dict[str, Any]:
    price = None if attempt.price is None else Price.from_wire(attempt.price)
    usage = Usage.from_wire(attempt.usage)
    return {
        "deployment_id": attempt.deployment_id,
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "http_status": attempt.http_status,
        "usage_source": attempt.usage_source,
        "tier": attempt.tier.replace("\0", "")[:LONGEST_TIER],
        "cost": 0 if price is None else cost(price, usage),
        "price": UNPRICED if price is None else price.source,
    } | amounts(usage)


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
    } | amounts(Usage.from_wire(NO_USAGE))


def amounts(usage: Usage) -> dict[str, int]:
    """A usage as columns of a row."""
    return dict(zip(COLUMNS, usage.to_wire(), strict=True))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _in_key_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two workers that post the same rows take their locks in the same order."""
    return sorted(rows, key=lambda row: (row["request_id"], row["attempt"]))


def _insert_new(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Inserts the rows of calls that have none yet; gives those.

    The first row of a call decides about the others: a call that was given up for dead and booked from its hold is not
    booked again when its process turns out to live.
    """
    firsts = insert_rows(session, [row for row in rows if not row["attempt"]])
    new = {row["request_id"] for row in firsts}
    return firsts + insert_rows(session, [row for row in rows if row["attempt"] and row["request_id"] in new])


def insert_rows(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Inserts the rows that are not there yet; gives those."""
    if not rows:
        return []
    statement = (
        insert_into(session, LedgerRow).on_conflict_do_nothing().returning(LedgerRow.request_id, LedgerRow.attempt)
    )
    written = {(row.request_id, row.attempt) for row in session.connection().execute(statement, rows)}
    return [row for row in rows if (row["request_id"], row["attempt"]) in written]


def _add(session: Session, amounts: dict[Window, int]) -> None:
    """Adds to the balances; every one that is named gets a new version."""
    if not amounts:
        return
    statement = insert_into(session, Balance)
    statement = statement.on_conflict_do_update(
        index_elements=[Balance.meter, Balance.window_start],
        set_={"spend": Balance.spend + statement.excluded.spend, "version": Balance.version + 1},
    )
    values: Iterable[dict[str, Any]] = (
        {"meter": meter, "window_start": start, "spend": amount, "version": 1}
        for (meter, start), amount in sorted(amounts.items())
    )
    session.connection().execute(statement, list(values))


def _day_group(row: dict[str, Any]) -> tuple[Any, ...]:
    who = [row[name] or "" for name in ("user_id", "key_id", "team_id", "customer_id")]
    return (row["started_at"].date(), *who, row["model_name"], row["provider"])


def _add_totals(
    session: Session,
    table: type[Any],
    group: Sequence[str],
    sums: Sequence[str],
    grouped: Iterable[tuple[tuple[Any, ...], dict[str, Any]]],
) -> None:
    """Adds rows to the totals of their groups; a batch costs no more than it has different groups."""
    totals: dict[tuple[Any, ...], list[int]] = {}
    for place, row in grouped:
        total = totals.setdefault(place, [0] * len(sums))
        for number, amount in enumerate(_counted(row)[: len(sums)]):
            total[number] += amount
    if not totals:
        return
    statement = insert_into(session, table)
    statement = statement.on_conflict_do_update(
        index_elements=group, set_={name: getattr(table, name) + statement.excluded[name] for name in sums}
    )
    values = [dict(zip((*group, *sums), (*place, *total), strict=True)) for place, total in sorted(totals.items())]
    session.connection().execute(statement, values)


def _counted(row: dict[str, Any]) -> tuple[int, ...]:
    """What one row adds to each of DAY_SUMS. A reversal or a correction is money alone."""
    if row["entry"] != CALL:
        return (0, 0, 0, 0, row["cost"], 0, 0)
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
    failed = int(row["outcome"] in FAILED)
    return (1, failed, row["input_tokens"], row["output_tokens"], row["cost"], row["cache_read_tokens"], written)
