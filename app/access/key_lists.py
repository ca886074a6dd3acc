"""Lists of keys: filtered, sorted and cut into pages by the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.extensions import database_errors, db
from app.models import Balance, TeamMember, VirtualKey, now

EVER = 0
STATUSES = ("active", "expired", "revoked", "blocked")
SORTS: dict[str, Any] = {
    "created_at": VirtualKey.created_at,
    "updated_at": VirtualKey.updated_at,
    "expires": VirtualKey.expires,
    "key_alias": VirtualKey.key_alias,
    "user_id": VirtualKey.user_id,
    "team_id": VirtualKey.team_id,
    "max_budget": VirtualKey.max_budget,
    "spend": sa.func.coalesce(Balance.spend, 0),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which keys; None asks for nothing.

    `search` is any part of the alias or the user_id. With a `user_id`, the keys of teams whose
    admin the user is (`of_administrated_teams`) and those that the user has made (`created_by_user`) may be added.
    """

    user_id: str | None = None
    team_id: str | None = None
    token: str | None = None
    alias: str | None = None
    status: str | None = None
    search: str | None = None
    of_administrated_teams: bool = False
    created_by_user: bool = False

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL; all must hold."""
        equal = {VirtualKey.team_id: self.team_id, VirtualKey.token: self.token, VirtualKey.key_alias: self.alias}
        found: list[sa.ColumnElement[bool]] = [column == one for column, one in equal.items() if one is not None]
        if self.user_id is not None:
            found.append(self._of_user(self.user_id))
        if self.search is not None:
            places = (VirtualKey.key_alias, VirtualKey.user_id)
            found.append(sa.or_(*(place.icontains(self.search, autoescape=True) for place in places)))
        if self.status is not None:
            found.append(has_status(self.status))
        return found

    def _of_user(self, user_id: str) -> sa.ColumnElement[bool]:
        ways = [VirtualKey.user_id == user_id]
        if self.of_administrated_teams:
            administrated = sa.select(TeamMember.team_id).where(
                TeamMember.user_id == user_id, TeamMember.role == "admin"
            )
            ways.append(VirtualKey.team_id.in_(administrated))
        if self.created_by_user:
            ways.append(VirtualKey.created_by == user_id)
        return sa.or_(*ways)


def has_status(status: str) -> sa.ColumnElement[bool]:
    """Whether a key has one of STATUSES at this moment. As it is shown, blocked goes before expired before revoked."""
    at = now()
    expired = sa.and_(VirtualKey.expires.is_not(None), VirtualKey.expires <= at)
    until = sa.or_(VirtualKey.revoked_until.is_(None), VirtualKey.revoked_until > at)
    revoked = sa.and_(VirtualKey.revoked_reason.is_not(None), until)
    first = {"blocked": VirtualKey.blocked, "expired": expired, "revoked": revoked}
    return sa.case(*((holds, sa.literal(name)) for name, holds in first.items()), else_="active") == status


def listed(
    wanted: Wanted, *, page: int, size: int, sort_by: str = "created_at", descending: bool = True
) -> tuple[Sequence[VirtualKey], int]:
    """One page of keys, sorted by one of SORTS, and how many there are. Raises DatabaseUnavailable."""
    conditions, column = wanted.conditions(), SORTS[sort_by]
    query = sa.select(VirtualKey).where(*conditions)
    if sort_by == "spend":
        ever = sa.and_(Balance.meter == "key:" + VirtualKey.id, Balance.window_start == EVER)
        query = query.outerjoin(Balance, ever)
    order = (column.desc() if descending else column.asc()).nulls_last()
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(VirtualKey).where(*conditions))
        found = db.session.scalars(query.order_by(order, VirtualKey.id).limit(size).offset((page - 1) * size)).all()
        db.session.expunge_all()
        db.session.rollback()
    return found, total or 0


def aliases(wanted: Wanted, *, page: int, size: int) -> tuple[Sequence[str], int]:
    """One page of the keys' aliases, in order, and how many there are. Raises DatabaseUnavailable."""
    conditions = [*wanted.conditions(), VirtualKey.key_alias.is_not(None)]
    query = sa.select(VirtualKey.key_alias).where(*conditions).order_by(VirtualKey.key_alias)
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(VirtualKey).where(*conditions))
        found = db.session.scalars(query.limit(size).offset((page - 1) * size)).all()
        db.session.rollback()
    return [alias for alias in found if alias is not None], total or 0
