"""Reading the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from app.extensions import database_errors, db
from app.models import LedgerRow


def find(
    *,
    user_id: str | None = None,
    key_id: str | None = None,
    token: str | None = None,
    request_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    page: int = 1,
    page_size: int = 1000,
) -> tuple[Sequence[LedgerRow], int]:
    """One page of ledger rows, newest first, and how many there are; `start` is included, `end` is not.

    Raises DatabaseUnavailable.
    """
    equal = {"user_id": user_id, "key_id": key_id, "token": token, "request_id": request_id}
    conditions = [getattr(LedgerRow, name) == value for name, value in equal.items() if value is not None]
    if start is not None:
        conditions.append(LedgerRow.started_at >= start)
    if end is not None:
        conditions.append(LedgerRow.started_at < end)
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(LedgerRow).where(*conditions))
        rows = db.session.scalars(
            sa.select(LedgerRow)
            .where(*conditions)
            .order_by(LedgerRow.started_at.desc(), LedgerRow.request_id, LedgerRow.attempt)
            .limit(page_size)
            .offset((page - 1) * page_size)
        ).all()
    return rows, total or 0
