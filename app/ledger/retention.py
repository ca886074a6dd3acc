"""Retention: old ledger rows are deleted in small steps. Daily totals and balances stay."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.extensions import database_errors, db, write_transaction
from app.models import LedgerCut, LedgerRow

ROWS_AT_ONCE = 1000
# Counting goes no further: whoever reads the number only has to know whether it grows small.
MOST_COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How many rows were deleted, and how many old ones are left, counted up to MOST_COUNTED."""

    deleted: int
    left: int


def trim(before: datetime, *, most_rows: int, most_seconds: float) -> Trimmed:
    """Deletes rows that started before this moment, oldest first, committed step by step, within both bounds.

    Between two steps the database is left alone for as long as a step took. Raises DatabaseUnavailable.
    """
    end = time.monotonic() + most_seconds
    deleted = 0
    while deleted < most_rows and (began := time.monotonic()) < end:
        wanted = min(ROWS_AT_ONCE, most_rows - deleted)
        with write_transaction() as session:
            gone = _delete_oldest(session, before, wanted)
        deleted += gone
        if gone < wanted:
            return Trimmed(deleted, 0)
        time.sleep(min(time.monotonic() - began, max(0.0, end - time.monotonic())))
    return Trimmed(deleted, _count(before))


def _delete_oldest(session: Session, before: datetime, most: int) -> int:
    oldest = (
        sa.select(LedgerRow.request_id, LedgerRow.attempt)
        .where(LedgerRow.started_at < before)
        .order_by(LedgerRow.started_at)
        .limit(most)
    )
    keys = sa.tuple_(LedgerRow.request_id, LedgerRow.attempt)
    gone = session.connection().execute(sa.delete(LedgerRow).where(keys.in_(oldest))).rowcount
    if gone:
        _remember(session, before)
    return gone


def _remember(session: Session, before: datetime) -> None:
    """From now on nobody expects the rows of earlier days to add up to the daily totals."""
    cut = session.get(LedgerCut, 1)
    if cut is None:
        session.add(LedgerCut(before=before))
    elif cut.before < before:
        cut.before = before


def _count(before: datetime) -> int:
    old = sa.select(sa.literal(1)).select_from(LedgerRow).where(LedgerRow.started_at < before).limit(MOST_COUNTED)
    with database_errors():
        left = db.session.scalar(sa.select(sa.func.count()).select_from(old.subquery()))
        db.session.rollback()
    return left or 0
