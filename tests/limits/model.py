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


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget with what has rolled over to it, nano-dollars: all of it, settled spend, and what is left.

    `may_grow` says that calls in flight hold some of it, and that they may yet leave more.
    """

    limit: int
    spend: int
    left: int
    may_grow: bool


@dataclass(slots=True)
class Queues:
    """Who waits for slots. Who has the smaller number came first, in every queue."""

    waiting: dict[str, set[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    joined: int = 0

    def line(self, meter: str) -> list[str]:
        return sorted(self.waiting.get(meter, ()), key=self.numbers.__getitem__)

    def before(self, meter: str, request_id: str) -> int:
        """How many stand before this call, or would if it came now."""
        number = self.numbers.get(request_id, self.joined)
        return sum(self.numbers[other] < number for other in self.line(meter))

    def join(self, request_id: str, meters: Iterable[Meter]) -> None:
        if request_id not in self.numbers:
            self.numbers[request_id] = self.joined
            self.joined += 1
        for meter in meters:
            self.waiting.setdefault(meter.name, set()).add(request_id)

    def leave(self, request_id: str) -> None:
        self.numbers.pop(request_id, None)
        for waiters in self.waiting.values():
            waiters.discard(request_id)


def window_of(meter: Meter) -> Window:
    return meter.name, meter.window_start


def windows_read(meter: Meter) -> list[Window]:
    """The balances that its budget depends on."""
    if meter.max_budget is None:
        return []
    previous = [] if meter.previous is None else [(meter.name, meter.previous)]
    return [window_of(meter), *previous]


def budget_of(meter: Meter, money: Mapping[Window, Money]) -> Budget:
    assert meter.max_budget is not None
    now, before = money[window_of(meter)], Money(meter.rolls_over)
    if meter.previous is not None:
        before = money[meter.name, meter.previous]
    certain, possible = max(0, meter.rolls_over - before.taken), max(0, meter.rolls_over - before.spend - before.due)
    return Budget(
        limit=meter.max_budget + max(0, meter.rolls_over - before.spend),
        spend=now.spend,
        left=meter.max_budget + certain - now.taken,
        may_grow=now.held > 0 or possible > certain,
    )


def blocked_by(meters: Iterable[Meter], request_id: str, slots: Mapping[str, int], queues: Queues) -> list[Meter]:
    """The meters that have no slot for this call."""
    return [
        meter
        for meter in meters
        if meter.max_parallel is not None
        and slots[meter.name] + queues.before(meter.name, request_id) >= meter.max_parallel
    ]


def verdict(
    meters: Iterable[Meter], estimate: int, money: Mapping[Window, Money], blocked: Iterable[Meter]
) -> tuple[str, Meter | None]:
    """What admission has to say, and of which meter; `blocked` are those that have no slot for the call."""
    # A free call passes over every budget.
    limited = [meter for meter in meters if meter.max_budget is not None and estimate]
    budgets = [(meter, budget_of(meter, money)) for meter in limited]
    for meter, budget in budgets:
        if budget.spend >= budget.limit:
            return "exceeded", meter
    for meter in sorted(blocked, key=lambda meter: meter.has_queue):
        return "queued" if meter.has_queue else "parallel", meter
    too_dear = [(meter, budget) for meter, budget in budgets if estimate > budget.left]
    for meter, budget in too_dear:
        if budget.may_grow or budget.left <= 0:
            return "held", meter
    for meter, _ in too_dear:
        if meter.strict:
            return "short", meter
    return "permit", None
