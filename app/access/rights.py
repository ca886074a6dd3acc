"""What callers of the admin routes may do: the roles of users, and that a grant never is more than its grantor has.

A key's limits count for that key alone, so a key that has limits of its own makes no others: with ten children it would
spend ten budgets. A user's, team's and member's limits count over all their keys, new ones included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app import durations
from app.access import routes_allowed
from app.access.callers import Caller
from app.access.models_allowed import ALL_MODELS, ALL_TEAM_MODELS, NO_MODELS, allows
from app.errors import NotAllowed
from app.extensions import database_errors, db
from app.models import LIMIT_NAMES, TeamMember, User, VirtualKey, now

ADMIN, ADMIN_VIEWER = "proxy_admin", "proxy_admin_viewer"
USER, USER_VIEWER = "internal_user", "internal_user_viewer"
ROLES = {
    ADMIN: "Administrates everything, with their own keys.",
    ADMIN_VIEWER: "Reads everything and changes nothing.",
    USER: "Makes, changes and deletes own keys; reads what is their own.",
    USER_VIEWER: "Reads what is their own.",
}
ADMIN_ROLES = frozenset({ADMIN, ADMIN_VIEWER})
VIEWERS = frozenset({ADMIN_VIEWER, USER_VIEWER})


@dataclass(frozen=True, slots=True)
class Rights:
    """Somebody with a virtual key who is no admin: the calling key, its user's teams with the roles in them."""

    caller: Caller
    key: VirtualKey
    teams: Mapping[str, str]

    def check_manages(self, row: VirtualKey) -> None:
        """Raises NotAllowed unless the key is the caller's own, or one of a team whose admin the caller is."""
        self._check_is_somebody()
        own = row.user_id == self.caller.user_id
        if not own and (row.team_id is None or self.teams.get(row.team_id) != "admin"):
            raise NotAllowed("This is not your key.", param="key")
        if self.key.team_id is not None and row.team_id != self.key.team_id:
            raise NotAllowed(f"A key of team '{self.key.team_id}' can only manage keys of that team.", param="key")

    def check_sees(self, row: VirtualKey) -> None:
        """Raises NotAllowed unless the key is the calling one, its user's, or a team's whose admin the caller is."""
        own = row.id == self.key.id or (row.user_id is not None and row.user_id == self.caller.user_id)
        if not own and (row.team_id is None or self.teams.get(row.team_id) != "admin"):
            raise NotAllowed("A virtual key can only read its own info.", param="key")

    def check_in_team(self, team_id: str, *, as_admin: bool = False) -> None:
        """Raises NotAllowed unless the caller is a member of the team, `as_admin`: one with the role admin."""
        if self.teams.get(team_id) not in (("admin",) if as_admin else ("admin", "user")):
            raise NotAllowed(f"You are no {'admin' if as_admin else 'member'} of team '{team_id}'.", param="team_id")

    def check_grant(self, row: VirtualKey | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields for a new key (`row` None) or for a change of one, with the caller's user and team filled in.

        Raises NotAllowed, naming the field, where they would give more than the caller has.
        """
        self._check_is_somebody()
        granted = dict(fields)
        if row is None:
            granted.setdefault("team_id", self.key.team_id)
            granted["user_id"] = granted.get("user_id") or self.caller.user_id
        self._check_whose(row, granted)
        self._check_limits(row, granted)
        self._check_models(row, granted)
        self._check_routes(row, granted)
        self._check_end(row, granted)
        if granted.get("blocked") is False:
            raise NotAllowed("Only an admin opens what was blocked.", param="blocked")
        return granted

    def _check_is_somebody(self) -> None:
        if self.caller.user_id is None:
            raise NotAllowed("This key belongs to no user, so it manages no keys.")
        if self.caller.role in VIEWERS:
            raise NotAllowed(f"The role {self.caller.role} changes nothing.")

    def _check_whose(self, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
        team_id = granted.get("team_id", None if row is None else row.team_id)
        user_id = granted.get("user_id", None if row is None else row.user_id)
        if team_id is not None and team_id not in self.teams:
            raise NotAllowed(f"You are no member of team '{team_id}'.", param="team_id")
        if self.key.team_id is not None and team_id != self.key.team_id:
            raise NotAllowed(f"A key of team '{self.key.team_id}' only makes keys of that team.", param="team_id")
        if user_id != self.caller.user_id and (team_id is None or self.teams[team_id] != "admin"):
            raise NotAllowed("You can only make keys of your own.", param="user_id")
        if user_id != self.caller.user_id and not (user_id is None or is_member(team_id, user_id)):
            raise NotAllowed(f"User '{user_id}' is no member of team '{team_id}'.", param="user_id")

    def _check_limits(self, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
        own = self.key
        limited = own.budget_id is not None or bool(own.model_limits)
        # By identity: a limit of 0 equals False, and is the tightest there is.
        unset = [value is None or value is False for value in (getattr(own, name) for name in LIMIT_NAMES)]
        limited = limited or not all(unset)
        if not limited:
            return
        if row is None:
            raise NotAllowed("This key has limits of its own, so it makes no keys that would count beside them.")
        touched = {*LIMIT_NAMES, "budget_id", "model_limits", "model_limits_parts", "temp_budget_increase"} & set(
            granted
        )
        if touched:
            raise NotAllowed("This key has limits of its own, so it changes no limits.", param=min(touched))

    def _check_models(self, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
        """Each entry of the new list must lie in each list of the caller's; an empty one allows all that those do."""
        if row is not None and "models" not in granted:
            return
        wanted = granted.get("models") or []
        if not covers(self.key.models, wanted):
            raise NotAllowed("The models must be among those that this key may use.", param="models")

    def _check_routes(self, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
        check_routes(self.key, row, granted)

    def _check_end(self, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
        if self.key.expires is None or (row is not None and "duration" not in granted):
            return
        duration = granted.get("duration")
        if duration is None or now() + timedelta(seconds=durations.seconds(duration, now())) > self.key.expires:
            raise NotAllowed("A key cannot outlive the one that makes it.", param="duration")


def check_admins_grant(
    caller: Caller | None, role: str | None, row: VirtualKey | None, fields: Mapping[str, Any]
) -> None:
    """An admin's key that may not use all routes gives nobody's key of an admin more than it has (None: master key).

    `role` is that of the user whose key is made or changed, or of a user who gets it (`row` None, no fields).
    Raises NotAllowed, DatabaseUnavailable.
    """
    if caller is None or role not in ADMIN_ROLES:
        return
    if caller.key_type != "default" or caller.allowed_routes:
        check_routes(of(caller).key, row, fields)


def role_of(user_id: str | None) -> str | None:
    """A user's role; None: there is no such user. Raises DatabaseUnavailable."""
    if user_id is None:
        return None
    with database_errors():
        role = db.session.scalar(sa.select(User.user_role).where(User.user_id == user_id))
        db.session.rollback()
    return role


def of(caller: Caller) -> Rights:
    """The rights of a caller who is no admin. Raises DatabaseUnavailable."""
    with database_errors():
        key = db.session.get(VirtualKey, caller.key_id)
        found = db.session.execute(
            sa.select(TeamMember.team_id, TeamMember.role).where(TeamMember.user_id == caller.user_id)
        ).all()
        db.session.expunge_all()
        db.session.rollback()
    if key is None:
        raise NotAllowed("This key was deleted in this moment.")
    return Rights(caller, key, {row.team_id: row.role for row in found})


def is_member(team_id: str, user_id: str) -> bool:
    """Whether a user is in a team. Raises DatabaseUnavailable."""
    with database_errors():
        found = db.session.get(TeamMember, (team_id, user_id))
        db.session.rollback()
    return found is not None


def check_routes(own: VirtualKey, row: VirtualKey | None, granted: Mapping[str, Any]) -> None:
    """Raises NotAllowed where a key would get routes that the one that makes or changes it does not have."""
    new_type = granted.get("key_type", None if row is None else row.key_type) or "default"
    entries = granted.get("allowed_routes", [] if row is None else row.allowed_routes) or []
    if own.key_type not in ("default", new_type) and not (own.key_type == "management" and new_type == "read_only"):
        raise NotAllowed(f"A key of the type {own.key_type} only makes keys of that type.", param="key_type")
    if own.allowed_routes and not entries:
        raise NotAllowed("The routes must be among those that this key may use.", param="allowed_routes")
    for entry in entries:
        if own.allowed_routes and not routes_allowed.covers(own.allowed_routes, entry):
            raise NotAllowed(f"This key may not use {entry} itself.", param="allowed_routes")


def covers(own: Sequence[str], wanted: Iterable[str]) -> bool:
    """Whether a list of models allows nothing that `own` does not; an empty list allows all."""
    wanted = list(wanted)
    if not own or ALL_MODELS in own:
        return True
    if not wanted:
        return False
    return all(entry == NO_MODELS or entry in own or _within(own, entry) for entry in wanted)


def _within(own: Sequence[str], entry: str) -> bool:
    """A name, group or narrower wildcard that lies in a wildcard of `own`. Words that stand for lists never do."""
    if entry in {ALL_MODELS, ALL_TEAM_MODELS}:
        return False
    # Any text that a narrower wildcard fits also fits the wider one in which the narrower one's own text lies.
    return allows([one for one in own if "*" in one] or [NO_MODELS], entry, frozenset())
