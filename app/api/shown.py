"""Users and keys as the admin API shows them: their rows, with what has been spent in the budget's present window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app import durations
from app.ledger import balances
from app.models import User, VirtualKey, now

EVER = 0
# Databases take only so many values in one query.
METERS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Nano-dollars spent in the present window and ever, and when the window ends (None: it does not)."""

    spend: int
    total_spend: int
    budget_reset_at: datetime | None


def user(row: User, **more: Any) -> dict[str, Any]:
    """A user's row with its standing, as UserSchema dumps it."""
    return users([row])[0] | more


def users(rows: Sequence[User]) -> list[dict[str, Any]]:
    """As `user`, for many."""
    shown = zip(rows, standings(rows), strict=True)
    return [_columns(row) | asdict(standing) for row, standing in shown]


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
    if row.max_budget is None:
        return True
    meter = (_meter(row), _window_start(row, now()))
    return balances.read(session, [meter])[meter].spend < row.max_budget


def standings(rows: Sequence[User] | Sequence[VirtualKey]) -> list[Standing]:
    """The standing of each row, by the balances that admission starts from. Raises DatabaseUnavailable."""
    at = now()
    meters = {(_meter(row), start) for row in rows for start in (EVER, _window_start(row, at))}
    ordered = sorted(meters)
    spend: dict[tuple[str, int], int] = {}
    for first in range(0, len(ordered), METERS_PER_QUERY):
        spend |= balances.spend(ordered[first : first + METERS_PER_QUERY])
    return [
        Standing(spend[_meter(row), _window_start(row, at)], spend[_meter(row), EVER], _reset_at(row, at))
        for row in rows
    ]


def _meter(row: User | VirtualKey) -> str:
    return f"user:{row.user_id}" if isinstance(row, User) else f"key:{row.id}"


def _window_start(row: User | VirtualKey, at: datetime) -> int:
    return EVER if row.budget_duration is None else durations.window_at(row.budget_duration, row.created_at, at).start


def _reset_at(row: User | VirtualKey, at: datetime) -> datetime | None:
    if row.budget_duration is None:
        return None
    return datetime.fromtimestamp(durations.window_at(row.budget_duration, row.created_at, at).end, UTC)


def _columns(row: User | VirtualKey) -> dict[str, Any]:
    """Columns by attribute name; a key's `id` is shown as key_id."""
    columns = {name: getattr(row, name) for name in row.__mapper__.column_attrs.keys()}  # noqa: SIM118 - not a dict
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
