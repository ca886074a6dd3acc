"""Virtual keys: made, changed, blocked, deleted and found."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import durations, queue, webhooks
from app.access import callers, rows
from app.errors import BadRequest, Conflict, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import TEMPLATED, FormerToken, User, VirtualKey, now

CUSTOM_KEY = re.compile(r"sk-[!-~]{13,197}")
HASH = re.compile(r"[0-9a-f]{64}")
COLUMNS = (
    *("key_alias", "user_id", "team_id", "models", "aliases", "tags", "model_limits", "metadata", "blocked"),
    *("allowed_routes", "key_type", "auto_rotate", "rotation_interval", "rotation_grace"),
    *TEMPLATED,
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only time that its secret is known."""

    row: VirtualKey
    secret: str = field(repr=False)


def generate(fields: Mapping[str, Any], created_by: str | None = None, *, service_account: bool = False) -> NewKey:
    """Makes a key from the fields of /key/generate; a `user_id` that nobody has yet gets a user without limits.

    `created_by` is who asked for it. A `service_account` belongs to a team and to no user.

    Raises BadRequest (custom key), Conflict (alias or key taken), DatabaseUnavailable, LimitsUnavailable.
    """
    new = draft(fields, fields.get("user_id"))
    new.row.created_by, new.row.service_account = created_by, service_account
    with changing([new.row]), write_transaction() as session:
        rows.check_references(session, fields)
        if new.row.user_id is not None:
            ensure_user(session, new.row.user_id)
        session.add(new.row)
        check_not_former(session, new.row.token)
        rows.let_go(session, new.row)
    look_again(new.row.user_id)
    return new


def draft(fields: Mapping[str, Any], user_id: str | None) -> NewKey:
    """A key that is not stored yet. Raises BadRequest for a custom key that is no key."""
    secret = fields.get("key") or "sk-" + secrets.token_urlsafe(24)
    check_secret(secret)
    row = VirtualKey(
        id="key_" + secrets.token_hex(12),
        token=callers.hash_token(secret),
        key_name=f"sk-...{secret[-4:]}",
        created_at=now(),
    )
    rows.assign(row, COLUMNS, fields)
    row.user_id = user_id
    row.expires = _expiry(fields.get("duration"), row.created_at)
    _check_rotation(row)
    row.rotate_at = next_rotation(row, row.created_at)
    return NewKey(row, secret)


def find(reference: str | None = None, *, alias: str | None = None) -> VirtualKey:
    """A key by the key itself, its hash, or its alias. Raises NotFound, DatabaseUnavailable."""
    wanted = VirtualKey.token == token_of(reference) if reference is not None else VirtualKey.key_alias == alias
    found = _read(sa.select(VirtualKey).where(wanted))
    if not found:
        raise _unknown()
    return found[0]


def change(found: VirtualKey, changes: Mapping[str, Any]) -> VirtualKey:
    """Changes the fields that are given; None clears one. `duration` counts from now.

    A key that moves to another user leaves behind what the old user's budget did to it.
    Raises NotFound, Conflict, DatabaseUnavailable, LimitsUnavailable.
    """
    with changing([found]), write_transaction() as session:
        row = lock(session, found.id)
        apply(session, row, changes)
        rows.let_go(session, row)
    if row.user_id != found.user_id:
        look_again(row.user_id)
    return row


def lock(session: Session, key_id: str) -> VirtualKey:
    """The key, which nobody else changes before this transaction ends. Raises NotFound."""
    row = session.get(VirtualKey, key_id, with_for_update=True)
    if row is None:
        raise _unknown()
    return row


def apply(session: Session, row: VirtualKey, changes: Mapping[str, Any]) -> None:
    """Changes the fields of a key that are given, in the caller's transaction. Raises NotFound."""
    if "user_id" in changes and changes["user_id"] != row.user_id:
        _check_user(session, changes["user_id"])
        row.revoked_reason = row.revoked_at = row.revoked_until = None
    rows.check_references(session, changes)
    before = row.auto_rotate, row.rotation_interval
    rows.assign(row, COLUMNS, changes)
    if (row.auto_rotate, row.rotation_interval) != before:
        _check_rotation(row)
        row.rotate_at = next_rotation(row, now())
    if "duration" in changes:
        row.expires = _expiry(changes["duration"], now())


def next_rotation(row: VirtualKey, at: datetime) -> datetime | None:
    """When a key that has a new secret since `at` gets the next one; None: not by itself."""
    return _expiry(row.rotation_interval, at) if row.auto_rotate else None


def _check_rotation(row: VirtualKey) -> None:
    """Raises BadRequest where scheduled secrets would reach nobody, or never come."""
    if not row.auto_rotate:
        return
    if row.rotation_interval is None:
        raise BadRequest("Say how often the key gets a new secret: rotation_interval.", param="rotation_interval")
    if not webhooks.wanted():
        raise BadRequest(
            "Nobody would get the new secrets: they are told by webhooks, and general_settings.webhook_url is not set.",
            param="auto_rotate",
        )


def check_secret(secret: str) -> None:
    """Raises BadRequest where a text cannot be a key."""
    if not CUSTOM_KEY.fullmatch(secret):
        raise BadRequest(
            "A key of your own starts with sk- and has 16 to 200 characters, none of them a space.", param="key"
        )


def check_not_former(session: Session, token: str) -> None:
    """Raises Conflict where a key had this secret before: it may still work for that one."""
    if session.get(FormerToken, token) is not None:
        raise Conflict("This key is taken.", param="key")


def delete(found: Sequence[VirtualKey]) -> None:
    """Deletes all of them or none. Raises NotFound where one is gone, DatabaseUnavailable, LimitsUnavailable."""
    ids = {row.id for row in found}
    with changing(found), write_transaction() as session:
        for key_id in sorted(ids):
            session.delete(lock(session, key_id))


def of_user(user_id: str) -> Sequence[VirtualKey]:
    """All keys of a user, oldest first."""
    return _read(
        sa.select(VirtualKey).where(VirtualKey.user_id == user_id).order_by(VirtualKey.created_at, VirtualKey.id)
    )


def token_of(reference: str) -> str:
    """The hash of a key that is given as itself or as its hash already."""
    return reference if HASH.fullmatch(reference) else callers.hash_token(reference)


@contextmanager
def changing(changed: Iterable[VirtualKey]) -> Iterator[None]:
    """Around a transaction on keys: all processes hear of it, and a name that is taken is a Conflict."""
    with callers.invalidating([f"key:{row.id}" for row in changed]), rows.unique_names():
        yield


def look_again(user_id: str | None) -> None:
    """Has the worker compare the user's budget with the spend, now that something about it has changed."""
    if user_id is not None:
        queue.check_budget(user_id)


def _expiry(duration: str | None, start: datetime) -> datetime | None:
    return None if duration is None else start + timedelta(seconds=durations.seconds(duration, start))


def ensure_user(session: Session, user_id: str) -> None:
    """Somebody else may make the same user in this very moment; then theirs is taken."""
    if rows.exists(session, User, user_id):
        return
    try:
        with session.begin_nested():
            session.add(User(user_id=user_id))
    except IntegrityError:
        session.expire_all()


def _check_user(session: Session, user_id: str | None) -> None:
    if user_id is not None and not rows.exists(session, User, user_id):
        raise NotFound("There is no such user. Make one with /user/new.", param="user_id")


def _read(query: sa.Select[VirtualKey]) -> Sequence[VirtualKey]:
    """Rows that are read and let go of: what shows them may use the session for something else."""
    with database_errors():
        found = db.session.scalars(query).all()
        db.session.expunge_all()
        db.session.rollback()
    return found


def _unknown() -> NotFound:
    return NotFound("There is no such key.", param="key")
