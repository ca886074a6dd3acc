"""Revoking a user's keys once the budget is spent, and opening exactly those again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import VirtualKey, now

BUDGET_EXCEEDED = "budget_exceeded"


def revoke_keys(session: Session, user_id: str, until: datetime | None) -> int:
    """Revokes the user's keys until the budget's window ends (None: until somebody raises it); gives how many."""
    open_still = sa.or_(VirtualKey.revoked_reason.is_(None), VirtualKey.revoked_until.is_distinct_from(until))
    found = _locked(session, VirtualKey.user_id == user_id, open_still)
    for row in found:
        row.revoked_reason, row.revoked_at, row.revoked_until = BUDGET_EXCEEDED, now(), until
    return len(found)


def reopen_keys(session: Session, user_id: str) -> int:
    """Takes back what `revoke_keys` did, and nothing else: a block by hand stays. Gives how many keys it opened."""
    found = _locked(session, VirtualKey.user_id == user_id, VirtualKey.revoked_reason == BUDGET_EXCEEDED)
    for row in found:
        row.revoked_reason = row.revoked_at = row.revoked_until = None
    return len(found)


def _locked(session: Session, *wanted: sa.ColumnElement[bool]) -> Sequence[VirtualKey]:
    """Keys one by one rather than in one statement: each change of a key stands in the audit."""
    return session.scalars(sa.select(VirtualKey).where(*wanted).order_by(VirtualKey.id).with_for_update()).all()
