"""Members of teams: added, changed and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, make_transient

from app.access import callers, keys, rows
from app.errors import AlreadyInTeam, BadRequest, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import TEMPLATED, Team, TeamMember, User, VirtualKey

COLUMNS = ("role", "models", *TEMPLATED)


@dataclass(frozen=True, slots=True)
class NewMember:
    """Somebody who is to join a team: by id, or by e-mail address; `limits` are fields of TeamMember by name."""

    user_id: str | None = None
    user_email: str | None = None
    role: str = "user"
    limits: Mapping[str, Any] = field(default_factory=dict)


def add(session: Session, team_id: str, new: NewMember) -> TeamMember:
    """Adds one member in the caller's transaction; a user_id that nobody has yet gets a user without limits.

    Raises BadRequest, NotFound (nobody has the address; budget), AlreadyInTeam.
    """
    user_id = _user_id(session, new)
    if session.get(TeamMember, (team_id, user_id)) is not None:
        raise AlreadyInTeam(f"User '{user_id}' is already a member of team '{team_id}'.", param="user_id")
    row = TeamMember(team_id=team_id, user_id=user_id, role=new.role)
    rows.check_references(session, {"budget_id": new.limits.get("budget_id")})
    rows.assign(row, COLUMNS, new.limits)
    session.add(row)
    session.flush()
    return row


def add_all(team_id: str, new: Sequence[NewMember]) -> list[TeamMember]:
    """Adds members, all of them or none. Raises NotFound (team) and what `add` raises."""
    with callers.invalidating([f"team:{team_id}"]), rows.unique_names(), write_transaction() as session:
        lock_team(session, team_id)
        added = [add(session, team_id, one) for one in new]
        for row in added:
            rows.let_go(session, row)
    return added


def change(team_id: str, user_id: str | None, email: str | None, changes: Mapping[str, Any]) -> TeamMember:
    """Changes the fields that are given; None clears one. Raises NotFound, DatabaseUnavailable, LimitsUnavailable."""
    with callers.invalidating([f"team:{team_id}"]), write_transaction() as session:
        row = _member(session, team_id, user_id, email)
        rows.check_references(session, {"budget_id": changes.get("budget_id")})
        rows.assign(row, COLUMNS, changes)
        rows.let_go(session, row)
    return row


def remove(team_id: str, user_id: str | None, email: str | None) -> TeamMember:
    """Takes a member out of a team, and deletes the member's keys of that team.

    What was spent stays in the ledger, and in the balance should the user join again.
    """
    with database_errors():
        member = _member(db.session(), team_id, user_id, email)
        of_member = sa.and_(VirtualKey.team_id == team_id, VirtualKey.user_id == member.user_id)
        ids = list(db.session.scalars(sa.select(VirtualKey.id).where(of_member)))
        db.session.rollback()
    subjects = [f"team:{team_id}", *(f"key:{key_id}" for key_id in ids)]
    with callers.invalidating(subjects), write_transaction() as session:
        row = _member(session, team_id, user_id, email)
        for key in session.scalars(sa.select(VirtualKey).where(of_member)):
            session.delete(key)
        session.delete(row)
        session.flush()
        make_transient(row)
    return row


def emails_of(user_ids: Iterable[str]) -> dict[str, str | None]:
    """E-mail addresses by user_id. Raises DatabaseUnavailable."""
    with database_errors():
        wanted = sa.select(User.user_id, User.user_email).where(User.user_id.in_(sorted(set(user_ids))))
        found = {row.user_id: row.user_email for row in db.session.execute(wanted)}
        db.session.rollback()
    return found


def of_user(user_id: str) -> Sequence[TeamMember]:
    """What teams a user is in, first joined first. Raises DatabaseUnavailable."""
    with database_errors():
        wanted = sa.select(TeamMember).where(TeamMember.user_id == user_id)
        found = db.session.scalars(wanted.order_by(TeamMember.created_at, TeamMember.team_id)).all()
        db.session.expunge_all()
        db.session.rollback()
    return found


def _member(session: Session, team_id: str, user_id: str | None, email: str | None) -> TeamMember:
    lock_team(session, team_id)
    if user_id is None:
        user_id = _id_of(session, email)
    row = session.get(TeamMember, (team_id, user_id), with_for_update=True)
    if row is None:
        raise NotFound(f"User '{user_id}' is no member of team '{team_id}'.", param="user_id")
    return row


def _user_id(session: Session, new: NewMember) -> str:
    if new.user_id is None:
        return _id_of(session, new.user_email)
    is_new = not rows.exists(session, User, new.user_id)
    keys.ensure_user(session, new.user_id)
    if new.user_email is not None:
        user = session.get_one(User, new.user_id)
        if is_new and user.user_email is None:
            user.user_email = new.user_email
        if user.user_email != new.user_email:
            raise BadRequest(f"This user_email is not that of user '{new.user_id}'.", param="user_email")
        session.flush()
    return new.user_id


def _id_of(session: Session, email: str | None) -> str:
    if email is None:
        raise BadRequest("Say who: user_id, or user_email.", param="user_id")
    user_id = session.scalar(sa.select(User.user_id).where(User.user_email == email))
    if user_id is None:
        raise NotFound(f"Nobody has the address '{email}'. Make the user with /user/new.", param="user_email")
    return user_id


def lock_team(session: Session, team_id: str) -> None:
    """Members of a team change one after the other. Raises NotFound."""
    unknown = NotFound(f"There is no team '{team_id}'. Make one with /team/new.", param="team_id")
    rows.locked(session, Team, team_id, unknown)
