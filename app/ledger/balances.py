"""Balances: what each meter has spent in each of its windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.extensions import database_errors, db
from app.models import Balance

Window = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settled:
    """A balance as it stands in SQL: nano-dollars, and the version that grows with every posting."""

    spend: int
    version: int


NOTHING = Settled(0, 0)


def read(session: Session, windows: Iterable[Window]) -> dict[Window, Settled]:
    """Balances by (meter, window start); one that nothing was booked in yet is 0 at version 0."""
    wanted = sorted(set(windows))
    found = session.execute(
        sa.select(Balance.meter, Balance.window_start, Balance.spend, Balance.version).where(
            sa.tuple_(Balance.meter, Balance.window_start).in_(wanted)
        )
    )
    balances = dict.fromkeys(wanted, NOTHING)
    balances.update({(row.meter, row.window_start): Settled(row.spend, row.version) for row in found})
    return balances


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
