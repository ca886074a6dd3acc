"""Balances: what each meter has spent in each of its windows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import given_rows
from app.extensions import database_errors, db
from app.models import Balance

Window = tuple[str, int]


# No frozen dataclass: that takes Python three times as long to make, and a batch makes one for each balance.
class Settled(NamedTuple):
    """A balance as it stands in SQL: nano-dollars, and the version that grows with every posting."""

    spend: int
    version: int


NOTHING = Settled(0, 0)


def read(session: Session, windows: Iterable[Window]) -> dict[Window, Settled]:
    """Balances by (meter, window start); one that nothing was booked in yet is 0 at version 0."""
    wanted = sorted(set(windows))
    balances = dict.fromkeys(wanted, NOTHING)
    if wanted:
        rows = given_rows.parameter({"meter": meter, "window_start": start} for meter, start in wanted)
        found = session.connection().execute(_reading(session.get_bind().dialect.name), rows)
        for meter, start, spend, version in found.all():
            balances[meter, start] = Settled(spend, version)
    return balances


@cache
def _reading(dialect: str) -> Any:
    given = given_rows.table(dialect, {"meter": sa.Text(), "window_start": sa.BigInteger()})
    named = sa.and_(Balance.meter == given.c.meter, Balance.window_start == given.c.window_start)
    return sa.select(Balance.meter, Balance.window_start, Balance.spend, Balance.version).join_from(
        given, Balance, named
    )


def settled(windows: Iterable[Window]) -> dict[Window, Settled]:
    """As `read`, in a transaction of its own. Raises DatabaseUnavailable."""
    with database_errors():
        balances = read(db.session(), windows)
        db.session.rollback()
    return balances


def any_at_all() -> bool:
    """Whether anything was ever booked. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.scalar(sa.select(Balance.meter).limit(1))
        db.session.rollback()
    return found is not None


def spend(windows: Iterable[Window]) -> dict[Window, int]:
    """Settled spend in nano-dollars by (meter, window start). Raises DatabaseUnavailable."""
    return {window: balance.spend for window, balance in settled(windows).items()}
