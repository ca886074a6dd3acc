"""Who is calling: a token's hash to a Caller, a frozen snapshot of the key, the user and their limits."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.access import policy
from app.errors import BlockedKey, ExpiredKey, NotAuthenticated
from app.extensions import database_errors, db
from app.models import User, VirtualKey

# Snapshots are small; a process keeps those of its most recent callers.
MOST_CALLERS = 50_000
MASTER_KEY_ID = "master"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one meter as they are set: nano-dollars, a window such as "30d" counted from `since`, calls.

    `rpm` and `tpm` are requests and tokens in any 60 seconds. None: no limit.
    """

    meter: str
    max_budget: int | None
    strict: bool
    budget_duration: str | None
    since: datetime
    max_parallel: int | None
    rpm: int | None
    tpm: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A snapshot of everything a call needs to know of its caller.

    `token` is the key's hash; `expires` is in epoch seconds; `policies` are (Redis key, policy version) pairs under
    which the snapshot is current. The master key's caller has no limits.
    """

    key_id: str
    token: str
    user_id: str | None = None
    key_alias: str | None = None
    is_master: bool = False
    key_models: tuple[str, ...] = ()
    user_models: tuple[str, ...] = ()
    expires: float | None = None
    blocked: bool = False
    limits: tuple[Limits, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()

    def is_open(self) -> bool:
        """Whether the key is neither blocked nor expired."""
        return not self.blocked and (self.expires is None or time.time() < self.expires)

    def check_open(self) -> None:
        """Raises ExpiredKey or BlockedKey.

        A key that is revoked for its budget is told so by admission, with the numbers.
        """
        if self.is_open():
            return
        if self.blocked:
            raise BlockedKey("The virtual key is blocked. An admin can open it with /key/unblock.")
        raise ExpiredKey("The virtual key has expired.")


def hash_token(secret: str) -> str:
    """The only form in which a virtual key is kept: SHA-256 in hex. Keys are random, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_master(secret: str, master_key: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(secret.encode(), master_key.encode())


def subjects(key_id: str, user_id: str | None) -> list[str]:
    """Whose edits change what a key may do."""
    return [f"key:{key_id}"] if user_id is None else [f"key:{key_id}", f"user:{user_id}"]


def invalidating(changed: Iterable[str]) -> AbstractContextManager[None]:
    """Around every change of the subjects ("key:<id>", "user:<user_id>"): every process sees it on its next request."""
    return policy.editing(changed)


class Callers:
    """The snapshots that a process keeps, by token hash."""

    def __init__(self, master_key: str) -> None:
        """The master key is compared by its hash, as every key is looked up by its hash."""
        self._master = Caller(key_id=MASTER_KEY_ID, token=hash_token(master_key), is_master=True)
        self._kept: dict[str, Caller] = {}

    def find(self, secret: str, *, fresh: bool = False) -> Caller:
        """The caller of a secret; `fresh` after admission has said that the kept snapshot is stale.

        Raises NotAuthenticated, ExpiredKey, BlockedKey; LimitsUnavailable or DatabaseUnavailable where a caller who is
        not kept cannot be loaded.
        """
        token = hash_token(secret)
        if hmac.compare_digest(token, self._master.token):
            return self._master
        kept = None if fresh else self._kept.get(token)
        if kept is not None and kept.is_open():
            return kept
        # A kept snapshot never refuses: whatever closed the key may have been taken back since.
        caller = self._load(token)
        caller.check_open()
        return caller

    def _load(self, token: str) -> Caller:
        self._kept.pop(token, None)
        key_id, user_id = _ids(token)
        subject_names = subjects(key_id, user_id)
        # Versions first: a row that changes between here and the reading makes the snapshot stale, not wrong.
        versions = policy.versions(subject_names)
        pairs = tuple((policy.policy_key(name), version) for name, version in zip(subject_names, versions, strict=True))
        caller = _read(token, pairs)
        if caller.user_id == user_id and all(policy.is_settled(version) for version in versions):
            while len(self._kept) >= MOST_CALLERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[token] = caller
        return caller


def identify(secret: str) -> Caller:
    """The caller of a virtual key, straight from SQL: for routes that admission does not guard.

    Raises NotAuthenticated, ExpiredKey, BlockedKey, DatabaseUnavailable.
    """
    caller = _read(hash_token(secret), ())
    caller.check_open()
    return caller


def _unknown() -> NotAuthenticated:
    return NotAuthenticated("Invalid API key. Pass a virtual key as `Authorization: Bearer sk-...`.")


def _ids(token: str) -> tuple[str, str | None]:
    with database_errors():
        row = db.session.execute(
            sa.select(VirtualKey.id, VirtualKey.user_id).where(VirtualKey.token == token)
        ).one_or_none()
        db.session.rollback()
    if row is None:
        raise _unknown()
    return row.id, row.user_id


def _read(token: str, policies: tuple[tuple[str, str], ...]) -> Caller:
    with database_errors():
        row = db.session.execute(
            sa.select(VirtualKey, User)
            .outerjoin(User, VirtualKey.user_id == User.user_id)
            .where(VirtualKey.token == token)
        ).one_or_none()
        caller = None if row is None else _snapshot(row[0], row[1], policies)
        db.session.rollback()
    if caller is None:
        raise _unknown()
    return caller


def _snapshot(key: VirtualKey, user: User | None, policies: tuple[tuple[str, str], ...]) -> Caller:
    limits = [_limits(f"key:{key.id}", key)]
    if user is not None:
        limits.append(_limits(f"user:{user.user_id}", user))
    return Caller(
        key_id=key.id,
        token=key.token,
        user_id=key.user_id,
        key_alias=key.key_alias,
        key_models=tuple(key.models),
        user_models=tuple(user.models) if user is not None else (),
        expires=key.expires.timestamp() if key.expires is not None else None,
        blocked=key.blocked,
        limits=tuple(limits),
        policies=policies,
    )


def _limits(meter: str, row: VirtualKey | User) -> Limits:
    return Limits(
        meter=meter,
        max_budget=row.max_budget,
        strict=row.strict,
        budget_duration=row.budget_duration,
        since=row.created_at,
        max_parallel=row.max_parallel_requests,
        rpm=row.rpm_limit,
        tpm=row.tpm_limit,
    )
