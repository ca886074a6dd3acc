"""Alerts: what budgets have to tell once a batch of calls is booked, each threshold once in each window."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import durations, meter_names, money, webhooks
from app.access import path
from app.access.path import Limits
from app.extensions import database_errors, db, write_transaction
from app.ledger import balances
from app.ledger.balances import Window
from app.models import VirtualKey, now
from app.queue import WEBHOOKS, send

log = logging.getLogger(__name__)

# Databases take only so many values in one query.
KEYS_PER_QUERY = 500
# What can be wrong with a row or a name that an alert is worked out from.
UNTELLABLE = (SQLAlchemyError, ValueError, LookupError, TypeError)


@dataclass(frozen=True, slots=True)
class Standing:
    """A meter with a budget or a soft budget in its present window (None: it has no end). Money is nano-dollars.

    `budget` is all that may be spent in the window: with raises, credit and what has rolled over (None: no limit).
    """

    limits: Limits
    window: durations.Window | None
    spend: int
    budget: int | None

    @property
    def place(self) -> str:
        """Meter and window: "user:ada@1700000000"."""
        return f"{self.limits.meter}@{0 if self.window is None else self.window.start}"


@dataclass(frozen=True, slots=True)
class Alert:
    """A share of a budget (`threshold`, percent), or a soft budget (None), that settled spend has reached."""

    standing: Standing
    threshold: int | None

    @property
    def event(self) -> str:
        """The kind of webhook."""
        return webhooks.SOFT_BUDGET if self.threshold is None else webhooks.BUDGET_THRESHOLD

    @property
    def occasion(self) -> str:
        """What is told once, even if the budget is raised and reached again."""
        place = self.standing.place
        return f"soft:{place}" if self.threshold is None else f"threshold:{place}:{self.threshold}"


def raise_alerts(spend: Mapping[Window, int]) -> None:
    """Writes what these balances (nano-dollars) have to tell. May be repeated at any point.

    Raises DatabaseUnavailable. Everything else is logged: what is wrong with an alert must not hold up the books.
    """
    if not webhooks.wanted():
        return
    try:
        with database_errors():
            session = db.session()
            reached = [alert for standing in _standings(session, spend) for alert in _reached(standing)]
            alerts = _untold(session, reached)
            keys = _keys(session, alerts)
            session.rollback()
        if alerts:
            _write(alerts, keys)
    except UNTELLABLE:
        db.session.rollback()
        log.exception("the alerts of a batch cannot be worked out")


def _standings(session: Session, spend: Mapping[Window, int]) -> list[Standing]:
    """Those of the balances that are of present windows, with their budgets. A window that has ended needs no alert."""
    at = now().timestamp()
    limits = path.limits_by_meter(session, {meter for meter, _ in spend})
    budgeted = [one for one in limits.values() if one.max_budget is not None or one.soft_budget is not None]
    present = {(one.meter, one.window_start(at)): one for one in budgeted if (one.meter, one.window_start(at)) in spend}
    # Of budgets that roll over, what the window before has spent counts too.
    missing = {(one.meter, start) for one in present.values() for start in one.starts(at)} - spend.keys()
    known = dict(spend)
    if missing:
        known |= {place: balance.spend for place, balance in balances.read(session, missing).items()}
    found = []
    for place, one in sorted(present.items(), key=lambda item: item[0]):
        spends = {start: known[one.meter, start] for start in one.starts(at)}
        found.append(Standing(one, one.window(at), spend[place], one.spendable(at, spends)))
    return found


def _reached(standing: Standing) -> Iterator[Alert]:
    """What is to be told, smallest first. Where nothing was spent there is nothing to tell, even if nothing may be."""
    limits, spend, budget = standing.limits, standing.spend, standing.budget
    if spend <= 0:
        return
    if limits.soft_budget is not None and spend >= limits.soft_budget:
        yield Alert(standing, None)
    if budget is None:
        return
    thresholds = limits.alert_thresholds
    if thresholds is None:
        thresholds = current_app.extensions["tollgate"].settings.alert_thresholds
    for threshold in sorted(set(thresholds)):
        if spend * 100 >= budget * threshold:
            yield Alert(standing, threshold)


def _untold(session: Session, alerts: Sequence[Alert]) -> list[Alert]:
    told = webhooks.told(session, [alert.occasion for alert in alerts])
    return [alert for alert in alerts if alert.occasion not in told]


def _keys(session: Session, alerts: Sequence[Alert]) -> dict[str, str]:
    """How people call the keys that the alerts are about: the alias, else the last four characters; by key_id."""
    parts = [meter_names.parts(alert.standing.limits.meter) for alert in alerts]
    ids = sorted({key_id for kind, *rest in parts if kind in ("key", "key_model") for key_id in rest[:1]})
    found: dict[str, str] = {}
    for first in range(0, len(ids), KEYS_PER_QUERY):
        rows = session.execute(
            sa.select(VirtualKey.id, VirtualKey.key_alias, VirtualKey.key_name).where(
                VirtualKey.id.in_(ids[first : first + KEYS_PER_QUERY])
            )
        )
        found |= {row.id: row.key_alias or row.key_name for row in rows}
    return found


def _write(alerts: Sequence[Alert], keys: Mapping[str, str]) -> None:
    with write_transaction() as session:
        for alert in alerts:
            webhooks.enqueue(session, alert.event, alert.occasion, _payload(alert, keys))
    send(WEBHOOKS)


def _payload(alert: Alert, keys: Mapping[str, str]) -> dict[str, Any]:
    """What the message says; money in dollars. `max_budget` is the one of which `threshold` is a share."""
    standing = alert.standing
    budget, window = standing.budget, standing.window
    return {
        "scope": standing.limits.meter,
        "whose": _whose(standing.limits, keys),
        "threshold": alert.threshold,
        "spend": money.to_json(standing.spend),
        "max_budget": money.optional_to_json(budget),
        "soft_budget": money.optional_to_json(standing.limits.soft_budget),
        "remaining": None if budget is None else money.to_json(max(0, budget - standing.spend)),
        "window_start": None if window is None else _moment(window.start),
        "resets_at": None if window is None else _moment(window.end),
    }


def _whose(limits: Limits, keys: Mapping[str, str]) -> str:
    """("User 'ada'"). A key is named: "this key" means something to its holder alone."""
    kind, *rest = meter_names.parts(limits.meter)
    if kind not in ("key", "key_model"):
        return limits.whose
    named = f"Key '{keys.get(rest[0], rest[0])}'"
    return named if kind == "key" else f"{named} on '{rest[1]}'"


def _moment(seconds: int) -> str:
    return webhooks.iso(datetime.fromtimestamp(seconds, UTC))
