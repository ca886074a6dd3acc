"""Pricing past calls again: what a call had cost is taken back by one row and charged anew by another.

What holds, always:
- a row is never changed: of each call that costs something else now, two rows are added, a reversal and a correction;
- repeating it changes nothing, and of two that run at once one adds the rows: their attempt numbers are the key;
- balances and daily totals change by the difference, those of the call's own windows and of its own day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import meter_names
from app.extensions import database_errors, db, write_transaction
from app.ledger import balances, post, writing
from app.ledger.balances import Settled, Window
from app.ledger.pricing import Price, cost
from app.ledger.usage import Usage
from app.models import Balance, LedgerCut, LedgerRow
from app.models.base import UtcDateTime

ROWS_AT_ONCE = 500
# The rows that the n-th repricing adds for an attempt have the numbers n * ROUND + 2 * attempt, and one more.
ROUND = 10_000
REVERSAL, CORRECTION = "reversal", "correction"
PLACE = (LedgerRow.started_at, LedgerRow.request_id, LedgerRow.attempt)
COLUMNS = [column.key for column in sa.inspect(LedgerRow).column_attrs]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls; None: any. `model` is the name that callers use. `start` is included, `end` is not."""

    model: str | None = None
    provider: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A call that costs something else now: its row, what it was charged last, and what it costs, nano-dollars."""

    row: Row
    charged: Row
    round: int
    cost: int
    price: str


@dataclass(frozen=True, slots=True)
class Page:
    """What was done with some calls: how many were looked at, of how many no price is known, what has changed.

    `settled` are the balances of all calls among them that were ever priced again.
    """

    looked_at: int
    unknown: int
    changes: Sequence[Change]
    settled: Mapping[Window, Settled]


def pages(wanted: Filter, price_of: Callable[[Row], Price | None], *, dry_run: bool) -> Iterator[Page]:
    """Prices calls again, oldest first, ROWS_AT_ONCE in a transaction; with `dry_run` nothing is written.

    `price_of` gives the price of a ledger row, None where nobody knows it: such a row stays as it is, and so do calls
    that were charged what they held. Raises DatabaseUnavailable.
    """
    last: Row | None = None
    while rows := _next(wanted, last):
        last = rows[-1]
        if dry_run:
            with database_errors():
                page = _page(db.session(), rows, price_of)
                db.session.rollback()
            yield page
        else:
            with write_transaction() as session:
                page = _page(session, rows, price_of)
                _write(session, page.changes)
                settled = balances.read(session, _windows_of_corrected(session, rows))
            yield Page(page.looked_at, page.unknown, page.changes, settled)


def _next(wanted: Filter, last: Row | None) -> list[Row]:
    """The next calls. What retention may be deleting is left alone: its corrections may be gone before it."""
    columns = [getattr(LedgerRow, name) for name in COLUMNS]
    conditions: list[Any] = [LedgerRow.entry == post.CALL, LedgerRow.usage_source != "held"]
    conditions += [sa.not_(sa.exists().where(LedgerCut.before > LedgerRow.started_at))]
    if wanted.model is not None:
        conditions.append(LedgerRow.model_name == wanted.model)
    if wanted.provider is not None:
        conditions.append(LedgerRow.provider == wanted.provider)
    if wanted.start is not None:
        conditions.append(LedgerRow.started_at >= wanted.start)
    if wanted.end is not None:
        conditions.append(LedgerRow.started_at < wanted.end)
    if last is not None:
        place = (sa.literal(last["started_at"], UtcDateTime), sa.literal(last["request_id"]), last["attempt"])
        conditions += [LedgerRow.started_at >= last["started_at"], sa.tuple_(*PLACE) > sa.tuple_(*place)]
    with database_errors():
        found = db.session.execute(sa.select(*columns).where(*conditions).order_by(*PLACE).limit(ROWS_AT_ONCE))
        rows: list[Row] = [dict(row) for row in found.mappings()]
        db.session.rollback()
    return rows


def _page(session: Session, rows: Sequence[Row], price_of: Callable[[Row], Price | None]) -> Page:
    corrections = {(row["request_id"], row["attempt"] % ROUND // 2): row for row in _corrections(session, rows)}
    changes, unknown = [], 0
    for row in rows:
        price = price_of(row)
        if price is None:
            unknown += 1
            continue
        charged = corrections.get((row["request_id"], row["attempt"]), row)
        served = price.in_tier(row["tier"])
        now = cost(served, Usage(*(row[name] for name in writing.AMOUNTS)))
        if now != charged["cost"]:
            nth = charged["attempt"] // ROUND + 1 if charged is not row else 1
            changes.append(Change(row, charged, nth, now, served.source))
    return Page(len(rows), unknown, changes, {})


def _corrections(session: Session, rows: Sequence[Row]) -> Sequence[Row]:
    """The corrections of these calls, the latest of each last."""
    columns = [getattr(LedgerRow, name) for name in COLUMNS]
    ids = sorted({row["request_id"] for row in rows})
    found = session.execute(
        sa.select(*columns)
        .where(LedgerRow.request_id.in_(ids), LedgerRow.entry == CORRECTION)
        .order_by(LedgerRow.attempt)
    )
    return [dict(row) for row in found.mappings()]


def _write(session: Session, changes: Sequence[Change]) -> None:
    """Adds both rows of each change, or neither where somebody else has added them."""
    meters = _meters(session, [change.row for change in changes])
    pairs = {}
    for change in changes:
        row, attempt = change.row, change.round * ROUND + 2 * change.row["attempt"]
        common = {name: value for name, value in row.items() if name not in writing.AMOUNTS}
        common["meters"] = meters[row["request_id"], row["attempt"]]
        taken_back = {"cost": -change.charged["cost"], "price": change.charged["price"], "entry": REVERSAL}
        charged = {"cost": change.cost, "price": change.price, "entry": CORRECTION}
        pairs[row["request_id"], attempt] = (
            common | taken_back | {"attempt": attempt},
            common | charged | {"attempt": attempt + 1},
        )
    reversals = post.insert_rows(session, [pairs[key][0] for key in sorted(pairs)])
    mine = [pairs[row["request_id"], row["attempt"]][1] for row in reversals]
    post.add_up(session, [*reversals, *post.insert_rows(session, mine)])


def _windows_of_corrected(session: Session, rows: Sequence[Row]) -> set[Window]:
    """The balances of calls that this or an earlier run has priced again: Redis may not have heard of them."""
    return {(meter, start) for row in _corrections(session, rows) for meter, start in row["meters"] or ()}


def _meters(session: Session, rows: Sequence[Row]) -> dict[tuple[str, int], list[list[Any]]]:
    """The balances that the cost of each call is part of, as [meter, window start].

    Rows of earlier versions do not say. Theirs are found by whose they are: the balances for ever, and of each meter
    the last window that had begun. Not those of a key's or user's model, which begin when the limit is set.
    """
    silent = [row for row in rows if row["meters"] is None]
    starts: dict[str, list[int]] = defaultdict(list)
    names = sorted({name for row in silent for name in _names(row)})
    if names:
        found = session.execute(sa.select(Balance.meter, Balance.window_start).where(Balance.meter.in_(names)))
        for meter, start in found:
            starts[meter].append(start)
    meters = {}
    for row in rows:
        if row["meters"] is not None:
            meters[row["request_id"], row["attempt"]] = row["meters"]
            continue
        begun = {
            name: [start for start in starts[name] if start <= row["started_at"].timestamp()] for name in _names(row)
        }
        windows = {(name, start) for name, known in begun.items() if known for start in (0, max(known))}
        meters[row["request_id"], row["attempt"]] = [list(window) for window in sorted(windows)]
    return meters


def _names(row: Row) -> list[str]:
    """The meters of a call whose row does not say."""
    names = [meter_names.GATEWAY, meter_names.name("key", row["key_id"])]
    names += [
        meter_names.name(kind, row[column])
        for kind, column in (("user", "user_id"), ("team", "team_id"), ("customer", "customer_id"))
        if row[column]
    ]
    if row["team_id"] and row["user_id"]:
        names.append(meter_names.name("team_member", row["team_id"], row["user_id"]))
    return names
