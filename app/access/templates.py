"""Budget templates: made, changed, deleted and found."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, make_transient

from app.access import callers, keys, path, rows
from app.access.rows import Page
from app.errors import Conflict, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import LIMIT_NAMES, Budget, Customer, Team, TeamMember, User, VirtualKey

COLUMNS = (*LIMIT_NAMES, "metadata")
USERS_OF_TEMPLATES = (VirtualKey, User, Team, TeamMember, Customer)


def create(fields: Mapping[str, Any]) -> Budget:
    """Makes a template. Raises Conflict, DatabaseUnavailable, LimitsUnavailable."""
    row = Budget(budget_id=fields.get("budget_id") or str(uuid.uuid4()))
    rows.assign(row, COLUMNS, fields)
    with callers.invalidating([f"budget:{row.budget_id}"]), rows.unique_names(), write_transaction() as session:
        session.add(row)
        rows.let_go(session, row)
    return row


def change(budget_id: str, changes: Mapping[str, Any]) -> Budget:
    """Changes the fields that are given, for all who have the template. Raises NotFound and what `create` raises.

    Of users who have it, those whose keys were revoked for their budget are looked at again.
    """
    with callers.invalidating([f"budget:{budget_id}"]), write_transaction() as session:
        row = session.get(Budget, budget_id, with_for_update=True)
        if row is None:
            raise _unknown(budget_id)
        rows.assign(row, COLUMNS, changes)
        revoked = sa.exists().where(VirtualKey.user_id == User.user_id, VirtualKey.revoked_reason.is_not(None))
        waiting = session.scalars(sa.select(User.user_id).where(User.budget_id == budget_id, revoked)).all()
        rows.let_go(session, row)
    for user_id in waiting:
        keys.look_again(user_id)
    return row


def delete(budget_id: str) -> Budget:
    """Deletes a template that nobody has: limits never go away by the way. Raises NotFound, Conflict."""
    with callers.invalidating([f"budget:{budget_id}"]), write_transaction() as session:
        row = session.get(Budget, budget_id, with_for_update=True)
        if row is None:
            raise _unknown(budget_id)
        uses = _uses(session, budget_id)
        if uses:
            raise Conflict(f"The budget '{budget_id}' is used {uses} times. Take it away there first.", param="id")
        if path.settings().customer_template == budget_id:
            raise Conflict(
                f"New customers get the budget '{budget_id}' (litellm_settings.max_end_user_budget_id).", param="id"
            )
        session.delete(row)
        session.flush()
        make_transient(row)
    return row


def find(budget_ids: Collection[str]) -> Sequence[Budget]:
    """Templates by id, in the order in which they were made. Raises NotFound where one is unknown."""
    found = _read(sa.select(Budget).where(Budget.budget_id.in_(budget_ids)))
    missing = sorted(set(budget_ids) - {row.budget_id for row in found})
    if missing:
        raise _unknown(missing[0])
    return found


def listed(page: Page, search: str | None = None) -> tuple[Sequence[Budget], int]:
    """One page of templates, and how many there are; `search` is any part of the id. Raises DatabaseUnavailable."""
    wanted = [] if search is None else [Budget.budget_id.icontains(search, autoescape=True)]
    return rows.listed(Budget, wanted, page)


def _uses(session: Session, budget_id: str) -> int:
    counts = [sa.select(sa.func.count()).where(table.budget_id == budget_id) for table in USERS_OF_TEMPLATES]
    return sum(session.scalar(count) or 0 for count in counts)


def _read(query: sa.Select[Budget]) -> Sequence[Budget]:
    with database_errors():
        found = db.session.scalars(query.order_by(Budget.created_at, Budget.budget_id)).all()
        db.session.expunge_all()
        db.session.rollback()
    return found


def _unknown(budget_id: str) -> NotFound:
    return NotFound(f"There is no budget '{budget_id}'.", param="budget_id")
