"""Calls, their ends, the worker and faults in any order: whatever happens, money and slots add up.

Hypothesis makes up the stories. `pytest tests/limits/test_stateful.py --hypothesis-profile=long` tells more and longer
ones, other ones every time.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from app import books
from app.extensions import Redis, db, redis, write_transaction
from app.gateway.admit import counted_in
from app.gateway.inflight import SQL_AFTER_SECONDS, Ending, InFlight
from app.ledger import balances
from app.ledger.balances import Window
from app.ledger.event import Attempt, CallEvent
from app.limits import admission, holds
from app.limits.admission import NO_TOKENS, Balance, Verdict
from app.limits.meters import (
    ARRIVALS,
    CALLS,
    EPOCH,
    EVENTS,
    TEMPLATES,
    UNREADABLE,
    WAKE,
    WARMING,
    Meter,
    asked_key,
    holds_key,
    queue_key,
    slots_key,
)
from app.models import Balance as BalanceRow
from app.models import DailySpend, LedgerRow
from tests.limits.asking import stop_asking
from tests.limits.conftest import LONG
from tests.limits.model import Call, Money, Queues, blocked_by, budget_of, verdict, window_of, windows_read
from worker.booking import Entry, book, read

QUICK = settings(max_examples=200, stateful_step_count=50, derandomize=True, deadline=None)

LEASE = 30
PAST = 1
KEYS = {"a1": "ada", "a2": "ada", "b1": "bob", "b2": "bob"}
METERS = [f"key:{key}" for key in KEYS] + ["user:ada", "user:bob"]
# One nano-dollar for a token, so that tokens are money.

QUEUES = (queue_key("").encode(), asked_key("").encode(), ARRIVALS.encode())

which = st.integers(0, 7)
# One is busier than the others, so that calls meet on it.
keys = st.sampled_from(["a1", "a1", "a1", "a2", "b1", "b2"])
budgets = st.sampled_from([None, None, 0, 20, 50, 100, 100, 100])
limits = st.builds(
    Meter,
    name=st.just(""),
    max_budget=budgets,
    strict=st.booleans(),
    window_start=st.sampled_from([0, 200, 200]),
    max_parallel=st.sampled_from([None, None, None, 1, 1, 2]),
    rolls_over=st.sampled_from([0, 40, 100, 100]),
    queue_ms=st.sampled_from([0, 1000, 1000]),
)
# What a call may cost at most, seen from what is left of its budgets; and what it does cost, seen from that.
estimates = st.sampled_from(["free", "tiny", "half", "less", "all", "more", "far more"])
costs = st.sampled_from(["none", "half", "all", "more"])


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


def process() -> InFlight:
    """What a web process knows; it looks when a rule says so, and not by a thread of its own."""
    made = InFlight(LEASE, nullcontext)
    made._thread = threading.Thread()
    made.look()
    return made


def money_of(window: Window) -> Money:
    state = holds.audit([window], [])[0][window]
    return Money(state.spend or 0, state.holds, state.costs)


def dead_of(meter: str) -> set[str]:
    """Waiters that have not asked for long; they are dropped when the next call asks."""
    return {request_id.decode() for request_id in store().zrangebyscore(asked_key(meter), "-inf", PAST)}


def slots_of(meter: str) -> set[str]:
    return {request_id.decode() for request_id in store().zrangebyscore(slots_key(meter), PAST + 1, "+inf")}


def everything() -> dict[bytes, Any]:
    """What Redis knows but for queues; of slots only those whose lease has not ended."""
    slots = slots_key("").encode()
    found = sorted(key for key in store().scan_iter(count=1000) if not key.startswith(QUEUES))
    with store().pipeline(transaction=False) as pipeline:
        for key in found:
            pipeline.zrangebyscore(key, PAST + 1, "+inf") if key.startswith(slots) else pipeline.dump(key)
        return {key: value for key, value in zip(found, pipeline.execute(), strict=True) if value}


def booked() -> dict[str, list[LedgerRow]]:
    """The ledger's rows by request."""
    found: dict[str, list[LedgerRow]] = {}
    for row in db.session.scalars(sa.select(LedgerRow).order_by(LedgerRow.request_id, LedgerRow.attempt)):
        found.setdefault(row.request_id, []).append(row)
    db.session.rollback()
    return found


def estimate_of(size: str, left: int) -> int:
    amounts = {"free": 0, "tiny": 1, "half": left // 2, "less": left - 1, "all": left, "more": left + 1}
    return max(0, amounts.get(size, left + 60))


@dataclass(frozen=True, slots=True)
class Waiter:
    """A call that has been told that it is queued, and asks again."""

    request_id: str
    key: str
    estimate: int
    process: InFlight


class Traffic(RuleBasedStateMachine):
    """Two users with two keys each, two web processes, one worker, and everything that can go wrong."""

    def __init__(self) -> None:
        super().__init__()
        with write_transaction() as session:
            for table in (LedgerRow, BalanceRow, DailySpend):
                session.execute(sa.delete(table))
        store().flushall()
        self.keep_the_worker_awake()
        admission.warm_up(at_once=True)
        self.processes = [process(), process()]
        self.meters: dict[str, Meter] = {}
        self.calls: dict[str, Call] = {}
        self.asked = 0
        self.waiters: dict[str, Waiter] = {}
        self.queues = Queues()
        self.last_batch: list[Entry] = []
        self.untold: list[tuple[list[Entry], tuple[Any, ...]]] = []
        # What Redis would restart from. Not across a settling: Redis then misses, until the next one, what processes
        # have forgotten because it was settled. Nor across a giving back, which nobody would do again.
        self.saved: dict[bytes, bytes] | None = None
        # For each budget: as it was when it last admitted a priced call, and the calls whose cost was open then.
        self.last_permit: dict[Window, tuple[int, list[Call]]] = {}

    def keep_the_worker_awake(self) -> None:
        """Nobody has to wake it, so nothing is sent to Celery."""
        store().set(WAKE, "1")

    @initialize(drawn=st.tuples(*[limits] * len(METERS)))
    def limits_are_set(self, drawn: tuple[Meter, ...]) -> None:
        self.meters = {
            name: replace(one, name=name, previous_start=one.window_start - 100 if one.window_start else None)
            for name, one in zip(METERS, drawn, strict=True)
        }

    # Calls come

    @rule(key=keys, sizes=st.lists(estimates, min_size=1, max_size=3), at=which)
    def calls_come(self, key: str, sizes: list[str], at: int) -> None:
        for size in sizes:
            self.ask(key, size, self.processes[at % 2])

    @rule(key=keys, size=estimates, cost=costs)
    def a_call_comes_and_ends(self, key: str, size: str, cost: str) -> None:
        call = self.ask(key, size, self.processes[0])
        if call is not None:
            self.processes[0].end(self.ending(call, cost), call.meters, call.cost, 0)
            call.state = "ended"

    @rule(key=keys, size=estimates, at=which)
    def a_call_comes_and_never_hears_that_it_was_admitted(self, key: str, size: str, at: int) -> None:
        where = self.processes[at % 2]
        call = self.ask(key, size, where)
        if call is not None:
            where._running.pop(call.event.request_id)
            where.give_back(call.event.request_id, call.meters)
            call.state = "unanswered"

    @precondition(lambda self: self.running())
    @rule(at=which)
    def a_running_call_asks_again(self, at: int) -> None:
        call = self.one_of(self.running(), at)
        if store().zscore(CALLS, call.event.request_id) is None:
            return  # Given up for dead; nobody asks again half a minute later.
        before = everything()
        assert self.admit(call.event, call.meters).reason == "permit"
        assert everything() == before

    def ask(self, key: str, size: str, where: InFlight) -> Call | None:
        """A newcomer, whose cost is seen from what is left of its budgets."""
        limited = self.limited(key)
        self.seed(limited)
        left = [budget_of(one, self.money(limited)).left for one in limited if one.max_budget is not None]
        self.asked += 1
        return self.asks(Waiter(f"r{self.asked}", key, estimate_of(size, min(left, default=50)), where))

    def asks(self, waiter: Waiter) -> Call | None:
        """The answer must be the model's; a permit takes exactly what it says, whoever waits or is refused nothing."""
        limited, request_id = self.limited(waiter.key), waiter.request_id
        self.seed(limited)
        money, event = self.money(limited), self.event(waiter)
        slots = {one.name: len(slots_of(one.name)) for one in limited}
        blocked = blocked_by(limited, request_id, slots, self.queues)
        expected = verdict(limited, event.hold, money, blocked)
        before = everything()
        self.look(limited, money, slots)
        dry = self.admit(event, limited, dry=True)
        self.every_queue_is_in_the_order_of_coming()
        assert everything() == before
        answer = self.admit(event, limited)
        assert answer == dry
        assert answer.reason == expected[0]
        self.stand(waiter, answer, blocked)
        if answer.reason != "permit":
            assert answer.meter == expected[1]
            assert everything() == before
            self.check_refusal(answer, money)
            return None
        return self.admitted(event, limited, money, waiter.process)

    def limited(self, key: str) -> tuple[Meter, ...]:
        return tuple(one for one in self.path(key) if one.max_budget is not None or one.max_parallel is not None)

    def path(self, key: str) -> tuple[Meter, Meter]:
        return self.meters[f"key:{key}"], self.meters[f"user:{KEYS[key]}"]

    def money(self, meters: tuple[Meter, ...]) -> dict[Window, Money]:
        return {window: money_of(window) for one in meters for window in windows_read(one)}

    def seed(self, meters: tuple[Meter, ...]) -> None:
        """As the gateway does where admission says that a balance is not known."""
        for window in [window for meter in meters for window in windows_read(meter)]:
            if holds.audit([window], [])[0][window].spend is None:
                known = balances.settled([window])[window]
                admission.seed(Balance(*window, known.spend, known.version))

    def look(self, meters: tuple[Meter, ...], money: dict[Window, Money], slots: dict[str, int]) -> None:
        for meter, live in zip(meters, holds.peek(meters), strict=True):
            assert (live.slots, live.waiting) == (slots[meter.name], len(self.queues.line(meter.name)))
            if meter.max_budget is not None:
                budget = budget_of(meter, money)
                assert (live.spend, meter.max_budget + (live.carry or 0)) == (budget.spend, budget.limit)
                assert budget.limit - budget.spend - live.held - live.due == budget.left

    def stand(self, waiter: Waiter, answer: Verdict, blocked: list[Meter]) -> None:
        """In the queues that the answer puts it in, or in none."""
        if answer.reason == "queued":
            assert answer.place == self.queues.before(blocked[0].name, waiter.request_id)
            self.queues.join(waiter.request_id, blocked)
            self.waiters[waiter.request_id] = waiter
        elif answer.reason not in {"held", "short"}:
            self.queues.leave(waiter.request_id)
            self.waiters.pop(waiter.request_id, None)
        self.every_queue_is_in_the_order_of_coming()

    # Calls wait

    @precondition(lambda self: self.waiters)
    @rule(at=which)
    def a_waiting_call_asks_again(self, at: int) -> None:
        self.asks(self.waiter(at))

    @precondition(lambda self: self.waiters)
    @rule()
    def all_who_wait_ask_again(self) -> None:
        for waiter in list(self.waiters.values()):
            self.asks(waiter)

    @precondition(lambda self: self.waiters)
    @rule(at=which)
    def a_waiting_call_gives_up(self, at: int) -> None:
        waiter = self.waiter(at)
        admission.leave_queues(waiter.request_id, self.path(waiter.key))
        self.queues.leave(self.waiters.pop(waiter.request_id).request_id)

    @precondition(lambda self: self.waiters)
    @rule(at=which)
    def a_waiting_call_does_not_ask_for_long(self, at: int) -> None:
        self.is_not_heard(self.waiter(at))

    def is_not_heard(self, waiter: Waiter) -> None:
        stop_asking(waiter.request_id, *self.path(waiter.key))
        self.queues.leave(waiter.request_id)

    def waiter(self, at: int) -> Waiter:
        return list(self.waiters.values())[at % len(self.waiters)]

    def event(self, waiter: Waiter) -> CallEvent:
        return CallEvent(
            request_id=waiter.request_id,
            key_id=waiter.key,
            token="0" * 64,
            user_id=KEYS[waiter.key],
            end_user=None,
            route="chat/completions",
            model_name="m",
            stream=False,
            started_ms=1_000,
            hold=waiter.estimate,
            meters=counted_in(self.path(waiter.key)),
        )

    def admit(self, event: CallEvent, meters: tuple[Meter, ...], *, dry: bool = False) -> Verdict:
        return admission.admit(event.request_id, meters, [], event.hold, LEASE * 1000, event.to_bytes(), dry=dry)

    def check_refusal(self, answer: Verdict, money: dict[Window, Money]) -> None:
        meter = answer.meter
        if meter is not None and answer.reason in {"exceeded", "held", "short"}:
            budget = budget_of(meter, money)
            assert (answer.budget, answer.spend) == (budget.limit, budget.spend)
            assert answer.reason == "exceeded" or answer.left == budget.left
        if meter is not None and answer.reason == "exceeded":
            spend = balances.spend(windows_read(meter))
            assert spend[window_of(meter)] >= budget_of(meter, {one: Money(spend[one]) for one in spend}).limit

    def admitted(
        self, event: CallEvent, meters: tuple[Meter, ...], before: dict[Window, Money], where: InFlight
    ) -> Call:
        priced = [one for one in meters if one.max_budget is not None and event.hold]
        promised = {window_of(one): min(event.hold, budget_of(one, before).left) for one in priced}
        call = Call(event, meters, promised, where, holds=dict(promised))
        rows = booked()
        for one in priced:
            window = window_of(one)
            known = {read: Money(self.spent(read, rows)) for read in windows_read(one)}
            assert budget_of(one, known).left > 0
            assert budget_of(one, self.money(meters)).left >= 0
            open_ = [one for one in self.calls.values() if one.in_flight or (one.lease_ended and not one.settled)]
            budget = before[window].taken + budget_of(one, before).left
            self.last_permit[window] = (budget, [*open_, call])
        where.start(event, meters, NO_TOKENS, None)
        self.calls[event.request_id] = call
        return call

    def spent(self, window: Window, rows: dict[str, list[LedgerRow]]) -> int:
        """What is known to be spent, settled or not; of calls that had no budget there, what is settled."""
        total = 0
        for call in self.calls.values():
            if window not in windows_of(call) or not (window in call.budgets or call.settled):
                continue
            found = rows.get(call.event.request_id, [])
            if found and (call.settled or call.state == "ended"):
                total += sum(row.cost for row in found)
            elif call.state == "ended" and not call.may_be_lost:
                total += call.least_cost
        return total

    # Calls end

    @precondition(lambda self: self.running())
    @rule(at=which, size=costs, retried=st.booleans())
    def a_call_ends(self, at: int, size: str, retried: bool) -> None:  # noqa: FBT001 - as drawn
        call = self.one_of(self.running(), at)
        self.where(call).end(self.ending(call, size, retried=retried), call.meters, call.cost, 0)
        call.state = "ended"

    @precondition(lambda self: self.running())
    @rule(at=which, size=costs)
    def a_call_ends_and_the_answer_is_lost(self, at: int, size: str) -> None:
        call = self.one_of(self.running(), at)
        event = self.ending(call, size)
        admission.finish(event.request_id, call.meters, call.cost, event.to_bytes())
        self.where(call).end(event, call.meters, call.cost, 0)
        call.state = "ended"

    @precondition(lambda self: self.running())
    @rule(at=which, size=costs, for_long=st.booleans())
    def a_call_ends_while_redis_is_down(self, at: int, size: str, for_long: bool) -> None:  # noqa: FBT001 - as drawn
        call = self.one_of(self.running(), at)
        where, up, down = self.where(call), redis.client, Redis()
        down.init_app("redis://127.0.0.1:1/0")
        redis.client = down.client
        try:
            where.end(self.ending(call, size), call.meters, call.cost, 0)
            if for_long:
                where._unsent[-1].since -= SQL_AFTER_SECONDS
            where.look()
        finally:
            redis.client = up
        call.state = "unsent"

    @precondition(lambda self: self.ended())
    @rule(at=which)
    def an_end_is_sent_once_more(self, at: int) -> None:
        """Its first answer was lost, and the worker may have been quicker than the second try."""
        call = self.one_of(self.ended(), at)
        event = self.ending(call, None)
        self.where(call)._unsent.append(Ending(event.request_id, call.meters, call.cost, event=event.to_bytes()))
        call.loose = True

    def ending(self, call: Call, size: str | None, *, retried: bool = False) -> CallEvent:
        """The event of a call that has ended; `size` None: as it has ended before."""
        if size is not None:
            hold = call.event.hold
            call.cost = {"none": 0, "half": hold // 2, "all": hold, "more": hold + 7}[size] if hold else 0
            call.attempts = 1 + retried
        usage = [call.cost, 0, 0, 0, 0, 0, 0, 0]
        failed = Attempt("d0", "openai", "gpt", "failure", 500, "none", [0] * 8, 0, "test")
        answered = Attempt("d1", "openai", "gpt", "success", 200, "provider", usage, call.cost, "test")
        return replace(call.event, attempts=[*[failed] * (call.attempts - 1), answered], ended_ms=2_000)

    # Web processes

    @rule()
    def the_processes_look_after_their_calls(self) -> None:
        for one in self.processes:
            one._renewed = 0
            one.look()
        for call in self.alive():
            if call.state == "unanswered":
                self.saved = None
            call.state = {"unsent": "ended", "unanswered": "given back"}.get(call.state, call.state)

    @rule(at=which)
    def a_process_is_killed(self, at: int) -> None:
        self.processes[at % 2] = process()
        for waiter in list(self.waiters.values()):
            if waiter.process not in self.processes:
                self.is_not_heard(self.waiters.pop(waiter.request_id))
        for call in self.calls.values():
            if call.process not in self.processes and call.state in {"unsent", "unanswered"}:
                call.state = "running"

    @precondition(lambda self: self.in_flight())
    @rule(at=which, swept=st.booleans())
    def the_leases_of_a_process_end(self, at: int, swept: bool) -> None:  # noqa: FBT001 - as drawn
        """It hangs, or was killed."""
        owner = self.one_of(self.in_flight(), at).process
        self.end_leases([call for call in self.in_flight() if call.process is owner])
        if swept:
            self.the_sweep_comes()

    def the_sweep_comes(self) -> None:
        admission.abandon(100)

    def end_leases(self, calls: list[Call]) -> None:
        for call in calls:
            with store().pipeline(transaction=False) as pipeline:
                for key in (CALLS, *(slots_key(meter.name) for meter in call.meters)):
                    pipeline.zadd(key, {call.event.request_id: PAST}, xx=True)
                pipeline.execute()
            call.lease_ended = call.loose = True

    # The worker

    @rule(most=st.integers(1, 6))
    def the_worker_settles(self, most: int) -> None:
        self.saved = None
        self.last_batch = read(0)[:most]
        self.book(self.last_batch)

    @rule(most=st.integers(1, 6))
    def the_worker_stops_before_it_tells_redis(self, most: int) -> None:
        """What it would have told, it may tell much later, or never."""
        entries = read(0)[:most]
        told: list[tuple[Any, ...]] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(admission, "settled", lambda *what: told.append(what))
            if entries:
                book(entries)
        self.untold = [(entries, what) for what in told]

    @precondition(lambda self: self.untold)
    @rule()
    def the_worker_goes_on_and_tells_redis(self) -> None:
        self.saved = None
        entries, what = self.untold.pop()
        admission.settled(*what)
        self.are_settled(entries)

    @rule()
    def a_second_worker_settles_the_same(self) -> None:
        self.saved = None
        self.book(self.last_batch)

    def book(self, entries: list[Entry]) -> None:
        if entries:
            book(entries)
        self.are_settled(entries)

    def are_settled(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.calls[entry.event.request_id].settled = True

    # Redis

    @rule()
    def redis_is_emptied(self) -> None:
        store().flushall()
        self.saved = None
        self.keep_the_worker_awake()
        self.forget_what_nobody_knows()
        self.the_processes_look_after_their_calls()
        store().set(WARMING, 0)
        self.the_processes_look_after_their_calls()
        assert store().exists(EPOCH)

    @rule()
    def redis_writes_itself_to_disk(self) -> None:
        # Of queues nothing is saved: after a restart a waiter that has left meanwhile is dropped in a moment.
        found = [key for key in store().scan_iter() if not key.startswith(QUEUES)]
        self.saved = {key: store().dump(key) for key in found}

    @precondition(lambda self: self.saved is not None)
    @rule()
    def redis_loses_its_last_moments(self) -> None:
        """It restarts from what it has written."""
        assert self.saved is not None
        store().flushall()
        for key, value in self.saved.items():
            store().restore(key, 0, value)
        self.forget_what_nobody_knows()
        for one in self.processes:
            one._life = ("before", "")
        self.the_processes_look_after_their_calls()

    def forget_what_nobody_knows(self) -> None:
        """Redis has lost what only it knew; what is in a process or in SQL is known."""
        self.untold, self.queues = [], Queues()
        rows = booked()
        for call in self.calls.values():
            if call.process not in self.processes and call.event.request_id not in rows:
                call.may_be_lost = True
            if call.in_flight:
                call.restored = True
            if call.state == "running" and call.process in self.processes and not call.loose:
                call.holds = {window: call.event.hold for window in call.budgets if call.event.hold}
                call.loose = self.saved is not None
            else:
                call.loose = True

    # Limits change

    @rule(meter=st.sampled_from(METERS), budget=budgets)
    def a_budget_is_changed(self, meter: str, budget: int | None) -> None:
        self.meters[meter] = replace(self.meters[meter], max_budget=budget)

    @rule(meter=st.sampled_from(METERS))
    def a_window_ends(self, meter: str) -> None:
        if self.meters[meter].window_start:
            ended = self.meters[meter].window_start
            self.meters[meter] = replace(self.meters[meter], window_start=ended + 100, previous_start=ended)

    # What holds after every step

    @invariant()
    def money_and_slots_are_where_they_should_be(self) -> None:
        self.every_budget_is_the_sum_of_its_calls()
        self.every_call_stands_in_redis_as_it_should()
        self.every_slot_is_a_call_in_flight()
        self.every_queue_is_in_the_order_of_coming()

    def every_budget_is_the_sum_of_its_calls(self) -> None:
        windows = sorted(self.windows())
        for state in holds.audit(windows, [])[0].values():
            assert (state.held, state.due) == (state.holds, state.costs)

    def every_call_stands_in_redis_as_it_should(self) -> None:
        found = {window: self.amounts(window) for window in self.windows()}
        for call in self.calls.values():
            for window in call.budgets:
                assert found[window].get(call.event.request_id, {("", 0)}) <= call.stands(window)

    def every_slot_is_a_call_in_flight(self) -> None:
        for name, meter in self.meters.items():
            taken = slots_of(name)
            # Calls that lost their slots, and went on, get them back when Redis is filled again.
            if not any(self.calls[request_id].restored for request_id in taken):
                assert meter.max_parallel is None or len(taken) <= meter.max_parallel
            limited = {call for call in self.calls.values() if name in limited_by(call)}
            assert taken <= {call.event.request_id for call in limited if call.in_flight or call.loose}
            assert taken >= {call.event.request_id for call in limited if call.in_flight and not call.loose}

    def every_queue_is_in_the_order_of_coming(self) -> None:
        for name in self.meters:
            asked, dead = {one.decode() for one in store().zrange(asked_key(name), 0, -1)}, dead_of(name)
            line = [one.decode() for one in store().zrange(queue_key(name), 0, -1)]
            assert set(line) == asked
            assert [one for one in line if one not in dead] == self.queues.line(name)

    def windows(self) -> set[Window]:
        return {window for call in self.calls.values() for window in call.budgets}

    def amounts(self, window: Window) -> dict[str, set[tuple[str, int]]]:
        """What each call holds and costs in one budget."""
        found: dict[str, set[tuple[str, int]]] = {}
        for name, amount in store().hgetall(holds_key(*window)).items():
            found.setdefault(name[1:].decode(), set()).add((chr(name[0]), int(amount)))
        return found

    # What holds in the end

    @precondition(lambda self: len(self.calls) > 5)
    @rule()
    def everything_comes_to_rest(self) -> None:
        self.saved = None
        while self.waiters:
            self.a_waiting_call_gives_up(0)
        for call in self.running():
            self.where(call).end(self.ending(call, "half"), call.meters, call.cost, 0)
            call.state = "ended"
        self.the_processes_look_after_their_calls()
        known = {request_id.decode() for request_id in store().zrange(CALLS, 0, -1)}
        self.end_leases([self.calls[request_id] for request_id in sorted(known)])
        self.the_sweep_comes()
        while entries := read(0):
            self.book(entries)
        self.the_processes_look_after_their_calls()
        self.nothing_is_left_in_flight()
        self.every_call_is_booked_once()
        self.no_budget_was_passed_by_more_than_calls_cost_above_their_holds()
        assert list(books.differences()) == []

    def nothing_is_left_in_flight(self) -> None:
        assert [store().exists(key) for key in (CALLS, TEMPLATES, UNREADABLE)] == [0, 0, 0]
        assert store().xlen(EVENTS) == 0
        assert [slots_of(name) for name in self.meters] == [set()] * len(self.meters)
        assert [one for one in self.processes if one._running or one._unsent] == []
        for window in self.windows():
            assert (money_of(window).held, money_of(window).due) == (0, 0)

    def every_call_is_booked_once(self) -> None:
        rows, sums = booked(), dict[Window, int]()
        for request_id, call in self.calls.items():
            found = rows.pop(request_id, [])
            if not found:
                assert call.state == "given back" or call.may_be_lost
            elif found[0].outcome == "abandoned":
                assert call.lease_ended
                assert [row.cost in call.costs_if_abandoned for row in found] == [True]
            else:
                assert [row.cost for row in found] == [0] * (call.attempts - 1) + [call.cost]
            for window in windows_of(call):
                sums[window] = sums.get(window, 0) + sum(row.cost for row in found)
        assert rows == {}
        assert balances.spend(sums) == sums
        for window in sums:
            state = holds.audit([window], [])[0][window]
            assert state.spend in (None, sums[window])

    def no_budget_was_passed_by_more_than_calls_cost_above_their_holds(self) -> None:
        costs_ = {request_id: sum(row.cost for row in rows) for request_id, rows in booked().items()}
        for window, (budget, calls) in self.last_permit.items():
            limited = [one for one in self.calls.values() if window in one.budgets]
            spent = sum(costs_.get(one.event.request_id, 0) for one in limited)
            above = [costs_.get(one.event.request_id, 0) - one.promised.get(window, 0) for one in calls]
            assert spent <= budget + sum(amount for amount in above if amount > 0)

    def teardown(self) -> None:
        if sys.exc_info()[0] is None and self.meters:
            self.everything_comes_to_rest()

    # Who there is

    def alive(self) -> list[Call]:
        return [one for one in self.calls.values() if one.process in self.processes]

    def running(self) -> list[Call]:
        return [one for one in self.alive() if one.state == "running"]

    def ended(self) -> list[Call]:
        return [one for one in self.alive() if one.state == "ended"]

    def in_flight(self) -> list[Call]:
        return [one for one in self.calls.values() if one.in_flight]

    def one_of(self, calls: list[Call], at: int) -> Call:
        return calls[at % len(calls)]

    def where(self, call: Call) -> InFlight:
        (found,) = [one for one in self.processes if one is call.process]
        return found


def windows_of(call: Call) -> list[Window]:
    """All that the call's cost is part of, with a budget or without."""
    return [(name, start) for name, start, _ in call.event.meters]


def limited_by(call: Call) -> set[str]:
    """The meters on which it takes a slot."""
    return {meter.name for meter in call.meters if meter.max_parallel is not None}


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """SQLite only: what differs on PostgreSQL is not the order of things."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'tollgate.db')}"


@pytest.fixture
def traffic(gateway_app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    # Nothing moves meanwhile, so the second look sees the same a moment later or at once.
    monkeypatch.setattr(books, "SECOND_LOOK_SECONDS", 0)
    # Nor is a waiter dropped because this machine is slow.
    monkeypatch.setattr(admission, "WAITER_MS", 600_000)
    caplog.set_level(logging.ERROR, logger="app")
    with gateway_app.app_context():
        yield


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("traffic")
def test_money_and_slots_add_up_whatever_happens() -> None:
    run(Traffic, settings=settings() if settings.get_current_profile_name() == LONG else QUICK)


# Stories that are found too seldom when they are made up.


def story(limit: Meter) -> Traffic:
    """Traffic with one limit, on key a1."""
    told = Traffic()
    told.meters = {name: Meter(name) for name in METERS} | {limit.name: limit}
    return told


@pytest.mark.usefixtures("traffic")
def test_a_call_given_up_and_ended_in_one_batch_is_booked_once() -> None:
    told = story(Meter("key:a1", max_budget=100))
    told.calls_come("a1", ["half"], 0)
    told.the_leases_of_a_process_end(0, swept=True)
    told.a_call_ends(0, size="half", retried=True)
    told.everything_comes_to_rest()


@pytest.mark.usefixtures("traffic")
def test_a_call_given_up_twice_is_due_once() -> None:
    told = story(Meter("key:a1", max_budget=100))
    told.calls_come("a1", ["half"], 0)
    told.the_leases_of_a_process_end(0, swept=True)
    told.redis_writes_itself_to_disk()
    told.redis_loses_its_last_moments()
    told.the_leases_of_a_process_end(0, swept=True)
    told.money_and_slots_are_where_they_should_be()


@pytest.mark.usefixtures("traffic")
def test_a_worker_that_tells_late_overwrites_nothing_newer() -> None:
    told = story(Meter("key:a1", max_budget=100))
    told.a_call_comes_and_ends("a1", "tiny", "all")
    told.the_worker_stops_before_it_tells_redis(6)
    told.a_call_comes_and_ends("a1", "tiny", "all")
    told.the_worker_settles(6)
    told.the_worker_goes_on_and_tells_redis()
    told.everything_comes_to_rest()


@pytest.mark.usefixtures("traffic")
def test_a_slot_that_another_call_has_taken_is_not_renewed() -> None:
    told = story(Meter("key:a1", max_parallel=1))
    told.calls_come("a1", ["half"], 0)
    told.the_leases_of_a_process_end(0, swept=False)
    told.calls_come("a1", ["half"], 1)
    told.the_processes_look_after_their_calls()
    told.money_and_slots_are_where_they_should_be()
