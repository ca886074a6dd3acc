"""Users: made, changed, deleted and found."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import callers, keys, members, revoking, rows
from app.access.keys import NewKey
from app.access.members import NewMember
from app.errors import NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import TEMPLATED, Balance, TeamMember, User, VirtualKey

COLUMNS = ("user_email", "user_alias", "user_role", "models", "model_limits", "metadata", *TEMPLATED)
# The fields of /user/new that are about the key which is made with the user.
KEY_FIELDS = ("key", "key_alias", "duration")
BUDGET = frozenset(
    [
        *("max_budget", "budget_duration", "timezone", "week_start", "rollover", "budget_id"),
        *("temp_budget_increase", "temp_budget_expiry"),
    ]
)

EVER = 0
SORTS: dict[str, Any] = {
    "created_at": User.created_at,
    "updated_at": User.updated_at,
    "user_id": User.user_id,
    "user_email": User.user_email,
    "user_alias": User.user_alias,
    "user_role": User.user_role,
    "max_budget": User.max_budget,
    "spend": sa.func.coalesce(Balance.spend, 0),
}


def create(fields: Mapping[str, Any]) -> tuple[User, NewKey | None]:
    """Makes a user and, unless `auto_create_key` is false, a first key, in one transaction.

    Budget, models and limits are the user's and count over all keys; `duration`, `key_alias` and `key` are the key's.
    `teams` are memberships: `team_id`, `role` and the member's limits.
    Raises Conflict (user_id, user_email, key_alias or key taken), BadRequest, NotFound (team, template),
    DatabaseUnavailable, LimitsUnavailable.
    """
    user = User(user_id=fields.get("user_id") or str(uuid.uuid4()))
    rows.assign(user, COLUMNS, fields)
    new = None
    if fields.get("auto_create_key") is not False:
        new = keys.draft({name: fields.get(name) for name in KEY_FIELDS}, user.user_id)
    teams = {membership["team_id"]: membership for membership in fields.get("teams") or ()}
    with _changing(user.user_id, teams=teams), write_transaction() as session:
        # In one order everywhere, so that nobody waits for somebody who waits for them.
        for team_id in sorted(teams):
            members.lock_team(session, team_id)
        rows.check_references(session, fields)
        session.add(user)
        session.flush()
        for team_id, membership in teams.items():
            members.add(session, team_id, NewMember(user.user_id, role=membership["role"], limits=membership))
        rows.let_go(session, user)
        if new is not None:
            session.add(new.row)
            rows.let_go(session, new.row)
    keys.look_again(user.user_id)
    return user, new


def find(user_id: str | None = None, *, email: str | None = None) -> User:
    """A user by user_id or e-mail address. Raises NotFound, DatabaseUnavailable."""
    wanted = User.user_id == user_id if user_id is not None else User.user_email == email
    with database_errors():
        user: User | None = db.session.scalar(sa.select(User).where(wanted))
        db.session.expunge_all()
        db.session.rollback()
    if user is None:
        raise _unknown()
    return user


def change(found: User, changes: Mapping[str, Any], has_room: Callable[[Session, User], bool]) -> User:
    """Changes the fields that are given; None clears one.

    Where the budget changes and `has_room` says that spend is below it, keys that were revoked for it open again.
    Raises NotFound, Conflict, DatabaseUnavailable, LimitsUnavailable.
    """
    with _changing(found.user_id), write_transaction() as session:
        user = session.get(User, found.user_id, with_for_update=True)
        if user is None:
            raise _unknown()
        rows.check_references(session, changes)
        rows.assign(user, COLUMNS, changes)
        if not BUDGET.isdisjoint(changes) and has_room(session, user):
            revoking.reopen_keys(session, user.user_id)
        rows.let_go(session, user)
    keys.look_again(user.user_id)
    return user


def delete(user_ids: Collection[str]) -> int:
    """Deletes users with all their keys, all of them or none; gives how many. What they spent stays in the ledger.

    Raises NotFound where one is unknown, DatabaseUnavailable, LimitsUnavailable.
    """
    wanted = set(user_ids)
    with _changing(*wanted), write_transaction() as session:
        for user_id in sorted(wanted):
            user = session.get(User, user_id, with_for_update=True)
            if user is None:
                raise _unknown()
            # The database would do it by itself, but nothing would stand in the audit.
            for part in (VirtualKey, TeamMember):
                for row in session.scalars(sa.select(part).where(part.user_id == user_id)):
                    session.delete(row)
            session.flush()
            session.delete(user)
    return len(wanted)


def of_ids(user_ids: Iterable[str]) -> dict[str, User]:
    """The users with these ids, as far as they exist. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.scalars(sa.select(User).where(User.user_id.in_(set(user_ids)))).all()
        db.session.expunge_all()
        db.session.rollback()
    return {user.user_id: user for user in found}


def all_ids() -> Sequence[str]:
    """The ids of all users, oldest first. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.scalars(sa.select(User.user_id).order_by(User.created_at, User.user_id)).all()
        db.session.rollback()
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which users; None asks for nothing. `email` is any part of the address, `search` of id, address or alias."""

    user_ids: Sequence[str] | None = None
    email: str | None = None
    role: str | None = None
    team_id: str | None = None
    search: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL; all must hold."""
        found: list[sa.ColumnElement[bool]] = []
        if self.user_ids is not None:
            found.append(User.user_id.in_(self.user_ids))
        if self.email is not None:
            found.append(User.user_email.icontains(self.email, autoescape=True))
        if self.role is not None:
            found.append(User.user_role == self.role)
        if self.team_id is not None:
            members = sa.select(TeamMember.user_id).where(TeamMember.team_id == self.team_id)
            found.append(User.user_id.in_(members))
        if self.search is not None:
            places = (User.user_id, User.user_email, User.user_alias)
            found.append(sa.or_(*(place.icontains(self.search, autoescape=True) for place in places)))
        return found


def listed(
    wanted: Wanted, *, page: int, size: int, sort_by: str = "created_at", descending: bool = False
) -> tuple[Sequence[tuple[User, int]], int]:
    """One page of users with the number of their keys, sorted by one of SORTS, and how many users there are.

    Raises DatabaseUnavailable.
    """
    conditions, column = wanted.conditions(), SORTS[sort_by]
    key_count = sa.select(sa.func.count()).where(VirtualKey.user_id == User.user_id).correlate(User).scalar_subquery()
    query = sa.select(User, key_count).where(*conditions)
    if sort_by == "spend":
        ever = sa.and_(Balance.meter == "user:" + User.user_id, Balance.window_start == EVER)
        query = query.outerjoin(Balance, ever)
    order = (column.desc() if descending else column.asc()).nulls_last()
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(User).where(*conditions))
        found = db.session.execute(query.order_by(order, User.user_id).limit(size).offset((page - 1) * size)).all()
        db.session.expunge_all()
        db.session.rollback()
    return [(row[0], row[1]) for row in found], total or 0


@contextmanager
def _changing(*user_ids: str, teams: Collection[str] = ()) -> Iterator[None]:
    """Around a transaction on users, and their memberships: all processes hear of it, also for all of their keys."""
    subjects = [*(f"user:{user_id}" for user_id in user_ids), *(f"team:{team_id}" for team_id in teams)]
    with callers.invalidating(subjects), rows.unique_names():
        yield


def _unknown() -> NotFound:
    return NotFound("There is no such user.", param="user_id")
