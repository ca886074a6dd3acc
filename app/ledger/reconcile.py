"""Do the books agree? Ledger rows against daily totals, day by day; daily totals against balances, meter by meter.

Each comparison is one statement, so it sees one moment of the database and traffic makes no differences. Each reads one
day's rows or the totals of a few meters, so it ends soon however large the database is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from app import money
from app.extensions import database_errors, db
from app.ledger.post import CALL, DAY_GROUP, DAY_SUMS, FAILED
from app.meter_names import GATEWAY
from app.models import Balance, DailySpend, LedgerCut, LedgerRow

METERS_AT_ONCE = 200
DAY = timedelta(days=1)
# The balances that are sums of daily totals, by the columns that name whose they are. Those of a key's or user's model
# are not: they begin when the limit is set.
METERS: dict[str, tuple[Any, ...]] = {
    "customer": (DailySpend.customer_id,),
    "key": (DailySpend.key_id,),
    "team": (DailySpend.team_id,),
    "team_member": (DailySpend.team_id, DailySpend.user_id),
    "user": (DailySpend.user_id,),
}


def differences(since: date | None, unlimited_key: str) -> Iterator[str | None]:
    """One line for each difference, and None after each statement, where a caller who has no more time may stop.

    Compared are the days from `since` on (None: all whose rows are still there) and all balances. `unlimited_key` is
    the key that has no balance. Raises DatabaseUnavailable.
    """
    day = _next_day(since or date.min)
    while day is not None:
        yield from _of_day(day)
        yield from _without_balance(day, unlimited_key)
        yield None
        day = _next_day(day + DAY)
    last = ""
    while meters := _meters_after(last):
        yield from _of_meters(meters)
        yield None
        last = meters[-1]


def _next_day(first: date) -> date | None:
    """The first day, from `first` on, with rows or totals, whose rows are all still there."""
    cut = _scalar(sa.select(LedgerCut.before))
    if cut is not None:
        first = max(first, (cut - timedelta(microseconds=1)).date() + DAY)
    row = _scalar(sa.select(sa.func.min(LedgerRow.started_at)).where(LedgerRow.started_at >= _midnight(first)))
    total = _scalar(sa.select(sa.func.min(DailySpend.day)).where(DailySpend.day >= first))
    return min((day for day in (None if row is None else row.date(), total) if day is not None), default=None)


def _of_day(day: date) -> Iterator[str]:
    group = [sa.func.coalesce(getattr(LedgerRow, name), sa.literal_column("''")).label(name) for name in DAY_GROUP[1:]]
    is_call = LedgerRow.entry == CALL
    calls = sa.func.sum(sa.case((is_call, 1), else_=0))
    failed = sa.func.sum(sa.case((sa.and_(is_call, LedgerRow.outcome.in_(FAILED)), 1), else_=0))
    written = sa.func.sum(LedgerRow.cache_write_5m_tokens + LedgerRow.cache_write_1h_tokens)
    sums = [*(sa.func.sum(getattr(LedgerRow, name)) for name in DAY_SUMS[2:-1]), written]
    none = [sa.literal(0)] * len(DAY_SUMS)
    in_day = (LedgerRow.started_at >= _midnight(day), LedgerRow.started_at < _midnight(day + DAY))
    booked = sa.select(*group, *_named("row", [calls, failed, *sums]), *_named("day", none))
    totals = [getattr(DailySpend, name) for name in DAY_SUMS]
    kept = sa.select(
        *(getattr(DailySpend, name) for name in DAY_GROUP[1:]), *_named("row", none), *_named("day", totals)
    )
    both = sa.union_all(booked.where(*in_day).group_by(*group), kept.where(DailySpend.day == day)).subquery()
    names: list[Any] = [both.c[name] for name in DAY_GROUP[1:]]
    pairs = [(sa.func.sum(both.c[f"row_{name}"]), sa.func.sum(both.c[f"day_{name}"])) for name in DAY_SUMS]
    # Retention may have begun to delete the day's rows since the day was chosen.
    whole = sa.not_(sa.exists().where(LedgerCut.before > _midnight(day)))
    differ = sa.or_(*(row != total for row, total in pairs))
    found = _all(
        sa.select(*names, *(amount for pair in pairs for amount in pair)).where(whole).group_by(*names).having(differ)
    )
    for user_id, key_id, team_id, customer_id, model_name, provider, *amounts in found:
        what = "; ".join(
            f"{name} {_shown(name, row)} in the rows, {_shown(name, total)} in the daily total"
            for name, row, total in zip(DAY_SUMS, amounts[::2], amounts[1::2], strict=True)
            if row != total
        )
        who = f"user '{user_id}', key {key_id}, team '{team_id}', customer '{customer_id}'"
        yield f"{day}, {who}, model '{model_name}', provider '{provider}': {what}"


def _without_balance(day: date, unlimited_key: str) -> Iterator[str]:
    """Whoever has totals on this day and no balance at all."""
    for kind, columns in METERS.items():
        nobody = unlimited_key if kind == "key" else ""
        meter = _meter(kind, columns)
        balance = sa.exists().where(Balance.meter == meter, Balance.window_start == 0)
        somebody = [column != nobody for column in columns]
        found = sa.select(meter).where(DailySpend.day == day, *somebody, sa.not_(balance)).distinct()
        for (name,) in _all(found.order_by(meter)):
            yield f"{name}: spent something on {day} and has no balance"


def _meters_after(last: str) -> list[str]:
    known = sa.or_(
        Balance.meter == GATEWAY, *(Balance.meter.startswith(f"{kind}:", autoescape=True) for kind in METERS)
    )
    page = sa.select(Balance.meter).where(Balance.window_start == 0, Balance.meter > last, known)
    return [name for (name,) in _all(page.order_by(Balance.meter).limit(METERS_AT_ONCE))]


def _of_meters(meters: Sequence[str]) -> Iterator[str]:
    nothing = sa.literal(0)
    parts: list[Any] = [
        sa.select(Balance.meter, Balance.spend.label("balance"), nothing.label("total")).where(
            Balance.window_start == 0, Balance.meter.in_(meters)
        )
    ]
    for kind, columns in METERS.items():
        prefix = f"{kind}:"
        names = [meter.removeprefix(prefix) for meter in meters if meter.startswith(prefix)]
        ids = [tuple(name.split("/", len(columns) - 1)) for name in names]
        spent = sa.select(_meter(kind, columns).label("meter"), nothing, sa.func.sum(DailySpend.cost))
        parts.append(spent.where(sa.tuple_(*columns).in_(ids)).group_by(*columns))
    if GATEWAY in meters:
        parts.append(sa.select(sa.literal(GATEWAY), nothing, sa.func.sum(DailySpend.cost)))
    both = sa.union_all(*parts).subquery()
    balance, total = sa.func.sum(both.c.balance), sa.func.sum(sa.func.coalesce(both.c.total, 0))
    found = sa.select(both.c.meter, balance, total).group_by(both.c.meter).having(balance != total)
    for meter, kept, added in _all(found.order_by(both.c.meter)):
        yield f"{meter}: the balance is {money.shown(int(kept))}, the daily totals add up to {money.shown(int(added))}"


def _meter(kind: str, columns: Sequence[Any]) -> Any:
    # Written out, because PostgreSQL takes one expression with two parameters for two expressions.
    name: Any = sa.literal_column(f"'{kind}:'", sa.String) + columns[0]
    for column in columns[1:]:
        name = name + sa.literal_column("'/'", sa.String) + column
    return name


def _named(prefix: str, amounts: Sequence[Any]) -> list[Any]:
    return [amount.label(f"{prefix}_{name}") for name, amount in zip(DAY_SUMS, amounts, strict=True)]


def _shown(name: str, amount: Any) -> str:
    return money.shown(int(amount)) if name == "cost" else str(int(amount))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _scalar(statement: Any) -> Any:
    with database_errors():
        found = db.session.scalar(statement)
        db.session.rollback()
    return found


def _all(statement: Any) -> Sequence[Any]:
    with database_errors():
        found = db.session.execute(statement).all()
        db.session.rollback()
    return found
