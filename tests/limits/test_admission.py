"""What admission promises of one call, on a real Valkey."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.extensions import redis
from app.ledger.event import CallEvent
from app.limits import admission
from app.limits.admission import Balance, Verdict
from app.limits.meters import EPOCH, EVENTS, SETTLED, WARMING, Meter, budget_key, holds_key, slots_key

pytestmark = pytest.mark.usefixtures("limits")

LEASE_MS = 30_000
ADA = Meter("user:ada", max_budget=100)
KEY = Meter("key:k1", max_budget=1000)
ONE_SLOT = Meter("key:k1", max_parallel=1)


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


def template(request_id: str, meters: list[Meter], hold: int) -> bytes:
    counted: list[list[object]] = [
        [meter.name, meter.window_start, int(meter.max_budget is not None)] for meter in meters
    ]
    return CallEvent(
        request_id=request_id,
        key_id="k1",
        token="0" * 64,
        user_id="ada",
        end_user=None,
        route="chat/completions",
        model_name="m",
        stream=False,
        started_ms=1,
        hold=hold,
        meters=counted,
    ).to_bytes()


def ask(request_id: str, *meters: Meter, estimate: int = 10, lease_ms: int = LEASE_MS) -> Verdict:
    return admission.admit(request_id, meters, [], estimate, lease_ms, template(request_id, list(meters), estimate))


def seed(meter: Meter, spend: int = 0, version: int = 0) -> None:
    admission.seed(Balance(meter.name, meter.window_start, spend, version))


def state(meter: Meter) -> dict[str, int]:
    found = store().hgetall(budget_key(meter.name, meter.window_start))
    return {name.decode(): int(value) for name, value in found.items()}


def everything() -> dict[bytes, bytes]:
    keys = set(store().scan_iter()) - {EPOCH.encode()}
    return {key: store().dump(key) or b"" for key in keys}


def test_a_call_that_fits_is_admitted_and_holds_its_estimate() -> None:
    seed(ADA)
    verdict = ask("r1", ADA)
    assert (verdict.reason, verdict.left) == ("permit", 90)
    assert state(ADA)["held"] == 10


def test_an_unknown_balance_is_asked_for_and_nothing_is_taken() -> None:
    verdict = ask("r1", ADA)
    assert (verdict.reason, verdict.meter) == ("unseeded", ADA)
    assert everything() == {}


def test_settled_spend_at_the_budget_is_exceeded() -> None:
    seed(ADA, spend=100)
    verdict = ask("r1", ADA)
    assert (verdict.reason, verdict.spend) == ("exceeded", 100)


def test_a_budget_of_zero_refuses_the_first_call() -> None:
    broke = Meter("user:ada", max_budget=0)
    seed(broke)
    assert ask("r1", broke).reason == "exceeded"


def test_a_free_call_passes_over_the_budget() -> None:
    seed(ADA, spend=100)
    assert ask("r1", ADA, estimate=0).reason == "permit"


def test_held_money_is_not_called_exceeded() -> None:
    seed(ADA)
    ask("r1", ADA, estimate=95)
    verdict = ask("r2", ADA, estimate=10)
    assert (verdict.reason, verdict.taken, verdict.spend) == ("held", 95, 0)


def test_the_last_call_holds_all_that_is_left() -> None:
    seed(ADA, spend=60)
    assert ask("r1", ADA, estimate=500).reason == "permit"
    assert state(ADA)["held"] == 40


def test_a_strict_budget_does_not_let_the_last_call_pass_it() -> None:
    strict = Meter("user:ada", max_budget=100, strict=True)
    seed(strict, spend=60)
    verdict = ask("r1", strict, estimate=500)
    assert (verdict.reason, verdict.left) == ("short", 40)


def test_calls_that_are_finished_and_not_settled_do_not_count_as_in_flight() -> None:
    seed(ADA)
    ask("r1", ADA, estimate=50)
    admission.finish("r1", [ADA], 60, b"event")
    assert ask("r2", ADA, estimate=50).reason == "permit"
    assert state(ADA) == {"spend": 0, "version": 0, "held": 40, "due": 60}


def test_unsettled_cost_up_to_the_budget_waits_for_the_worker_and_is_not_called_exceeded() -> None:
    seed(ADA)
    ask("r1", ADA, estimate=50)
    admission.finish("r1", [ADA], 100, b"event")
    assert ask("r2", ADA, estimate=1).reason == "held"


def test_a_refused_call_changes_nothing_of_any_meter() -> None:
    seed(KEY)
    seed(ADA, spend=100)
    before = everything()
    ask("r1", KEY, ADA, Meter("key:k1", max_parallel=3))
    assert everything() == before


def test_a_call_without_a_free_slot_takes_no_money() -> None:
    seed(ADA)
    ask("r1", ONE_SLOT)
    before = everything()
    assert ask("r2", ADA, ONE_SLOT).reason == "parallel"
    assert everything() == before


def test_the_next_call_after_a_finished_one_finds_the_slot_free() -> None:
    ask("r1", ONE_SLOT)
    admission.finish("r1", [ONE_SLOT], 0, b"event")
    assert ask("r2", ONE_SLOT).reason == "permit"


def test_a_slot_is_free_when_its_lease_has_ended() -> None:
    ask("r1", ONE_SLOT, lease_ms=30)
    time.sleep(0.05)
    assert ask("r2", ONE_SLOT).reason == "permit"


def test_a_renewed_lease_keeps_its_slot() -> None:
    ask("r1", ONE_SLOT, lease_ms=60)
    admission.renew(LEASE_MS, [("r1", [slots_key(ONE_SLOT.name)])])
    time.sleep(0.1)
    assert ask("r2", ONE_SLOT).reason == "parallel"


def test_a_lease_that_was_taken_away_is_not_renewed_into_being() -> None:
    admission.renew(LEASE_MS, [("r1", [slots_key(ONE_SLOT.name)])])
    assert everything() == {}


def test_asking_twice_with_one_request_id_takes_once() -> None:
    seed(ADA)
    ask("r1", ADA, ONE_SLOT)
    assert ask("r1", ADA, ONE_SLOT).reason == "permit"
    assert state(ADA)["held"] == 10


def test_a_changed_policy_version_is_stale() -> None:
    store().set("policy", "new")
    verdict = admission.admit("r1", [], [("policy", "old")], 0, LEASE_MS, b"{}")
    assert verdict.reason == "stale"


def test_a_call_that_never_took_place_gives_everything_back_and_books_nothing() -> None:
    seed(ADA)
    ask("r1", ADA, ONE_SLOT)
    admission.finish("r1", [ADA, ONE_SLOT], 0, b"")
    assert state(ADA) == {"spend": 0, "version": 0, "held": 0}
    assert store().xlen(EVENTS) == 0


def test_finishing_twice_counts_the_cost_once() -> None:
    seed(ADA)
    ask("r1", ADA)
    admission.finish("r1", [ADA], 7, b"event")
    admission.finish("r1", [ADA], 7, b"event")
    assert state(ADA)["due"] == 7


def test_only_the_first_of_many_finished_calls_wakes_the_worker() -> None:
    woken = [admission.finish(f"r{number}", [], 0, b"event").wake for number in range(3)]
    assert woken == [True, False, False]


def test_a_settled_cost_moves_from_due_to_spend() -> None:
    seed(ADA)
    ask("r1", ADA)
    admission.finish("r1", [ADA], 7, b"event")
    entry = store().xrange(EVENTS)[0][0]
    admission.settled([Balance(ADA.name, 0, 7, 1)], {(ADA.name, 0)}, [entry], [(ADA.name, 0, "r1")])
    assert state(ADA) == {"spend": 7, "version": 1, "held": 0, "due": 0}
    assert store().xlen(EVENTS) == 0


def test_costs_settled_together_are_taken_off_to_the_last_nano_dollar() -> None:
    seed(ADA)
    costs = {"r1": 2**53 - 1, "r2": 2**53 - 3, "r3": 5, "r4": 2**53 - 1}
    for request_id, cost in costs.items():
        ask(request_id, ADA, estimate=0)
        admission.finish(request_id, [ADA], cost, b"event")
    admission.settled([Balance(ADA.name, 0, 7, 1)], {(ADA.name, 0)}, [], [(ADA.name, 0, one) for one in costs])
    assert state(ADA)["due"] == 0


def test_what_an_ended_call_leaves_is_not_kept_for_ever() -> None:
    seed(ADA)
    ask("r1", ADA)
    admission.finish("r1", [ADA], 7, b"event")
    kept = [store().pttl(key) for key in (budget_key(ADA.name, 0), holds_key(ADA.name, 0))]
    assert all(0 < ms <= admission.IDLE_MS for ms in kept)


def test_neither_is_the_cost_of_a_call_that_redis_does_not_know() -> None:
    admission.finish("r1", [ADA], 7, b"event")
    kept = [store().pttl(key) for key in (budget_key(ADA.name, 0), holds_key(ADA.name, 0))]
    assert all(0 < ms <= admission.IDLE_MS for ms in kept)


def test_settling_twice_changes_nothing() -> None:
    seed(ADA)
    ask("r1", ADA)
    admission.finish("r1", [ADA], 7, b"event")
    for _ in range(2):
        admission.settled([Balance(ADA.name, 0, 7, 1)], {(ADA.name, 0)}, [], [(ADA.name, 0, "r1")])
    assert state(ADA) == {"spend": 7, "version": 1, "held": 0, "due": 0}


def test_an_older_balance_never_overwrites_a_newer_one() -> None:
    seed(ADA, spend=50, version=9)
    seed(ADA, spend=10, version=3)
    assert state(ADA)["spend"] == 50


def test_a_window_of_its_own_starts_from_its_own_balance() -> None:
    first, second = Meter("user:ada", 100, window_start=1), Meter("user:ada", 100, window_start=2)
    seed(first, spend=100)
    seed(second)
    assert (ask("r1", first).reason, ask("r2", second).reason) == ("exceeded", "permit")


def test_a_dead_process_leaves_its_holds_as_costs_and_one_event() -> None:
    seed(ADA)
    seed(KEY)
    ask("r1", ADA, KEY, estimate=30, lease_ms=20)
    time.sleep(0.04)
    assert admission.abandon(10) == 1
    assert (state(ADA)["held"], state(ADA)["due"], state(KEY)["due"]) == (0, 30, 30)
    (_, fields), *others = store().xrange(EVENTS)
    assert (fields[b"abandoned"], others) == (b"30", [])


def test_a_dead_call_is_booked_for_the_smallest_of_its_holds() -> None:
    seed(ADA, spend=90)
    seed(KEY)
    ask("r1", KEY, ADA, estimate=30, lease_ms=20)
    time.sleep(0.04)
    admission.abandon(10)
    assert (state(ADA)["due"], state(KEY)["due"]) == (10, 10)


def test_a_call_that_was_given_up_and_ends_after_all_is_not_counted_twice() -> None:
    seed(ADA)
    ask("r1", ADA, estimate=30, lease_ms=20)
    time.sleep(0.04)
    admission.abandon(10)
    admission.finish("r1", [ADA], 12, b"event")
    assert (state(ADA)["held"], state(ADA)["due"]) == (0, 30)


def test_a_hundred_at_once_on_money_for_ten_admit_ten() -> None:
    seed(ADA)
    with ThreadPoolExecutor(20) as pool:
        reasons = list(pool.map(lambda number: ask(f"r{number}", ADA, estimate=10).reason, range(100)))
    assert (reasons.count("permit"), reasons.count("held")) == (10, 90)


def test_nothing_is_left_of_a_settled_call_but_its_balance() -> None:
    seed(ADA)
    ask("r1", ADA, ONE_SLOT)
    admission.finish("r1", [ADA, ONE_SLOT], 7, b"event")
    admission.settled(
        [Balance(ADA.name, 0, 7, 1)], {(ADA.name, 0)}, [store().xrange(EVENTS)[0][0]], [(ADA.name, 0, "r1")]
    )
    left = {key.decode() for key in list(store().scan_iter())} - {EPOCH, EVENTS, SETTLED, "tollgate:wake"}
    assert left == {budget_key(ADA.name, 0)}
    assert not store().exists(holds_key(ADA.name, 0))


def test_a_redis_without_an_epoch_admits_nobody() -> None:
    store().flushall()
    assert ask("r1").reason == "cold"


def test_an_emptied_redis_waits_a_moment_and_then_admits() -> None:
    store().flushall()
    assert admission.warm_up() == ""
    store().set(WARMING, 0)
    assert admission.warm_up() != ""
    assert ask("r1").reason == "permit"


def test_a_running_call_is_put_back_with_its_hold_and_its_slot() -> None:
    seed(ADA)
    admission.restore("r1", [ADA, ONE_SLOT], 30, LEASE_MS, template("r1", [ADA], 30))
    assert state(ADA)["held"] == 30
    assert ask("r2", ONE_SLOT).reason == "parallel"


def test_putting_back_a_call_that_redis_knows_changes_nothing() -> None:
    seed(ADA)
    ask("r1", ADA, ONE_SLOT)
    before = everything()
    admission.restore("r1", [ADA, ONE_SLOT], 30, LEASE_MS, b"{}")
    assert everything().keys() == before.keys()
    assert state(ADA)["held"] == 10


def test_a_call_that_was_put_back_ends_like_any_other() -> None:
    seed(ADA)
    admission.restore("r1", [ADA], 30, LEASE_MS, template("r1", [ADA], 30))
    admission.finish("r1", [ADA], 7, b"event")
    assert (state(ADA)["held"], state(ADA)["due"]) == (0, 7)


def test_settling_says_through_which_place_everything_is_settled() -> None:
    place = admission.finish("r1", [], 7, b"event").place
    admission.settled([], set(), [place], [])
    assert store().get(SETTLED) == place


def test_a_balance_that_limits_nobody_is_told_only_where_redis_has_it() -> None:
    seed(ADA)
    admission.settled([Balance(ADA.name, 0, 7, 1), Balance(KEY.name, 0, 7, 1)], set(), [], [])
    assert (state(ADA)["spend"], state(KEY)) == (7, {})


def test_after_a_restart_every_balance_is_asked_for_anew_once() -> None:
    seed(ADA, spend=5, version=2)
    admission.doubt_balances("run-1")
    assert ask("r1", ADA).reason == "unseeded"
    seed(ADA, spend=50, version=3)
    admission.doubt_balances("run-1")
    assert ask("r1", ADA).reason == "permit"


def test_a_doubted_balance_keeps_what_is_held_and_due() -> None:
    seed(ADA)
    ask("r1", ADA, estimate=30)
    admission.doubt_balances("run-1")
    seed(ADA, spend=7, version=1)
    assert state(ADA) == {"spend": 7, "version": 1, "held": 30}
