"""New secrets for keys that are there: the key's id, limits and spend stay."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import durations, webhooks
from app.access import callers, keys, rows
from app.access.keys import NewKey
from app.errors import Conflict, NotFound
from app.extensions import database_errors, db, write_transaction
from app.models import FormerToken, VirtualKey, now

SECRET_BYTES = 24
KEY_ROTATED = "key.rotated"
# Where a key does not say so itself. A message is sent again for a day, and then its receiver has another.
ROTATION_GRACE = "48h"


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
    if wish.secret is not None:
        keys.check_secret(wish.secret)
    mark = None if wish.idempotency_key is None else hashlib.sha256(wish.idempotency_key.encode()).hexdigest()
    with keys.changing([found]), write_transaction() as session:
        row = keys.lock(session, found.id)
        if mark is not None and (row.regenerated_by == mark or _made_before(session, row, mark)):
            secret = _new_secret(row.id, wish, mark, row.rotation_count)
            if row.token != callers.hash_token(secret):
                raise Conflict("This key got another new secret since that request.", param="Idempotency-Key")
            rows.let_go(session, row)
            return NewKey(row, secret)
        secret = _new_secret(row.id, wish, mark, row.rotation_count + 1)
        if changes:
            keys.apply(session, row, changes)
        replace_secret(session, row, secret, wish.grace, mark)
        rows.let_go(session, row)
    return NewKey(row, secret)


def replace_secret(session: Session, row: VirtualKey, secret: str, grace: int, mark: str | None = None) -> None:
    """In the caller's transaction; the old secret works for `grace` seconds more. 0: every old one ends now.

    `mark` is that of the request which asked for it.
    """
    at = now()
    if not grace:
        for former in session.scalars(sa.select(FormerToken).where(FormerToken.key_id == row.id)):
            former.valid_until = min(former.valid_until, at)
    # Kept without grace too: whoever did not get the answer names the key by the secret that they know.
    ends = at + timedelta(seconds=grace)
    session.add(FormerToken(token=row.token, key_id=row.id, valid_until=ends, regenerated_by=row.regenerated_by))
    row.token = callers.hash_token(secret)
    row.key_name = f"sk-...{secret[-4:]}"
    row.rotation_count += 1
    row.regenerated_by = mark
    row.rotate_at = keys.next_rotation(row, at)
    session.flush()
    keys.check_not_former(session, row.token)


def due(most: int) -> Sequence[str]:
    """The ids of keys whose next secret is due, the longest due first. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.scalars(
            sa.select(VirtualKey.id).where(*_is_due()).order_by(VirtualKey.rotate_at).limit(most)
        ).all()
        db.session.rollback()
    return found


def rotate(key_id: str, master_key: str) -> bool:
    """Gives a key its scheduled new secret and has it told by a webhook; False where it is not due any more.

    The message holds no secret: `secret_to_tell` works it out when it is sent.
    Raises DatabaseUnavailable, LimitsUnavailable.
    """
    with callers.invalidating([f"key:{key_id}"]), write_transaction() as session:
        row = session.scalar(sa.select(VirtualKey).where(VirtualKey.id == key_id, *_is_due()).with_for_update())
        if row is None:
            return False
        grace = durations.seconds(row.rotation_grace or ROTATION_GRACE, now())
        replace_secret(session, row, derived(master_key, "schedule", row.id, str(row.rotation_count + 1)), grace)
        told = {
            "key_id": row.id,
            "key_alias": row.key_alias,
            "user_id": row.user_id,
            "team_id": row.team_id,
            "token": row.token,
            "rotation_count": row.rotation_count,
            "former_key_ends_at": webhooks.iso(now() + timedelta(seconds=grace)),
        }
        webhooks.enqueue(session, KEY_ROTATED, f"{KEY_ROTATED}:{row.id}:{row.rotation_count}", told)
    return True


def secret_to_tell(session: Session, message: Mapping[str, Any], master_key: str) -> str | None:
    """The secret that a message is about; None where it works no more, or the master key is another one by now."""
    key_id, count = message["key_id"], message["rotation_count"]
    secret = derived(master_key, "schedule", key_id, str(count))
    token = callers.hash_token(secret)
    present = sa.select(VirtualKey.id).where(VirtualKey.id == key_id, VirtualKey.token == token)
    former = sa.select(FormerToken.key_id).where(FormerToken.token == token, FormerToken.valid_until > now())
    return secret if session.scalar(present.union_all(former).limit(1)) is not None else None


def _is_due() -> list[sa.ColumnElement[bool]]:
    """What is blocked or has expired waits: nobody uses it."""
    at = now()
    open_still = sa.or_(VirtualKey.expires.is_(None), VirtualKey.expires > at)
    return [VirtualKey.rotate_at <= at, VirtualKey.auto_rotate.is_(True), VirtualKey.blocked.is_(False), open_still]


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


def _new_secret(key_id: str, wish: Wish, mark: str | None, count: int) -> str:
    """The key's secret number `count`: a secret that has ended never comes back, however old the request is."""
    if wish.secret is not None:
        return wish.secret
    if mark is None:
        return "sk-" + secrets.token_urlsafe(SECRET_BYTES)
    return derived(wish.master_key, "request", key_id, str(count), mark)


def _made_before(session: Session, row: VirtualKey, mark: str) -> bool:
    """Whether the request with this mark made one of the key's former secrets."""
    former = sa.select(FormerToken.token).where(FormerToken.key_id == row.id, FormerToken.regenerated_by == mark)
    return session.scalar(former.limit(1)) is not None
