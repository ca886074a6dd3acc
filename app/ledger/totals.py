"""Daily totals added up by day, user, key, team, customer, model, provider or tag.

Whatever is read inside one `one_moment()` is of the same moment of the database, so parts always add up to their total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.extensions import database_errors, db
from app.ledger.post import DAY_SUMS, TAG_SUMS
from app.models import DailySpend, DailyTag

Table = type[DailySpend] | type[DailyTag]
# By the names of the table's columns: requests, failed requests, tokens by kind, `cost` in nano-dollars.
Sums = dict[str, int]
SUMS: dict[Table, Sequence[str]] = {DailySpend: DAY_SUMS, DailyTag: TAG_SUMS}


@dataclass(frozen=True, slots=True)
class Part:
    """Which totals: those of the days from `start` to `end`, both included, None: no bound.

    Each column that `where` names must have one of the values that it gives.
    """

    start: date | None = None
    end: date | None = None
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)


@contextmanager
def one_moment() -> Iterator[Session]:
    """A transaction that only reads and in which every statement sees the same rows. Raises DatabaseUnavailable."""
    with database_errors():
        session = db.session()
        session.rollback()
        try:
            # SQLite's transactions are like that by themselves.
            if session.get_bind().dialect.name == "postgresql":
                session.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield session
        finally:
            session.rollback()


def total(session: Session, part: Part, table: Table = DailySpend) -> Sums:
    """The sum of everything in that part."""
    row = session.execute(sa.select(*_sums(table)).where(*_conditions(part, table))).one()
    return _read(row, table)


def by(
    session: Session, names: Sequence[str], part: Part, table: Table = DailySpend, *, limit: int | None = None
) -> list[tuple[tuple[Any, ...], Sums]]:
    """The sums by these columns: in the order of days where "day" is one of them, else the dearest first."""
    columns = [getattr(table, name) for name in names]
    order = columns if "day" in names else [sa.func.sum(table.cost).desc(), *columns]
    grouped = sa.select(*columns, *_sums(table)).where(*_conditions(part, table)).group_by(*columns)
    found = session.execute(grouped.order_by(*order).limit(limit))
    return [(tuple(row[: len(columns)]), _read(row[len(columns) :], table)) for row in found]


def count(session: Session, names: Sequence[str], part: Part, table: Table = DailySpend) -> int:
    """How many groups `by` would find without a limit."""
    groups = sa.select(*(getattr(table, name) for name in names)).where(*_conditions(part, table)).distinct()
    return session.scalar(sa.select(sa.func.count()).select_from(groups.subquery())) or 0


def added(parts: Sequence[Sums], table: Table = DailySpend) -> Sums:
    """The sum of sums."""
    return {name: sum(part[name] for part in parts) for name in SUMS[table]}


def _conditions(part: Part, table: Table) -> list[Any]:
    conditions = [getattr(table, name).in_(list(values)) for name, values in part.where.items()]
    if part.start is not None:
        conditions.append(table.day >= part.start)
    if part.end is not None:
        conditions.append(table.day <= part.end)
    return conditions


def _sums(table: Table) -> list[Any]:
    return [sa.func.sum(getattr(table, name)) for name in SUMS[table]]


def _read(row: Sequence[Any], table: Table) -> Sums:
    """PostgreSQL sums integers to decimals, and both databases sum nothing to NULL."""
    return {name: int(amount or 0) for name, amount in zip(SUMS[table], row, strict=True)}
