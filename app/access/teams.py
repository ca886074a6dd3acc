"""Teams: made, changed, blocked, deleted and found."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import make_transient

from app.access import callers, members, rows
from app.access.members import NewMember
from app.access.rows import Page
from app.errors import BadRequest, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import TEMPLATED, Team, TeamMember, VirtualKey

COLUMNS = ("team_alias", "models", "blocked", "member_limits", "metadata", *TEMPLATED)


def create(fields: Mapping[str, Any], wanted: Sequence[NewMember]) -> Team:
    """Makes a team with its first members, in one transaction.

    Raises BadRequest, Conflict, NotFound (budget, user), DatabaseUnavailable, LimitsUnavailable.
    """
    row = Team(team_id=fields.get("team_id") or str(uuid.uuid4()))
    if "/" in row.team_id or "%" in row.team_id:
        raise BadRequest(
            'A team_id has no "/" and no "%" in it: meters of members are named team_id/user_id.', param="team_id"
        )
    rows.assign(row, COLUMNS, fields)
    with _changing(row.team_id), write_transaction() as session:
        rows.check_references(session, {"budget_id": fields.get("budget_id")})
        session.add(row)
        session.flush()
        for one in wanted:
            members.add(session, row.team_id, one)
        rows.let_go(session, row)
    return row


def change(team_id: str, changes: Mapping[str, Any]) -> Team:
    """Changes the fields that are given; None clears one. Raises NotFound and what `create` raises."""
    return change_with(team_id, lambda _: changes)


def change_with(team_id: str, changes: Callable[[Team], Mapping[str, Any]]) -> Team:
    """As `change`; what is changed may depend on the row as it stands in the transaction."""
    with _changing(team_id), write_transaction() as session:
        row = session.get(Team, team_id, with_for_update=True)
        if row is None:
            raise unknown(team_id)
        fields = changes(row)
        rows.check_references(session, {"budget_id": fields.get("budget_id")})
        rows.assign(row, COLUMNS, fields)
        rows.let_go(session, row)
    return row


def delete(team_ids: Collection[str]) -> list[Team]:
    """Deletes teams with their members' rows and all their keys, all of them or none.

    What they spent stays in the ledger. Raises NotFound, DatabaseUnavailable, LimitsUnavailable.
    """
    wanted = sorted(set(team_ids))
    keys = _read(sa.select(VirtualKey).where(VirtualKey.team_id.in_(wanted)))
    with _changing(*wanted, keys=[key.id for key in keys]), write_transaction() as session:
        gone = []
        for team_id in wanted:
            row = session.get(Team, team_id, with_for_update=True)
            if row is None:
                raise unknown(team_id)
            for part in (VirtualKey, TeamMember):
                for one in session.scalars(sa.select(part).where(part.team_id == team_id)):
                    session.delete(one)
            session.flush()
            session.delete(row)
            gone.append(row)
        session.flush()
        for row in gone:
            make_transient(row)
    return gone


def find(team_id: str) -> Team:
    """A team by id. Raises NotFound, DatabaseUnavailable."""
    found: Sequence[Team] = _read(sa.select(Team).where(Team.team_id == team_id))
    if not found:
        raise unknown(team_id)
    return found[0]


def keys_of(team_id: str) -> Sequence[VirtualKey]:
    """All keys of a team, oldest first."""
    wanted = sa.select(VirtualKey).where(VirtualKey.team_id == team_id)
    found: Sequence[VirtualKey] = _read(wanted.order_by(VirtualKey.created_at, VirtualKey.id))
    return found


def listed(
    page: Page,
    *,
    user_id: str | None = None,
    alias: str | None = None,
    team_id: str | None = None,
    search: str | None = None,
) -> tuple[Sequence[Team], int]:
    """One page of teams and how many there are.

    `user_id`: only this member's; `alias`: any part of it; `search`: any part of id or alias. Raises
    DatabaseUnavailable.
    """
    wanted: list[sa.ColumnElement[bool]] = []
    if user_id is not None:
        wanted.append(Team.team_id.in_(sa.select(TeamMember.team_id).where(TeamMember.user_id == user_id)))
    if alias is not None:
        wanted.append(Team.team_alias.icontains(alias, autoescape=True))
    if team_id is not None:
        wanted.append(Team.team_id == team_id)
    if search is not None:
        columns = (Team.team_id, Team.team_alias)
        wanted.append(sa.or_(*(column.icontains(search, autoescape=True) for column in columns)))
    return rows.listed(Team, wanted, page)


def members_of(team_ids: Iterable[str]) -> Sequence[TeamMember]:
    """The members of teams, in the order in which they came."""
    wanted = sa.select(TeamMember).where(TeamMember.team_id.in_(list(team_ids)))
    found: Sequence[TeamMember] = _read(wanted.order_by(TeamMember.created_at, TeamMember.user_id))
    return found


def teams_of(user_ids: Iterable[str]) -> dict[str, list[str]]:
    """The ids of the teams that users are members of, by user."""
    with database_errors():
        found = db.session.execute(
            sa.select(TeamMember.user_id, TeamMember.team_id)
            .where(TeamMember.user_id.in_(list(user_ids)))
            .order_by(TeamMember.created_at, TeamMember.team_id)
        ).all()
        db.session.rollback()
    by_user: dict[str, list[str]] = {}
    for user_id, team_id in found:
        by_user.setdefault(user_id, []).append(team_id)
    return by_user


@contextmanager
def _changing(*team_ids: str, keys: Iterable[str] = ()) -> Iterator[None]:
    """Around a transaction on teams: all processes hear of it, also for all members and keys."""
    subjects = [f"team:{team_id}" for team_id in team_ids] + [f"key:{key_id}" for key_id in keys]
    with callers.invalidating(subjects), rows.unique_names():
        yield


def _read(query: Any) -> Sequence[Any]:
    with database_errors():
        found: Sequence[Any] = db.session.scalars(query).all()
        db.session.expunge_all()
        db.session.rollback()
    return found


def unknown(team_id: str) -> NotFound:
    """There is no such team."""
    return NotFound(f"There is no team '{team_id}'. Make one with /team/new.", param="team_id")
