"""Users at or over max_budget: their keys are revoked; a new window, a raise or a credit opens exactly those again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa
from celery import shared_task

from app import durations
from app.access import callers, revoking
from app.extensions import database_errors, db, write_transaction
from app.ledger import balances
from app.models import User, VirtualKey, now
from app.queue import BUDGETS
from worker.schedule import BUDGETS_SECONDS, once


@shared_task(name=BUDGETS, ignore_result=True)
def budgets(user_id: str | None = None) -> None:
    """Looks at one user, or at all users who have a revoked key."""
    if user_id is not None:
        check_users([user_id])
    elif once(BUDGETS, BUDGETS_SECONDS):
        with database_errors():
            found = db.session.scalars(
                sa.select(VirtualKey.user_id)
                .where(VirtualKey.revoked_reason.is_not(None), VirtualKey.user_id.is_not(None))
                .distinct()
            ).all()
            db.session.rollback()
        check_users([user for user in found if user is not None])


def check_users(user_ids: Iterable[str]) -> None:
    """Revokes the keys of users whose settled spend has reached their budget; opens the keys of those who are below."""
    for user_id, window in _windows(user_ids).items():
        start, end, max_budget = window
        meter = (f"user:{user_id}", start)
        spent = balances.spend([meter])[meter]
        if max_budget is not None and spent >= max_budget:
            until = None if end is None else datetime.fromtimestamp(end, UTC)
            _change(user_id, revoke=True, until=until)
        else:
            _change(user_id, revoke=False, until=None)


def _windows(user_ids: Iterable[str]) -> dict[str, tuple[int, int | None, int | None]]:
    """For each user: the window's start and end (epoch seconds), and the budget (nano-dollars)."""
    moment = now()
    with database_errors():
        users = db.session.scalars(sa.select(User).where(User.user_id.in_(sorted(set(user_ids))))).all()
        windows = {user.user_id: (*_window(user, moment), user.max_budget) for user in users}
        db.session.rollback()
    return windows


def _window(user: User, moment: datetime) -> tuple[int, int | None]:
    if user.budget_duration is None:
        return 0, None
    window = durations.window_at(user.budget_duration, user.created_at, moment)
    return window.start, window.end


def _change(user_id: str, *, revoke: bool, until: datetime | None) -> None:
    """Changes rows only where there is something to change, because every edit makes the processes load again."""
    is_open = VirtualKey.revoked_reason.is_(None)
    otherwise = sa.or_(is_open, VirtualKey.revoked_until.is_distinct_from(until)) if revoke else sa.not_(is_open)
    with database_errors():
        wrong = db.session.scalar(
            sa.select(sa.func.count()).select_from(VirtualKey).where(VirtualKey.user_id == user_id, otherwise)
        )
        db.session.rollback()
    if not wrong:
        return
    with callers.invalidating([f"user:{user_id}"]), write_transaction() as session:
        if revoke:
            revoking.revoke_keys(session, user_id, until)
        else:
            revoking.reopen_keys(session, user_id)
