"""Credit: money on top of a meter's budget in its present window. The ledger stays as it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app import meter_names, money
from app.access import callers, keys, path, revoking, rows
from app.access.path import Limits
from app.errors import BadRequest, Conflict, NotFound
from app.extensions import write_transaction
from app.models import Credit, Customer, Team, TeamMember, User, VirtualKey, now

TABLES: dict[str, type[Any]] = {
    "key": VirtualKey,
    "user": User,
    "team": Team,
    "team_member": TeamMember,
    "customer": Customer,
}
LARGEST_BUDGET = money.MAX_BUDGET_DOLLARS * money.NANO_PER_DOLLAR
HasRoom = Callable[[Session, User], bool]


@dataclass(frozen=True, slots=True)
class Given:
    """A credit that was given; nano-dollars of spend less credit of the window, before and after it.

    `credit` is None where nothing was to be given.
    """

    credit: Credit | None
    before: int
    after: int


def give(meter: str, fields: Mapping[str, Any], has_room: HasRoom) -> Credit:
    """Adds `amount` nano-dollars to the meter's budget in the present window; keys that were revoked for it open again.

    A negative amount takes something back. The same `id` again, with the same meter and amount, gives the credit of
    the first time and nothing more. Raises NotFound, BadRequest, Conflict, DatabaseUnavailable, LimitsUnavailable.
    """
    with callers.invalidating([_subject(meter)]), rows.unique_names(), write_transaction() as session:
        limits = _limits(session, meter)
        known = session.get(Credit, fields["id"]) if fields.get("id") is not None else None
        if known is not None and (known.meter, known.amount) != (meter, fields["amount"]):
            raise Conflict("This id is taken by another credit.", param="id")
        credit = known or _add(session, limits, fields)
        _reopen(session, meter, has_room)
        rows.let_go(session, credit)
    _look_again(meter)
    return credit


def reset(meter: str, reset_to: int, spends: Mapping[int, int], has_room: HasRoom) -> Given:
    """Gives so much credit that `reset_to` nano-dollars count as spent; `spends` are what is spent by window start.

    What counts as spent is spend less the credit of the window, so a second reset at once gives nothing.
    Raises NotFound, BadRequest, DatabaseUnavailable, LimitsUnavailable.
    """
    with callers.invalidating([_subject(meter)]), write_transaction() as session:
        limits = _limits(session, meter)
        before = max(0, spends.get(limits.window_start(now().timestamp()), 0) - limits.credit)
        if reset_to > before:
            raise BadRequest(f"Only {money.shown(before)} counts as spent, so it cannot be more.", param="reset_to")
        credit = None
        if reset_to < before:
            credit = _add(session, limits, {"amount": before - reset_to, "reason": "reset_spend"})
            _reopen(session, meter, has_room)
            rows.let_go(session, credit)
    _look_again(meter)
    return Given(credit, before, reset_to)


def _limits(session: Session, meter: str) -> Limits:
    """The meter's limits, whose row nobody else changes before this transaction ends.

    Raises NotFound; BadRequest where there is no budget that credit could add to.
    """
    kind, *ids = meter_names.parts(meter)
    table, key = TABLES[kind.removesuffix("_model")], tuple(ids) if kind == "team_member" else ids[0]
    rows.locked(session, table, key, NotFound(f"There is no such {kind.removesuffix('_model').replace('_', ' ')}."))
    limits = path.limits_by_meter(session, [meter]).get(meter)
    if limits is None:
        raise NotFound(f"There are no limits for the model '{ids[-1]}'.", param="model")
    if limits.max_budget is None:
        raise BadRequest(f"{limits.whose} has no max_budget, so there is nothing to add credit to.", param="amount")
    return limits


def _add(session: Session, limits: Limits, fields: Mapping[str, Any]) -> Credit:
    at = now()
    amount = fields["amount"]
    if (limits.budget(at.timestamp()) or 0) + amount > LARGEST_BUDGET:
        raise BadRequest(f"The budget would be more than {money.MAX_BUDGET_DOLLARS} dollars.", param="amount")
    credit = Credit(
        id=fields.get("id") or "crd_" + secrets.token_hex(12),
        meter=limits.meter,
        window_start=limits.window_start(at.timestamp()),
        amount=amount,
        reason=fields.get("reason"),
        created_at=at,
    )
    session.add(credit)
    session.flush()
    return credit


def _subject(meter: str) -> str:
    """Whose edits change what the meter may spend."""
    kind, owner, *_ = meter_names.parts(meter)
    kind = kind.removesuffix("_model")
    return f"{'team' if kind == 'team_member' else kind}:{owner}"


def _reopen(session: Session, meter: str, has_room: HasRoom) -> None:
    user = _user(meter)
    if user is not None and has_room(session, session.get_one(User, user)):
        revoking.reopen_keys(session, user)


def _look_again(meter: str) -> None:
    keys.look_again(_user(meter))


def _user(meter: str) -> str | None:
    """The user whose budget the meter keeps; None: it is not a user's."""
    kind, owner, *_ = meter_names.parts(meter)
    return owner if kind == "user" else None
