"""Reading the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from app.extensions import database_errors, db
from app.models import LedgerRow
from app.models.base import UtcDateTime

# Counting goes no further: a table with millions of rows is not read through to say how many they are.
MOST_COUNTED = 10_000
# A reader of the whole ledger holds so many rows at once.
ROWS_AT_ONCE = 5_000
SORTS: dict[str, Any] = {
    "startTime": LedgerRow.started_at,
    "spend": LedgerRow.cost,
    "total_tokens": LedgerRow.input_tokens + LedgerRow.output_tokens,
}
EQUAL = ("user_id", "key_id", "token", "team_id", "end_user", "customer_id", "model_name", "outcome", "request_id")
PLACE = (LedgerRow.started_at, LedgerRow.request_id, LedgerRow.attempt)


class Wanted(TypedDict, total=False):
    """Which rows; None, or not there: any. `start` is included, `end` is not; costs are nano-dollars."""

    user_id: str | None
    key_id: str | None
    token: str | None
    team_id: str | None
    end_user: str | None
    customer_id: str | None
    model_name: str | None
    outcome: str | None
    request_id: str | None
    tag: str | None
    least_cost: int | None
    most_cost: int | None
    start: datetime | None
    end: datetime | None


def find(
    *,
    page: int = 1,
    page_size: int = 1000,
    sort_by: str = "startTime",
    descending: bool = True,
    **wanted: Unpack[Wanted],
) -> tuple[Sequence[LedgerRow], int]:
    """One page of ledger rows in the order of one of SORTS, and how many there are, counted up to MOST_COUNTED + 1.

    Raises DatabaseUnavailable.
    """
    order = SORTS[sort_by].desc() if descending else SORTS[sort_by]
    with database_errors():
        conditions = _conditions(wanted)
        some = sa.select(sa.literal(1)).select_from(LedgerRow).where(*conditions).limit(MOST_COUNTED + 1)
        total = db.session.scalar(sa.select(sa.func.count()).select_from(some.subquery()))
        rows = db.session.scalars(
            sa.select(LedgerRow)
            .where(*conditions)
            .order_by(order, LedgerRow.started_at.desc(), LedgerRow.request_id, LedgerRow.attempt)
            .limit(page_size)
            .offset((page - 1) * page_size)
        ).all()
    return rows, total or 0


def chunks(columns: Sequence[str], **wanted: Unpack[Wanted]) -> Iterator[Sequence[Sequence[Any]]]:
    """All rows that are wanted, oldest first, ROWS_AT_ONCE at a time: these columns, then PLACE's.

    Between two reads no transaction is open. Rows that are booked meanwhile may be missing. Raises DatabaseUnavailable.
    """
    selected: Any = sa.select(*(getattr(LedgerRow, name) for name in columns), *PLACE)
    ordered = selected.order_by(*PLACE).limit(ROWS_AT_ONCE)
    last: Sequence[Any] | None = None
    while True:
        with database_errors():
            page = ordered.where(*_conditions(wanted), *_after(last))
            found = db.session.execute(page).all()
            db.session.rollback()
        if found:
            yield found
        if len(found) < ROWS_AT_ONCE:
            return
        last = found[-1]


def _after(last: Sequence[Any] | None) -> list[Any]:
    if last is None:
        return []
    started_at, request_id, attempt = last[-len(PLACE) :]
    place = sa.tuple_(sa.literal(started_at, UtcDateTime), sa.literal(request_id), sa.literal(attempt))
    # The first condition is part of the second; it is the one that an index answers.
    return [LedgerRow.started_at >= started_at, sa.tuple_(*PLACE) > place]


def _conditions(wanted: Mapping[str, Any]) -> list[Any]:
    conditions = [getattr(LedgerRow, name) == wanted[name] for name in EQUAL if wanted.get(name) is not None]
    compared: dict[str, Callable[[Any], Any]] = {
        "start": LedgerRow.started_at.__ge__,
        "end": LedgerRow.started_at.__lt__,
        "least_cost": LedgerRow.cost.__ge__,
        "most_cost": LedgerRow.cost.__le__,
        "tag": _has_tag,
    }
    return conditions + [meets(wanted[name]) for name, meets in compared.items() if wanted.get(name) is not None]


def _has_tag(tag: str) -> Any:
    """Each database has its own function that makes rows of a JSON list."""
    postgresql = db.session.get_bind().dialect.name == "postgresql"
    listed = (sa.func.json_array_elements_text if postgresql else sa.func.json_each)(LedgerRow.tags)
    tags = listed.table_valued("value")
    return sa.exists(sa.select(sa.literal(1)).select_from(tags).where(tags.c.value == tag))
