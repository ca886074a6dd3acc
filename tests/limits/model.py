"""What must hold of calls and their money, in plain Python: no Redis, no SQL, no atomicity to get wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.ledger.balances import Window
from app.ledger.event import CallEvent
from app.limits.meters import Meter


@dataclass(frozen=True, slots=True)
class Money:
    """One budget's counters: settled spend, holds of calls in flight, costs that are not settled yet."""

    spend: int = 0
    held: int = 0
    due: int = 0

    @property
    def taken(self) -> int:
        return self.spend + self.held + self.due


@dataclass(slots=True, eq=False)
class Call:
    """One admitted call.

    `state` is "running", "unsent" (ended, and Redis was down), "unanswered" (the caller was never told that it was
    admitted), "ended" or "given back". `promised` is what each budget set aside when it was admitted, `holds` what it
    sets aside now. `loose` says that a fault has touched the call: its money may stand in Redis in more than one way.
    """

    event: CallEvent
    meters: tuple[Meter, ...]
    promised: dict[Window, int]
    process: object
    state: str = "running"
    cost: int = 0
    attempts: int = 1
    holds: dict[Window, int] = field(default_factory=dict)
    settled: bool = False
    lease_ended: bool = False
    restored: bool = False
    loose: bool = False
    may_be_lost: bool = False

    @property
    def in_flight(self) -> bool:
        return self.state in {"running", "unsent", "unanswered"}

    @property
    def budgets(self) -> list[Window]:
        return [window_of(meter) for meter in self.meters if meter.max_budget is not None]

    @property
    def costs_if_abandoned(self) -> set[int]:
        """The smallest hold; a call that was put back into an emptied Redis holds its whole estimate."""
        smallest: int = min([self.event.hold, *self.promised.values()])
        return {smallest, self.event.hold} if self.restored else {smallest}

    @property
    def least_cost(self) -> int:
        return min({self.cost} | (self.costs_if_abandoned if self.lease_ended else set()))

    def stands(self, window: Window) -> set[tuple[str, int]]:
        """How the call's money may stand in Redis: ("h", its hold) or ("d", its cost); ("", 0): not at all."""
        if self.in_flight:
            now = ("h", self.holds.get(window, 0))
        else:
            now = ("d", 0 if self.settled or self.state == "given back" else self.cost)
        ways = {now if now[1] else ("", 0)}
        if self.loose:
            amounts = {self.cost, self.promised.get(window, 0), self.event.hold, *self.costs_if_abandoned}
            ways |= {("", 0), *((kind, amount) for kind in "hd" for amount in amounts if amount)}
        return ways


def window_of(meter: Meter) -> Window:
    return meter.name, meter.window_start


def verdict(
    meters: Iterable[Meter], estimate: int, money: Mapping[Window, Money], slots: Mapping[str, int]
) -> tuple[str, Meter | None]:
    """What admission has to say, and of which meter."""
    meters = tuple(meters)
    limited = [(one, one.max_budget, money[window_of(one)]) for one in meters if one.max_budget is not None]
    # A free call passes over every budget.
    priced = limited if estimate else []
    for meter, budget, now in priced:
        if now.spend >= budget:
            return "exceeded", meter
    for meter in meters:
        if meter.max_parallel is not None and slots[meter.name] >= meter.max_parallel:
            return "parallel", meter
    too_dear = [(meter, now, budget - now.taken) for meter, budget, now in priced if now.taken + estimate > budget]
    for meter, now, left in too_dear:
        if now.held or left <= 0:
            return "held", meter
    for meter, _, _ in too_dear:
        if meter.strict:
            return "short", meter
    return "permit", None
