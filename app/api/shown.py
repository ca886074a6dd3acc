"""Users and keys as the admin API shows them: their rows, with what has been spent in the budget's present window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import path, teams
from app.access.path import Limits
from app.extensions import database_errors, db
from app.ledger import balances
from app.models import Customer, TeamMember, TemplatedColumns, User, VirtualKey, now

EVER = 0
# Databases take only so many values in one query.
METERS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Nano-dollars spent in the present window and ever, and when the window ends (None: it does not).

    `effective_budget` is what may be spent in the present window, with template, raises, credit and what rolled over.
    """

    spend: int
    total_spend: int
    effective_budget: int | None
    budget_reset_at: datetime | None


def row(one: TemplatedColumns, **more: Any) -> dict[str, Any]:
    """A user's, team's, member's or customer's row with its standing, as ShownLimitsSchema dumps it."""
    return rows([one])[0] | more


def rows(many: Sequence[TemplatedColumns]) -> list[dict[str, Any]]:
    """As `row`, for many."""
    shown = zip(many, standings(many), strict=True)
    return [_columns(row) | asdict(standing) for row, standing in shown]


def user(one: User, **more: Any) -> dict[str, Any]:
    """As `row`, with the ids of the teams that the user is in, as UserSchema dumps it."""
    return users([one])[0] | more


def users(many: Sequence[User]) -> list[dict[str, Any]]:
    """As `user`, for many."""
    teams_of = teams.teams_of(user.user_id for user in many)
    return [row | {"teams": teams_of.get(row["user_id"], [])} for row in rows(many)]


def memberships(many: Sequence[TeamMember]) -> list[dict[str, Any]]:
    """As `rows`, as MembershipSchema dumps them."""
    return [row | {"max_budget_in_team": row["max_budget"]} for row in rows(many)]


def customers(many: Sequence[Customer]) -> list[dict[str, Any]]:
    """As `rows`, with what limits and template come to, in an object as LiteLLM has it."""
    with database_errors():
        limits = path.limits_of(db.session(), many)
        db.session.rollback()
    shown = zip(rows(many), (limits[path.meter_of(customer)] for customer in many), strict=True)
    return [row | {"litellm_budget_table": _budget_table(row, one)} for row, one in shown]


def _budget_table(row: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    return {
        "budget_id": row["budget_id"],
        "max_budget": limits.max_budget,
        "soft_budget": limits.soft_budget,
        "max_parallel_requests": limits.max_parallel,
        "rpm_limit": limits.rpm,
        "tpm_limit": limits.tpm,
        "budget_duration": None if limits.schedule is None else limits.schedule.duration,
        "budget_reset_at": row["budget_reset_at"],
    }


def key(row: VirtualKey, **more: Any) -> dict[str, Any]:
    """A key's row with its standing, as KeySchema dumps it."""
    return keys([row])[0] | more


def keys(rows: Sequence[VirtualKey]) -> list[dict[str, Any]]:
    """As `key`, for many."""
    at = now()
    shown = zip(rows, standings(rows), strict=True)
    return [_columns(row) | asdict(standing) | _status(row, at) for row, standing in shown]


def has_room(session: Session, row: User) -> bool:
    """Whether the user's spend is below the budget, by what stands in the transaction."""
    (limits,) = path.limits_of(session, [row]).values()
    windows = [(limits.meter, start) for start in limits.starts(now().timestamp())]
    spends = balances.read(session, windows)
    budget = limits.spendable(now().timestamp(), {window[1]: spends[window].spend for window in windows})
    return budget is None or spends[windows[0]].spend < budget


def standings(rows: Sequence[TemplatedColumns]) -> list[Standing]:
    """The standing of each row, by the balances that admission starts from. Raises DatabaseUnavailable."""
    at = now().timestamp()
    with database_errors():
        limits = path.limits_of(db.session(), rows)
    wanted = {(meter, start) for meter, one in limits.items() for start in (EVER, *one.starts(at))}
    ordered = sorted(wanted)
    spend: dict[tuple[str, int], int] = {}
    for first in range(0, len(ordered), METERS_PER_QUERY):
        spend |= balances.spend(ordered[first : first + METERS_PER_QUERY])
    return [_standing(limits[path.meter_of(row)], spend, at) for row in rows]


def _standing(limits: Limits, spend: Mapping[tuple[str, int], int], at: float) -> Standing:
    starts = limits.starts(at)
    window = limits.window(at)
    return Standing(
        spend=spend[limits.meter, starts[0]],
        total_spend=spend[limits.meter, EVER],
        effective_budget=limits.spendable(at, {start: spend[limits.meter, start] for start in starts}),
        budget_reset_at=None if window is None else datetime.fromtimestamp(window.end, UTC),
    )


def _columns(row: TemplatedColumns) -> dict[str, Any]:
    """Columns by attribute name; a key's `id` is shown as key_id."""
    columns = {name: getattr(row, name) for name in sa.inspect(type(row)).column_attrs.keys()}  # noqa: SIM118 - not a dict
    if "metadata_" in columns:
        columns["metadata"] = columns.pop("metadata_")
    if isinstance(row, VirtualKey):
        columns["key_id"] = columns.pop("id")
    return columns


def _status(row: VirtualKey, at: datetime) -> dict[str, Any]:
    """A revocation ends by itself with the budget's window, so it is shown only until then."""
    revoked = row.revoked_reason is not None and (row.revoked_until is None or at < row.revoked_until)
    if row.blocked:
        status = "blocked"
    elif row.expires is not None and row.expires <= at:
        status = "expired"
    else:
        status = "revoked" if revoked else "active"
    return {"status": status, "revoked_reason": row.revoked_reason if revoked else None}
