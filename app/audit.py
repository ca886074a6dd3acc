"""Who changed what, when: a row for each change of an audited object, written in the transaction that makes it.

The session itself is listened to, so no code that changes rows can forget it. Only statements that change many rows at
once (`sa.update`, `sa.delete`) would pass unseen; none of ours does that to audited tables, and a test sees to it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.extensions import database_errors, db
from app.models import (
    AuditRow,
    Budget,
    Credit,
    Customer,
    StoredDeployment,
    Team,
    TeamMember,
    User,
    VirtualKey,
    now,
)

# What audited objects are called, and how one of them is named.
AUDITED: dict[type[Any], tuple[str, Callable[[Any], str]]] = {
    User: ("user", lambda row: row.user_id),
    VirtualKey: ("key", lambda row: row.id),
    Team: ("team", lambda row: row.team_id),
    TeamMember: ("team_member", lambda row: f"{row.team_id}/{row.user_id}"),
    Customer: ("customer", lambda row: row.customer_id),
    Budget: ("budget", lambda row: row.budget_id),
    Credit: ("credit", lambda row: row.id),
    StoredDeployment: ("deployment", lambda row: row.id),
}
# config.yaml is no row: whoever reads it again writes down that it was asked for, by the host that was asked.
CONFIG = "config"
KINDS = (*(kind for kind, _ in AUDITED.values()), CONFIG)
CREATED, UPDATED, DELETED = ACTIONS = ("created", "updated", "deleted")
# Columns whose values are never written down; that they changed is.
SECRET = frozenset({"token", "credentials", "regenerated_by"})
HIDDEN = "(secret)"
LONGEST_NAME = 255
# Who acts where nobody has asked with a key: a command, a call that makes a customer on first sight, the worker.
COMMAND, GATEWAY, WORKER = "cli", "gateway", "worker"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes changes: `name` is "master", a key's id, "worker", "gateway" or "cli"; `user_id` is the key's user.

    `changed_by` is whom the caller names, and proves nothing.
    """

    name: str
    user_id: str | None = None
    changed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are looked for; None: all. `anybody` is any of actor, actor_user_id and changed_by."""

    object_kind: str | None = None
    object_id: str | None = None
    action: str | None = None
    actor: str | None = None
    anybody: str | None = None
    start: datetime | None = None
    end: datetime | None = None


_actor: ContextVar[Actor] = ContextVar("actor", default=Actor(COMMAND))  # noqa: B039 - an Actor is frozen


def act_as(actor: Actor) -> None:
    """From now on changes are this actor's, in this thread; every request and every task begins by saying whose."""
    _actor.set(actor)


def listen() -> None:
    """Begins to write rows for what the sessions change; again, it changes nothing."""
    if not event.contains(db.session, "after_flush", _after_flush):
        event.listen(db.session, "after_flush", _after_flush)


def reloaded(session: Session, host: str, before: str, after: str) -> None:
    """Writes down that config.yaml is read again, with its versions before and after it."""
    row = _row(UPDATED, CONFIG, host, {"version": before}, {"version": after})
    session.connection().execute(sa.insert(AuditRow.__table__), [row])


def listed(wanted: Wanted, *, page: int, size: int, newest_first: bool = True) -> tuple[Sequence[AuditRow], int]:
    """One page of rows, and how many there are on all. Raises DatabaseUnavailable."""
    equal = {
        AuditRow.object_kind: wanted.object_kind,
        AuditRow.object_id: wanted.object_id,
        AuditRow.action: wanted.action,
        AuditRow.actor: wanted.actor,
    }
    clauses: list[sa.ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if wanted.anybody is not None:
        names = (AuditRow.actor, AuditRow.actor_user_id, AuditRow.changed_by)
        clauses.append(sa.or_(*(column == wanted.anybody for column in names)))
    if wanted.start is not None:
        clauses.append(AuditRow.at >= wanted.start)
    if wanted.end is not None:
        clauses.append(AuditRow.at < wanted.end)
    order = [column.desc() if newest_first else column for column in (AuditRow.at, AuditRow.id)]
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(AuditRow).where(*clauses))
        found = db.session.scalars(
            sa.select(AuditRow).where(*clauses).order_by(*order).limit(size).offset((page - 1) * size)
        ).all()
        db.session.expunge_all()
        db.session.rollback()
    return found, total or 0


def find(row_id: str) -> AuditRow | None:
    """One row by its id. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.get(AuditRow, row_id)
        db.session.expunge_all()
        db.session.rollback()
    return found


def _after_flush(session: Session, _context: object) -> None:
    """What was flushed is still told apart here, and the rows go into the same transaction, or savepoint."""
    rows = [_row(CREATED, *_named(row), None, _whole(row)) for row in session.new if type(row) in AUDITED]
    changed = [(row, *_changed(row)) for row in session.dirty if type(row) in AUDITED]
    rows += [_row(UPDATED, *_named(row), before, after) for row, before, after in changed if after]
    rows += [_row(DELETED, *_named(row), _whole(row), None) for row in session.deleted if type(row) in AUDITED]
    if rows:
        session.connection().execute(sa.insert(AuditRow.__table__), rows)


def _named(row: Any) -> tuple[str, str]:
    """The row's kind and id."""
    kind, identity = AUDITED[type(row)]
    return kind, identity(row)


def _row(
    action: str, kind: str, identity: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> dict[str, Any]:
    actor = _actor.get()
    return {
        # Ids rise, so rows of one moment stay in the order in which they were written.
        "id": f"aud_{time.time_ns():016x}{secrets.token_hex(4)}",
        "at": now(),
        "actor": actor.name,
        "actor_user_id": actor.user_id,
        "changed_by": actor.changed_by,
        "action": action,
        "object_kind": kind,
        "object_id": identity,
        "before": before,
        "after": after,
    }


def _whole(row: Any) -> dict[str, Any]:
    """All columns. What was never set is not loaded for this: it is null."""
    state = sa.inspect(row)
    return {_shown(name): _value(name, state.dict.get(name)) for name in state.mapper.column_attrs.keys()}  # noqa: SIM118 - not a dict


def _changed(row: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns that have another value than before; `updated_at` alone is no change."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    state = sa.inspect(row)
    for name in state.mapper.column_attrs.keys():  # noqa: SIM118 - not a dict
        history = state.attrs[name].history
        if name == "updated_at" or not history.has_changes():
            continue
        before[_shown(name)] = _value(name, history.deleted[0] if history.deleted else None)
        after[_shown(name)] = _value(name, history.added[0] if history.added else None)
    return before, after


def _shown(name: str) -> str:
    return name.removesuffix("_")


def _value(name: str, value: Any) -> Any:
    if name in SECRET:
        return None if value is None else HIDDEN
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else value
