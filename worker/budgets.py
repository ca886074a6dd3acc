"""Users at or over max_budget: their keys are revoked; a new window, a raise or a credit opens exactly those again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from celery import shared_task
from sqlalchemy.orm import Session

from app import given_rows, meter_names
from app.access import callers, path, revoking
from app.access.path import Limits
from app.extensions import database_errors, db, write_transaction
from app.ledger import balances
from app.ledger.balances import Settled, Window
from app.models import Budget, Credit, User, VirtualKey, now
from app.queue import BUDGETS
from worker.schedule import BUDGETS_SECONDS, once

USERS = meter_names.name("user", "")


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a user's budget is spent, and when the window ends in which it was (None: it does not)."""

    spent: bool
    until: datetime | None


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


def near_budget(spends: Mapping[Window, int]) -> list[str]:
    """The users among these balances (nano-dollars) who may have spent their budget: one lean query for a whole batch.

    A raise and what has rolled over only add to a budget, so nobody whose every balance is below it, and below what
    credits take from it, has spent it. Balances of other meters say nothing. Raises DatabaseUnavailable.
    """
    most: dict[str, int] = {}
    for (meter, _), spend in spends.items():
        if meter.startswith(USERS):
            most[meter] = max(spend, most.get(meter, 0))
    rows = [{"meter": meter, "user_id": meter.removeprefix(USERS), "spend": spend} for meter, spend in most.items()]
    if not rows:
        return []
    with database_errors():
        statement = _near(db.session().get_bind().dialect.name)
        found = list(db.session.scalars(statement, given_rows.parameter(rows)))
        db.session.rollback()
    return found


@cache
def _near(dialect: str) -> Any:
    given = given_rows.table(dialect, {"meter": sa.Text(), "user_id": sa.Text(), "spend": sa.BigInteger()})
    taken = sa.select(sa.func.sum(Credit.amount)).where(Credit.meter == given.c.meter, Credit.amount < 0)
    budget = sa.func.coalesce(User.max_budget, Budget.max_budget)
    return (
        sa.select(User.user_id)
        .join_from(given, User, User.user_id == given.c.user_id)
        .outerjoin(Budget, Budget.budget_id == User.budget_id)
        .where(budget + sa.func.coalesce(taken.correlate(given).scalar_subquery(), 0) <= given.c.spend)
    )


def check_users(user_ids: Iterable[str]) -> None:
    """Revokes the keys of users whose settled spend has reached their budget; opens the keys of those who are below.

    A few queries for any number of users; rows are changed only where something is to be changed, because every edit
    makes the web processes load the caller again.
    """
    wanted = sorted(set(user_ids))
    if not wanted:
        return
    with database_errors():
        session = db.session()
        standings = _standings(session, wanted)
        wrong = _wrongly_marked(session, standings)
        session.rollback()
    for user_id in wrong:
        standing = standings[user_id]
        with callers.invalidating([f"user:{user_id}"]), write_transaction() as writing:
            if standing.spent:
                revoking.revoke_keys(writing, user_id, standing.until)
            else:
                revoking.reopen_keys(writing, user_id)


def _standings(session: Session, user_ids: Sequence[str]) -> dict[str, Standing]:
    """Whether each of the users has spent the budget of the window that is open now."""
    at = now().timestamp()
    users = session.scalars(sa.select(User).where(User.user_id.in_(user_ids))).all()
    found = path.limits_of(session, users)
    limits = {user.user_id: found[path.meter_of(user)] for user in users}
    spend = balances.read(session, ((one.meter, start) for one in limits.values() for start in one.starts(at)))
    return {user_id: _standing(one, spend, at) for user_id, one in limits.items()}


def _standing(limits: Limits, spend: Mapping[Window, Settled], at: float) -> Standing:
    spends = {start: spend[limits.meter, start].spend for start in limits.starts(at)}
    budget, window = limits.spendable(at, spends), limits.window(at)
    return Standing(
        spent=budget is not None and spends[limits.window_start(at)] >= budget,
        until=None if window is None else datetime.fromtimestamp(window.end, UTC),
    )


def _wrongly_marked(session: Session, standings: dict[str, Standing]) -> list[str]:
    """Users with a key that is open and should be revoked, or the other way round."""
    found = session.execute(
        sa.select(VirtualKey.user_id, VirtualKey.revoked_reason, VirtualKey.revoked_until)
        .where(VirtualKey.user_id.in_(sorted(standings)))
        .distinct()
    )
    wrong = set()
    for user_id, reason, until in found:
        assert user_id is not None  # noqa: S101 - the query names its users
        standing = standings[user_id]
        if standing.spent != (reason is not None) or (standing.spent and until != standing.until):
            wrong.add(user_id)
    return sorted(wrong)
