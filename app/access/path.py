"""The limits on a call's path: what each meter is set to, by its own row, its template, raises and credit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from app import durations, meter_names
from app.durations import Schedule, Window
from app.models import (
    LIMIT_NAMES,
    Budget,
    Credit,
    Customer,
    LimitColumns,
    Team,
    TeamMember,
    TemplatedColumns,
    User,
    VirtualKey,
    now,
)
from app.settings import Settings

# Rolling windows of the gateway's own budget are counted from here: the same second in every process.
GATEWAY_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
# Databases take only so many values in one query.
IDS_PER_QUERY = 500
Nothing: Mapping[str, Any] = {}


@dataclass(slots=True, eq=False)
class Limits:
    """The limits of one meter as they are set. Money is nano-dollars; None is no limit.

    `max_budget` is what a window has by itself; see `budget` for what counts. `queue_ms` is how long a call waits for a
    parallel slot. `rpm` and `tpm` are requests and tokens in any 60 seconds. `alert_thresholds` are percentages (None:
    the gateway's own). `raised_by` counts until `raised_until` (epoch seconds), `credit` in the window that began at
    `credit_window`.
    """

    meter: str
    max_budget: int | None = None
    soft_budget: int | None = None
    strict: bool = False
    schedule: Schedule | None = None
    rollover: bool = False
    max_parallel: int | None = None
    queue_ms: int = 0
    rpm: int | None = None
    tpm: int | None = None
    alert_thresholds: tuple[int, ...] | None = None
    raised_by: int = 0
    raised_until: float = 0.0
    credit: int = 0
    credit_window: int = 0
    _present: tuple[Window, Window | None] | None = None

    @property
    def whose(self) -> str:
        """The meter as the subject of a sentence."""
        return meter_names.whose(self.meter)

    def window(self, at: float) -> Window | None:
        """The budget's window in which `at` (epoch seconds) lies; None: it has no end."""
        return None if self.schedule is None else self._windows(self.schedule, at)[0]

    def window_start(self, at: float) -> int:
        """The first second of that window; 0 where it has no end."""
        window = self.window(at)
        return 0 if window is None else window.start

    def previous(self, at: float) -> Window | None:
        """The window whose unspent rest is added to the present one; None where nothing rolls over."""
        return self._windows(self.schedule, at)[1] if self.rollover and self.schedule is not None else None

    def budget(self, at: float) -> int | None:
        """What may be spent in the window of `at`, with raises and credit, without what rolls over."""
        if self.max_budget is None:
            return None
        raised = self.raised_by if at < self.raised_until else 0
        credit = self.credit if self.credit_window == self.window_start(at) else 0
        return max(0, self.max_budget + raised + credit)

    def stands_until(self, at: float) -> float:
        """The first moment after `at` when something of this is another: a window ends, or a raise."""
        window = self.window(at)
        end = math.inf if window is None else window.end
        return min(end, self.raised_until) if at < self.raised_until else end

    def starts(self, at: float) -> list[int]:
        """The windows whose balances decide: the present one's first second, and that of what rolls over to it."""
        previous = self.previous(at)
        return [self.window_start(at)] + ([] if previous is None else [previous.start])

    def spendable(self, at: float, spends: Mapping[int, int]) -> int | None:
        """The budget with what has rolled over; `spends` are nano-dollars by window start, the previous one's too."""
        budget, previous = self.budget(at), self.previous(at)
        if budget is None or previous is None or self.max_budget is None:
            return budget
        return budget + max(0, self.max_budget - spends[previous.start])

    def _windows(self, schedule: Schedule, at: float) -> tuple[Window, Window | None]:
        """The present window and the one before it, worked out once for each window."""
        if self._present is None or not self._present[0].start <= at < self._present[0].end:
            moment = datetime.fromtimestamp(at, UTC)
            self._present = schedule.window_at(moment), schedule.window_before(moment)
        return self._present


def settings() -> Settings:
    """The application's."""
    return cast("Settings", current_app.extensions["tollgate"].settings)


def of_gateway() -> Limits:
    """The whole gateway's own limits, from config.yaml."""
    return effective(meter_names.GATEWAY, GATEWAY_SINCE, asdict(settings().gateway_limits))


def effective(meter: str, since: datetime, *sources: Mapping[str, Any]) -> Limits:
    """Limits where each value is the first that is set in the sources; strict and rollover where any says so."""
    found: dict[str, Any] = {name: _first(name, sources) for name in LIMIT_NAMES}
    thresholds = found["alert_thresholds"]
    return Limits(
        meter=meter,
        max_budget=found["max_budget"],
        soft_budget=found["soft_budget"],
        strict=any(source.get("strict") for source in sources),
        schedule=_schedule(found["budget_duration"], since, found["timezone"], found["week_start"]),
        rollover=any(source.get("rollover") for source in sources),
        max_parallel=found["max_parallel_requests"],
        queue_ms=int((found["queue_timeout"] or 0) * 1000),
        rpm=found["rpm_limit"],
        tpm=found["tpm_limit"],
        alert_thresholds=None if thresholds is None else tuple(thresholds),
    )


def _first(name: str, sources: Iterable[Mapping[str, Any]]) -> Any:
    return next((value for source in sources if (value := source.get(name)) is not None), None)


def _schedule(duration: str | None, since: datetime, zone: str | None, week_start: str | None) -> Schedule | None:
    if duration is None:
        return None
    chosen = settings()
    return Schedule(
        duration, since, durations.zone(zone or chosen.timezone), durations.week_start(week_start or chosen.week_start)
    )


def meter_of(row: TemplatedColumns) -> str:
    """The name of the meter that a row has limits for."""
    match row:
        case VirtualKey():
            return meter_names.name("key", row.id)
        case User():
            return meter_names.name("user", row.user_id)
        case Team():
            return meter_names.name("team", row.team_id)
        case TeamMember():
            return meter_names.name("team_member", row.team_id, row.user_id)
        case Customer():
            return meter_names.name("customer", row.customer_id)
        case _:
            raise TypeError(type(row))


def limits_of(session: Session, rows: Sequence[Any], *, models: bool = False) -> dict[str, Limits]:
    """The limits of rows (keys, users, teams, members, customers) by meter, as they stand in the transaction.

    With `models` also those of each key's and user's models.
    """
    templates = _templates(session, {row.budget_id for row in rows if row.budget_id is not None})
    defaults = _member_defaults(session, rows)
    found: dict[str, Limits] = {}
    for row in rows:
        meter = meter_of(row)
        sources = [values(row), templates.get(row.budget_id, Nothing), defaults.get(meter, Nothing)]
        limits = found[meter] = effective(meter, row.created_at, *sources)
        if row.temp_budget_increase is not None and row.temp_budget_expiry is not None:
            limits.raised_by, limits.raised_until = row.temp_budget_increase, row.temp_budget_expiry.timestamp()
        if models and isinstance(row, VirtualKey | User):
            found |= {one.meter: one for _, one in of_models(row)}
    _add_credits(session, found.values())
    return found


def of_models(row: VirtualKey | User) -> list[tuple[str, Limits]]:
    """The limits of a key's or user's models: (name, access group or wildcard; limits). Without credits."""
    kind, owner = ("key_model", row.id) if isinstance(row, VirtualKey) else ("user_model", row.user_id)
    return [
        (model, effective(meter_names.name(kind, owner, model), row.created_at, limits))
        for model, limits in row.model_limits.items()
    ]


def values(row: LimitColumns) -> dict[str, Any]:
    """A row's own limits by name."""
    return {name: getattr(row, name) for name in LIMIT_NAMES}


def _templates(session: Session, budget_ids: Iterable[str]) -> dict[str | None, dict[str, Any]]:
    wanted = sorted(budget_ids)
    found = (_all(session, Budget, Budget.budget_id, wanted)) if wanted else []
    return {budget.budget_id: values(budget) for budget in found}


def _member_defaults(session: Session, rows: Iterable[Any]) -> dict[str, Mapping[str, Any]]:
    """What the members among the rows have where neither they nor their template say anything."""
    members = [row for row in rows if isinstance(row, TeamMember)]
    if not members:
        return {}
    teams = {team.team_id: team for team in _all(session, Team, Team.team_id, {member.team_id for member in members})}
    return {meter_of(member): teams[member.team_id].member_limits for member in members}


def _add_credits(session: Session, limits: Iterable[Limits]) -> None:
    at = now().timestamp()
    budgeted = {one.meter: one for one in limits if one.max_budget is not None}
    wanted = sorted((meter, one.window_start(at)) for meter, one in budgeted.items())
    for first in range(0, len(wanted), IDS_PER_QUERY):
        sums = session.execute(
            sa.select(Credit.meter, Credit.window_start, sa.func.sum(Credit.amount))
            .where(sa.tuple_(Credit.meter, Credit.window_start).in_(wanted[first : first + IDS_PER_QUERY]))
            .group_by(Credit.meter, Credit.window_start)
        )
        for meter, window_start, amount in sums:
            budgeted[meter].credit, budgeted[meter].credit_window = int(amount), window_start


def limits_by_meter(session: Session, meters: Iterable[str]) -> dict[str, Limits]:
    """The limits of meters by their names; what does not exist (any more) is left out."""
    wanted = set(meters)
    ids: dict[str, set[Any]] = {}
    for meter in wanted:
        kind, *rest = meter_names.parts(meter)
        kind = kind.removesuffix("_model")
        ids.setdefault(kind, set()).add(tuple(rest) if kind == "team_member" else next(iter(rest), ""))
    rows: list[Any] = []
    for table, column, kind in (
        (VirtualKey, VirtualKey.id, "key"),
        (User, User.user_id, "user"),
        (Team, Team.team_id, "team"),
        (TeamMember, sa.tuple_(TeamMember.team_id, TeamMember.user_id), "team_member"),
        (Customer, Customer.customer_id, "customer"),
    ):
        rows += _all(session, table, column, ids.get(kind, ()))
    found = limits_of(session, rows, models=True)
    found |= _of_strangers(session, [name for name in wanted if name.startswith("team_member:") and name not in found])
    if meter_names.GATEWAY in wanted:
        found[meter_names.GATEWAY] = of_gateway()
    return {meter: limits for meter, limits in found.items() if meter in wanted}


def _of_strangers(session: Session, meters: Iterable[str]) -> dict[str, Limits]:
    """Users with a key of a team whose members they are not: what members have counts for them as well."""
    teams = {meter: meter_names.parts(meter)[1] for meter in meters}
    found = {team.team_id: team for team in _all(session, Team, Team.team_id, set(teams.values()))}
    return {
        meter: effective(meter, found[team_id].created_at, found[team_id].member_limits)
        for meter, team_id in teams.items()
        if team_id in found
    }


def meters_on(session: Session, row: Any) -> list[str]:
    """The meters that every call counts in which counts in the row's own; of a key all, but a customer's."""
    names = [meter_of(row)]
    if isinstance(row, VirtualKey | User):
        names += [limits.meter for _, limits in of_models(row)]
    match row:
        case VirtualKey():
            if row.user_id is not None and (user := session.get(User, row.user_id)) is not None:
                names += [meter_of(user), *(limits.meter for _, limits in of_models(user))]
            if row.team_id is not None and row.user_id is not None:
                names.append(meter_names.name("team_member", row.team_id, row.user_id))
            if row.team_id is not None:
                names.append(meter_names.name("team", row.team_id))
        case TeamMember():
            names = [meter_names.name("user", row.user_id), *names, meter_names.name("team", row.team_id)]
    return [*names, meter_names.GATEWAY]


def _all(session: Session, table: type[Any], column: Any, ids: Iterable[Any]) -> list[Any]:
    wanted = sorted(ids)
    rows: list[Any] = []
    for first in range(0, len(wanted), IDS_PER_QUERY):
        rows += session.scalars(sa.select(table).where(column.in_(wanted[first : first + IDS_PER_QUERY]))).all()
    return rows
