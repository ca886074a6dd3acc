"""Revoking a user's keys once the budget is spent, and opening exactly those again."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import VirtualKey, now

BUDGET_EXCEEDED = "budget_exceeded"


def revoke_keys(session: Session, user_id: str, until: datetime | None) -> int:
    """Revokes the user's keys until the budget's window ends (None: until somebody raises it); gives how many."""
    result = session.execute(
        sa.update(VirtualKey)
        .where(
            VirtualKey.user_id == user_id,
            sa.or_(VirtualKey.revoked_reason.is_(None), VirtualKey.revoked_until.is_distinct_from(until)),
        )
        .values(revoked_reason=BUDGET_EXCEEDED, revoked_at=now(), revoked_until=until)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def reopen_keys(session: Session, user_id: str) -> int:
    """Takes back what `revoke_keys` did, and nothing else: a block by hand stays. Gives how many keys it opened."""
    result = session.execute(
        sa.update(VirtualKey)
        .where(VirtualKey.user_id == user_id, VirtualKey.revoked_reason == BUDGET_EXCEEDED)
        .values(revoked_reason=None, revoked_at=None, revoked_until=None)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
