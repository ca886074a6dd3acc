"""New secrets for keys that are there: the key's id, limits and spend stay."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import callers, keys, rows
from app.access.keys import NewKey
from app.errors import Conflict, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import FormerToken, VirtualKey, now

SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class Wish:
    """How a key gets its new secret.

    The old one works for `grace` seconds more. With an `idempotency_key` the new secret is derived from it and from
    `master_key`, so that the same wish sent twice is answered alike, although no secret is ever stored. `secret` is the
    caller's own choice (None: a random one).
    """

    grace: int = 0
    idempotency_key: str | None = None
    secret: str | None = None
    master_key: str = ""


def regenerate(found: VirtualKey, wish: Wish, changes: Mapping[str, Any]) -> NewKey:
    """Gives a key a new secret, and changes the fields that are given in the same transaction.

    Raises Conflict (secret taken; idempotency key used before the key's last new secret), NotFound, BadRequest,
    DatabaseUnavailable, LimitsUnavailable.
    """
    secret, mark = _new_secret(found.id, wish)
    keys.check_secret(secret)
    with keys.changing([found]), write_transaction() as session:
        row = keys.lock(session, found.id)
        if mark is not None and row.regenerated_by == mark:
            if row.token != callers.hash_token(secret):
                raise Conflict("This key got another new secret since that request.", param="Idempotency-Key")
            rows.let_go(session, row)
            return NewKey(row, secret)
        if changes:
            keys.apply(session, row, changes)
        replace_secret(session, row, secret, wish.grace)
        row.regenerated_by = mark
        rows.let_go(session, row)
    return NewKey(row, secret)


def replace_secret(session: Session, row: VirtualKey, secret: str, grace: int) -> None:
    """In the caller's transaction; the old secret works for `grace` seconds more. 0: every old one ends now."""
    at = now()
    if not grace:
        for former in session.scalars(sa.select(FormerToken).where(FormerToken.key_id == row.id)):
            former.valid_until = min(former.valid_until, at)
    # Kept without grace too: whoever did not get the answer names the key by the secret that they know.
    session.add(FormerToken(token=row.token, key_id=row.id, valid_until=at + timedelta(seconds=grace)))
    row.token = callers.hash_token(secret)
    row.key_name = f"sk-...{secret[-4:]}"
    row.rotation_count += 1
    session.flush()
    keys.check_not_former(session, row.token)


def find(reference: str) -> VirtualKey:
    """A key by itself, its hash, or a secret that it had before. Raises NotFound, DatabaseUnavailable."""
    try:
        return keys.find(reference)
    except NotFound:
        with database_errors():
            key_id = db.session.scalar(
                sa.select(FormerToken.key_id).where(FormerToken.token == keys.token_of(reference))
            )
            row = None if key_id is None else db.session.get(VirtualKey, key_id)
            db.session.expunge_all()
            db.session.rollback()
        if row is None:
            raise
        return row


def derived(master_key: str, *parts: str) -> str:
    """A secret that only who has the master key can work out again, and nobody has to store."""
    digest = hmac.digest(master_key.encode(), "\n".join(("tollgate-key", *parts)).encode(), "sha256")
    return "sk-" + base64.urlsafe_b64encode(digest[:SECRET_BYTES]).decode()


def _new_secret(key_id: str, wish: Wish) -> tuple[str, str | None]:
    """The secret, and the mark by which a repetition of the wish is known (None: it is not)."""
    random = "sk-" + secrets.token_urlsafe(SECRET_BYTES)
    if wish.idempotency_key is None:
        return wish.secret or random, None
    mark = hashlib.sha256(wish.idempotency_key.encode()).hexdigest()
    return wish.secret or derived(wish.master_key, key_id, mark), mark
