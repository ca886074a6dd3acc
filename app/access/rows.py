"""Rows from the fields of an API's body: columns set, names that are taken, rows that others refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.extensions import database_errors, db
from app.models import Budget, Team

# What null means for the columns that cannot be null.
NOTHING: dict[str, Callable[[], Any]] = {
    "models": list,
    "aliases": dict,
    "tags": list,
    "model_limits": dict,
    "rollover": bool,
    "metadata": dict,
    "strict": bool,
    "blocked": bool,
    "auto_rotate": bool,
    "allowed_routes": list,
    "key_type": lambda: "default",
    "user_role": lambda: "internal_user",
    "member_limits": dict,
}
UNIQUE_VIOLATION = "23505"
# What callers call a column, where that is something else.
PARAMS = {"token": "key", "customer_id": "user_id"}
# What the database refuses to store twice, as its error messages name it, and what the caller called it.
UNIQUE = {
    "user_email": "This user_email belongs to another user.",
    "user_id": "This user_id is taken. Change the user with /user/update.",
    "key_alias": "This key_alias is taken; each key has its own.",
    "token": "This key is taken.",
    "team_id": "This team_id is taken. Change the team with /team/update.",
    "customer_id": "This user_id is taken. Change the customer with /customer/update.",
    "budget_id": "This budget_id is taken. Change the budget with /budget/update.",
    "id": "This id stands for another credit.",
}


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a list, from 1, with how many rows, in which order. Rows without a value stand last."""

    number: int
    size: int
    sort_by: str
    descending: bool = False


def let_go(session: Session, row: Any) -> None:
    """Writes a row and takes it out of the session, complete: it can be shown after the commit, whatever happens."""
    session.flush()
    session.refresh(row)
    session.expunge(row)


def assign(row: Any, columns: Sequence[str], fields: Mapping[str, Any]) -> None:
    """Sets the columns that are among the fields; None is each column's own "nothing"."""
    for name in columns:
        if name in fields:
            value = NOTHING[name]() if fields[name] is None and name in NOTHING else fields[name]
            setattr(row, "metadata_" if name == "metadata" else name, value)
    if "model_limits_parts" in fields:
        row.model_limits = _with_parts(row.model_limits or {}, fields["model_limits_parts"])


def _with_parts(stored: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Limits by model, where each of `parts` (values by limit and model) takes the place of what models had of it."""
    models = dict.fromkeys([*stored, *(model for by_model in parts.values() for model in by_model)])
    merged = {
        model: {name: value for name, value in stored.get(model, {}).items() if name not in parts}
        | {name: by_model[model] for name, by_model in parts.items() if by_model.get(model) is not None}
        for model in models
    }
    return {model: limits for model, limits in merged.items() if limits}


@contextmanager
def unique_names() -> Iterator[None]:
    """Maps the database's word about a taken name to a Conflict that names the field; each database has its own."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", UNIQUE_VIOLATION) != UNIQUE_VIOLATION:
            raise
        text = str(error.orig)
        for column, message in UNIQUE.items():
            if f"({column})=" in text or f".{column}" in text:
                raise Conflict(message, param=PARAMS.get(column, column)) from error
        raise


def check_references(session: Session, fields: Mapping[str, Any]) -> None:
    """Raises NotFound where the fields name a team or a budget template that does not exist.

    One that does is not deleted before this transaction ends.
    """
    for name, table, route in (("team_id", Team, "/team/new"), ("budget_id", Budget, "/budget/new")):
        wanted = fields.get(name)
        if wanted is not None and not exists(session, table, wanted):
            raise NotFound(f"There is no such {name.removesuffix('_id')}. Make one with {route}.", param=name)


def locked(session: Session, table: type[Any], key: Any, unknown: NotFound) -> Any:
    """The row, which nobody else changes before this transaction ends. Raises `unknown` where there is none."""
    row = session.get(table, key, with_for_update=True)
    if row is None:
        raise unknown
    return row


def listed(table: type[Any], wanted: Sequence[sa.ColumnElement[bool]], page: Page) -> tuple[Sequence[Any], int]:
    """One page of a table's rows, and how many there are on all pages. Raises DatabaseUnavailable."""
    column = getattr(table, page.sort_by)
    order = (column.desc() if page.descending else column.asc()).nulls_last()
    query = sa.select(table).where(*wanted).order_by(order, *sa.inspect(table).primary_key)
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(table).where(*wanted))
        found = db.session.scalars(query.limit(page.size).offset((page.number - 1) * page.size)).all()
        db.session.expunge_all()
        db.session.rollback()
    return found, total or 0


def exists(session: Session, table: type[Any], key: Any) -> bool:
    """Whether there is such a row; it is not deleted before this transaction ends."""
    return session.get(table, key, with_for_update={"read": True, "key_share": True}) is not None
