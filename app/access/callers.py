"""Who is calling: a token's hash to a Caller, a frozen snapshot of the key, the user and their limits."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import meter_names
from app.access import path, policy
from app.access.models_allowed import ALL_TEAM_MODELS, NO_MODELS, allows
from app.access.path import Limits
from app.errors import BlockedKey, ExpiredKey, NotAuthenticated
from app.extensions import database_errors, db
from app.meter_names import KINDS
from app.models import FormerToken, Team, TeamMember, User, VirtualKey, now

# Snapshots are small; a process keeps those of its most recent callers.
MOST_CALLERS = 50_000
MASTER_KEY_ID = "master"


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """A snapshot of everything a call needs to know of its caller; each is itself alone.

    `token` is the key's hash; `expires` is in epoch seconds. A model must be allowed by each of `model_lists`, those of
    the key, the user, the team and the team's member. `limits` are those of all meters on the path but the models':
    those stand in `model_limits`, by what they were set for. `aliases` are other models by the name that is asked for.
    `policies` are (Redis key, policy version) pairs under which the snapshot is current. The master key's caller has no
    limits but the gateway's.
    """

    key_id: str
    token: str
    user_id: str | None = None
    team_id: str | None = None
    key_alias: str | None = None
    is_master: bool = False
    role: str | None = None
    key_type: str = "default"
    allowed_routes: tuple[str, ...] = ()
    model_lists: tuple[tuple[str, ...], ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    expires: float | None = None
    blocked: bool = False
    team_blocked: bool = False
    limits: tuple[Limits, ...] = ()
    model_limits: tuple[tuple[str, Limits], ...] = ()
    policies: tuple[tuple[str, str], ...] = ()

    def may_use(self, model: str, groups: frozenset[str]) -> bool:
        """Whether every list on the path allows `model`, which is in the access groups `groups`."""
        return all(allows(entries, model, groups) for entries in self.model_lists)

    def limits_for(self, model: str, groups: frozenset[str]) -> tuple[Limits, ...]:
        """The limits that count for a call of `model`, in the order of meter_names.KINDS."""
        if not self.model_limits:
            return self.limits
        of_model = [limits for entry, limits in self.model_limits if allows((entry,), model, groups)]
        return tuple(sorted([*self.limits, *of_model], key=lambda one: KINDS.index(one.meter.partition(":")[0])))

    def is_open(self) -> bool:
        """Whether neither the key nor its team is blocked, and the key has not expired."""
        closed = self.blocked or self.team_blocked
        return not closed and (self.expires is None or time.time() < self.expires)

    def check_open(self) -> None:
        """Raises ExpiredKey or BlockedKey.

        A key that is revoked for its budget is told so by admission, with the numbers.
        """
        if self.is_open():
            return
        if self.blocked:
            raise BlockedKey("The virtual key is blocked. An admin can open it with /key/unblock.")
        if self.team_blocked:
            raise BlockedKey(f"The team '{self.team_id}' is blocked. An admin can open it with /team/unblock.")
        raise ExpiredKey("The virtual key has expired.")


def hash_token(secret: str) -> str:
    """The only form in which a virtual key is kept: SHA-256 in hex. Keys are random, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_master(secret: str, master_key: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(secret.encode(), master_key.encode())


def subjects(row: VirtualKey, templates: Iterable[str | None]) -> list[str]:
    """Whose edits change what a key may do; `templates` are the budget templates of the rows behind it."""
    found = [f"key:{row.id}"]
    if row.user_id is not None:
        found.append(f"user:{row.user_id}")
    if row.team_id is not None:
        found.append(f"team:{row.team_id}")
    return found + sorted({f"budget:{budget_id}" for budget_id in templates if budget_id is not None})


def invalidating(changed: Iterable[str]) -> AbstractContextManager[None]:
    """Around every change of the subjects: every process sees it on its next request.

    "key:<id>", "user:<user_id>", "team:<team_id>" (its members too), "customer:<id>", "budget:<budget_id>".
    """
    return policy.editing(changed)


class Callers:
    """The snapshots that a process keeps, by token hash."""

    def __init__(self, master_key: str) -> None:
        """The master key is compared by its hash, as every key is looked up by its hash."""
        self._master = Caller(key_id=MASTER_KEY_ID, token=hash_token(master_key), is_master=True)
        self._kept: dict[str, Caller] = {}
        self._gateway: Limits | None = None

    def find(self, secret: str, *, fresh: bool = False) -> Caller:
        """The caller of a secret; `fresh` after admission has said that the kept snapshot is stale.

        Raises NotAuthenticated, ExpiredKey, BlockedKey; LimitsUnavailable or DatabaseUnavailable where a caller who is
        not kept cannot be loaded.
        """
        token = hash_token(secret)
        if hmac.compare_digest(token, self._master.token):
            if not self._master.limits:
                self._master = replace(self._master, limits=(self._limits_of_gateway(),))
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
        _, subject_names = _read(token)
        # Versions first: a row that changes between here and the reading makes the snapshot stale, not wrong.
        versions = policy.versions(subject_names)
        caller, again = _read(token)
        pairs = tuple((policy.policy_key(name), version) for name, version in zip(subject_names, versions, strict=True))
        caller = replace(caller, limits=(*caller.limits, self._limits_of_gateway()), policies=pairs)
        if again == subject_names and all(policy.is_settled(version) for version in versions):
            while len(self._kept) >= MOST_CALLERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[token] = caller
        return caller

    def _limits_of_gateway(self) -> Limits:
        if self._gateway is None:
            self._gateway = path.of_gateway()
        return self._gateway


def of_key(token: str) -> Caller:
    """The caller of a key by its hash, straight from SQL, with the gateway's limits. Raises NotAuthenticated."""
    caller, _ = _read(token)
    return replace(caller, limits=(*caller.limits, path.of_gateway()))


def identify(secret: str) -> Caller:
    """The caller of a virtual key, straight from SQL: for routes that admission does not guard.

    Raises NotAuthenticated, ExpiredKey, BlockedKey, DatabaseUnavailable.
    """
    caller, _ = _read(hash_token(secret))
    caller.check_open()
    return caller


def _unknown() -> NotAuthenticated:
    return NotAuthenticated("Invalid API key. Pass a virtual key as `Authorization: Bearer sk-...`.")


def _read(token: str) -> tuple[Caller, list[str]]:
    """The snapshot without its policies, and whose edits change it."""
    with database_errors():
        session = db.session()
        found = _rows(session, VirtualKey.token == token)
        valid_until = None
        if found is None:
            former = session.scalar(sa.select(FormerToken).where(FormerToken.token == token))
            if former is not None and former.valid_until > now():
                valid_until = former.valid_until.timestamp()
                found = _rows(session, VirtualKey.id == former.key_id)
        if found is None:
            session.rollback()
            raise _unknown()
        key, user, team, member = found
        caller = _snapshot(session, key, user, team, member)
        names = subjects(key, [row.budget_id for row in (key, user, team, member) if row is not None])
        session.expunge_all()
        session.rollback()
    if valid_until is not None:
        ends = valid_until if caller.expires is None else min(valid_until, caller.expires)
        caller = replace(caller, expires=ends)
    return caller, names


def _rows(
    session: Session, wanted: sa.ColumnElement[bool]
) -> tuple[VirtualKey, User | None, Team | None, TeamMember | None] | None:
    of_member = sa.and_(VirtualKey.team_id == TeamMember.team_id, VirtualKey.user_id == TeamMember.user_id)
    row = session.execute(
        sa.select(VirtualKey, User, Team, TeamMember)
        .outerjoin(User, VirtualKey.user_id == User.user_id)
        .outerjoin(Team, VirtualKey.team_id == Team.team_id)
        .outerjoin(TeamMember, of_member)
        .where(wanted)
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3])


def _snapshot(
    session: Session, key: VirtualKey, user: User | None, team: Team | None, member: TeamMember | None
) -> Caller:
    rows = [row for row in (key, user, member, team) if row is not None]
    found = path.limits_of(session, rows, models=True)
    limits = [found[path.meter_of(row)] for row in rows]
    if team is not None and user is not None and member is None:
        # A team's key of somebody who is no member: what members have counts for them as well.
        name = meter_names.name("team_member", team.team_id, user.user_id)
        limits.insert(-1, path.limits_by_meter(session, [name])[name])
    of_models = [pair for row in (key, user) if row is not None for pair in path.of_models(row)]
    return Caller(
        key_id=key.id,
        token=key.token,
        user_id=key.user_id,
        team_id=key.team_id,
        key_alias=key.key_alias,
        role=None if user is None else user.user_role,
        key_type=key.key_type,
        allowed_routes=tuple(key.allowed_routes),
        model_lists=tuple(entries for row in (*rows,) if (entries := _models(row, team))),
        aliases=dict(key.aliases),
        tags=tuple(key.tags),
        expires=key.expires.timestamp() if key.expires is not None else None,
        blocked=key.blocked,
        team_blocked=team is not None and team.blocked,
        limits=tuple(limits),
        model_limits=tuple((model, found[one.meter]) for model, one in of_models),
    )


def _models(row: VirtualKey | User | Team | TeamMember, team: Team | None) -> tuple[str, ...]:
    """A list of models as a call is checked by it; a key with "all-team-models" leaves it to its team."""
    if isinstance(row, VirtualKey) and ALL_TEAM_MODELS in row.models:
        return () if team is not None else (NO_MODELS,)
    return tuple(row.models)
