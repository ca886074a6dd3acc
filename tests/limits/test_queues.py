"""Calls that wait for a parallel slot: first come, first served, over all processes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.limits import admission
from app.limits.meters import ARRIVALS, Meter, Tokens, asked_key, queue_key
from tests.limits.asking import ask, contents, end, held, seed, stop_asking, store, until

pytestmark = pytest.mark.usefixtures("limits", "patience")

KEY = Meter("key:k1", max_parallel=1, queue_ms=5000)
USER = Meter("user:ada", max_parallel=1, queue_ms=5000)
TEAM = Meter("team:t1", max_parallel=1)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiter is dropped because this machine is slow."""
    monkeypatch.setattr(admission, "WAITER_MS", 600_000)


def waiters(meter: Meter) -> list[str]:
    return [request_id.decode() for request_id in store().zrange(queue_key(meter.name), 0, -1)]


def without_queues() -> dict[bytes, tuple[bytes, int]]:
    prefixes = (queue_key("").encode(), asked_key("").encode(), ARRIVALS.encode())
    return {key: value for key, value in contents().items() if not key.startswith(prefixes)}


def test_a_call_that_finds_no_slot_stands_in_the_queue() -> None:
    ask("r1", KEY)
    verdict = ask("r2", KEY)
    assert (verdict.reason, verdict.meter, verdict.taken, verdict.place) == ("queued", KEY, 1, 0)


def test_the_queue_is_in_the_order_of_coming() -> None:
    ask("r1", KEY)
    assert [ask(f"r{number}", KEY).place for number in range(2, 5)] == [0, 1, 2]


def test_asking_again_keeps_the_place() -> None:
    ask("r1", KEY)
    for number in (2, 3, 4):
        ask(f"r{number}", KEY)
    assert [ask(f"r{number}", KEY).place for number in (4, 3, 2, 2)] == [2, 1, 0, 0]


def test_a_free_slot_is_for_the_first_who_waits() -> None:
    ask("r1", KEY)
    for number in (2, 3):
        ask(f"r{number}", KEY)
    end("r1", KEY)
    assert [ask(request_id, KEY).reason for request_id in ("r3", "r2", "r3")] == ["queued", "permit", "queued"]


def test_a_newcomer_stands_behind_all_though_a_slot_is_free() -> None:
    ask("r1", KEY)
    ask("r2", KEY)
    end("r1", KEY)
    verdict = ask("r3", KEY)
    assert (verdict.reason, verdict.taken, verdict.place) == ("queued", 0, 1)


def test_with_as_many_free_slots_as_waiters_and_one_more_a_newcomer_passes() -> None:
    three = replace(KEY, max_parallel=3)
    for number in (1, 2, 3, 4):
        ask(f"r{number}", three)
    end("r1", three)
    end("r2", three)
    assert ask("r5", three).reason == "permit"


def test_the_second_who_waits_may_take_the_second_free_slot() -> None:
    two = replace(KEY, max_parallel=2)
    for number in (1, 2, 3, 4):
        ask(f"r{number}", two)
    end("r1", two)
    end("r2", two)
    assert [ask(request_id, two).reason for request_id in ("r4", "r3")] == ["permit", "permit"]


def test_who_is_admitted_stands_in_no_queue() -> None:
    ask("r1", KEY)
    ask("r2", KEY)
    end("r1", KEY)
    ask("r2", KEY)
    assert (waiters(KEY), store().exists(asked_key(KEY.name))) == ([], 0)


def test_who_gives_up_stands_in_no_queue() -> None:
    ask("r1", KEY, USER)
    ask("r2", KEY, USER)
    admission.leave_queues("r2", [KEY, USER])
    assert (waiters(KEY), waiters(USER), ask("r3", KEY, USER).place) == ([], [], 0)


def test_giving_up_without_a_queue_does_not_ask_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "client", Redis.from_url("redis://127.0.0.1:1/0"))
    admission.leave_queues("r1", [TEAM, Meter("key:k1", queue_ms=5000)])


def test_giving_up_without_redis_is_told_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "client", Redis.from_url("redis://127.0.0.1:1/0"))
    with pytest.raises(LimitsUnavailable):
        admission.leave_queues("r1", [KEY])


def test_a_call_that_waits_takes_nothing() -> None:
    limited = Meter("team:t2", max_budget=100, max_parallel=5, rpm=5, tpm=500)
    seed(limited.name, 0)
    ask("r1", KEY)
    before = without_queues()
    for _ in range(2):
        assert ask("r2", KEY, limited, estimate=10, tokens=Tokens(10, 10)).reason == "queued"
    assert without_queues() == before


def test_a_meter_without_a_queue_refuses_as_before() -> None:
    ask("r1", TEAM)
    before = contents()
    assert ask("r2", TEAM).reason == "parallel"
    assert contents() == before


def test_a_full_meter_without_a_queue_refuses_what_could_wait_elsewhere() -> None:
    ask("r1", KEY, TEAM)
    verdict = ask("r2", KEY, TEAM)
    assert (verdict.reason, verdict.meter, waiters(KEY)) == ("parallel", TEAM, [])


@pytest.mark.parametrize(
    ("refusing", "reason"),
    [
        (Meter("user:bob", max_budget=0), "exceeded"),
        (Meter("user:bob", rpm=0), "rpm"),
        (Meter("user:bob", tpm=0), "tpm"),
        (Meter("user:bob", max_parallel=0), "parallel"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_that_is_refused_for_something_else_stands_in_no_queue(refusing: Meter, reason: str) -> None:
    seed("user:bob", 0)
    ask("r1", KEY)
    ask("r2", KEY)
    assert ask("r2", KEY, refusing, estimate=1, tokens=Tokens(1, 1)).reason == reason
    assert (waiters(KEY), store().exists(asked_key(KEY.name))) == ([], 0)


def test_a_newcomer_that_is_refused_for_something_else_joins_no_queue() -> None:
    ask("r1", KEY)
    before = contents()
    assert ask("r2", KEY, Meter("user:bob", rpm=0)).reason == "rpm"
    assert contents() == before


def test_a_call_stands_in_the_queues_of_all_meters_that_have_no_slot() -> None:
    ask("r1", KEY)
    ask("r2", USER)
    ask("r3", KEY, USER, Meter("team:t2", max_parallel=1, queue_ms=5000))
    assert (waiters(KEY), waiters(USER), store().exists(queue_key("team:t2"))) == (["r3"], ["r3"], 0)


def test_who_came_first_stands_first_in_a_queue_that_it_joins_later() -> None:
    ask("r1", KEY)
    ask("r2", KEY, USER)  # Waits for the key alone.
    ask("r3", USER)
    ask("r4", USER)
    ask("r2", KEY, USER)
    assert waiters(USER) == ["r2", "r4"]


def test_two_queues_never_wait_for_each_other() -> None:
    ask("a", KEY)
    ask("b", USER)
    ask("r1", KEY, USER)
    ask("r2", USER, KEY)
    end("a", KEY)
    end("b", USER)
    assert [ask("r2", USER, KEY).reason, ask("r1", KEY, USER).reason] == ["queued", "permit"]


def test_a_waiter_keeps_its_place_while_another_limit_of_its_own_lets_it_wait() -> None:
    ask("a", KEY)
    ask("b", USER)
    ask("r1", KEY, USER)
    end("a", KEY)
    assert (ask("r2", KEY).reason, ask("r1", KEY, USER).meter) == ("queued", USER)


def test_a_call_that_waits_for_money_keeps_its_place() -> None:
    poor = Meter("user:bob", max_budget=10)
    seed("user:bob", 0)
    ask("spender", poor, estimate=10)
    ask("r1", KEY)
    ask("r2", KEY, poor, estimate=5)
    ask("r3", KEY)
    end("r1", KEY)
    assert ask("r2", KEY, poor, estimate=5).reason == "held"
    assert waiters(KEY) == ["r2", "r3"]
    end("spender", poor, cost=1)
    assert [ask("r3", KEY).reason, ask("r2", KEY, poor, estimate=5).reason] == ["queued", "permit"]


def test_a_call_that_waits_for_money_is_asking() -> None:
    poor = Meter("user:bob", max_budget=10)
    seed("user:bob", 0)
    ask("spender", poor, estimate=10)
    ask("r1", KEY)
    ask("r2", KEY)
    first = store().zscore(asked_key(KEY.name), "r2")
    end("r1", KEY)
    until(lambda: int(time.time() * 1000) > first + 1)
    ask("r2", KEY, poor, estimate=5)
    assert store().zscore(asked_key(KEY.name), "r2") > first


def test_a_call_that_is_too_dear_for_a_strict_budget_may_ask_for_less_from_its_place() -> None:
    strict = Meter("user:bob", max_budget=10, strict=True)
    seed("user:bob", 0)
    ask("r1", KEY)
    ask("r2", KEY, strict, estimate=50)
    ask("r3", KEY)
    end("r1", KEY)
    assert [ask("r2", KEY, strict, estimate=size).reason for size in (50, 10)] == ["short", "permit"]
    assert held(strict) == 10


def test_a_newcomer_that_waits_for_money_alone_joins_no_queue() -> None:
    poor = Meter("user:bob", max_budget=10)
    seed("user:bob", 0)
    ask("spender", poor, estimate=10)
    assert ask("r1", KEY, poor, estimate=5).reason == "held"
    assert ask("r2", KEY).reason == "permit"


def test_a_waiter_that_asks_no_more_does_not_stand_before_others() -> None:
    ask("r1", KEY)
    ask("dead", KEY)
    ask("r2", KEY)
    end("r1", KEY)
    stop_asking("dead", KEY)
    assert ask("r2", KEY).reason == "permit"
    assert (waiters(KEY), store().exists(asked_key(KEY.name))) == ([], 0)


def test_a_waiter_that_was_dropped_stands_behind_those_who_came_meanwhile() -> None:
    ask("r1", KEY)
    ask("slow", KEY)
    ask("r2", KEY)
    stop_asking("slow", KEY)
    assert (ask("r2", KEY).place, ask("slow", KEY).place) == (0, 1)


def test_a_queue_that_nobody_asks_from_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAITER_MS", 20)
    ask("r1", KEY)
    ask("r2", KEY)
    until(lambda: not store().exists(queue_key(KEY.name), asked_key(KEY.name)))


def test_a_full_queue_takes_nobody_more() -> None:
    ask("r1", KEY)
    crowd = {f"w{number}": number for number in range(admission.MOST_WAITING)}
    store().zadd(queue_key(KEY.name), crowd)
    store().zadd(asked_key(KEY.name), dict.fromkeys(crowd, 2**42))
    before = contents()
    verdict = ask("r2", KEY)
    assert (verdict.reason, verdict.meter, verdict.taken) == ("parallel", KEY, 1)
    assert contents() == before
    assert ask("w7", KEY).place == 7


def test_a_thousand_dead_waiters_are_dropped_at_once() -> None:
    crowd = {f"w{number}": number for number in range(admission.MOST_WAITING)}
    store().zadd(queue_key(KEY.name), crowd)
    store().zadd(asked_key(KEY.name), dict.fromkeys(crowd, 1))
    assert ask("r1", KEY).reason == "permit"


def test_an_emptied_redis_has_no_queues_and_the_waiters_join_anew() -> None:
    ask("r1", KEY)
    ask("r2", KEY)
    store().flushall()
    admission.warm_up(at_once=True)
    admission.restore("r1", [KEY], 0, 30_000, b"{}")
    assert ask("r2", KEY).place == 0


def test_a_meter_without_a_queue_leaves_nothing_about_queues() -> None:
    ask("r1", TEAM)
    ask("r2", TEAM)
    assert without_queues() == contents()


def test_a_queue_in_which_nobody_waits_leaves_nothing_about_itself() -> None:
    ask("r1", KEY, USER)
    assert without_queues() == contents()


def served(request_id: str, order: list[str]) -> None:
    """Asks until there is a permit, then ends the call. There is one slot, so nobody writes at the same time."""
    until(lambda: ask(request_id, KEY).reason == "permit")
    order.append(request_id)
    end(request_id, KEY)


def test_many_processes_are_served_in_the_order_in_which_they_came() -> None:
    ask("first", KEY)
    came = [f"r{number}" for number in range(12)]
    for request_id in came:
        ask(request_id, KEY)
    order: list[str] = []
    with ThreadPoolExecutor(len(came)) as pool:
        waiting = [pool.submit(served, request_id, order) for request_id in reversed(came)]
        end("first", KEY)
        for one in waiting:
            one.result()
    assert order == came


def test_newcomers_in_a_hurry_overtake_nobody() -> None:
    ask("first", KEY)
    ask("patient", KEY)
    order: list[str] = []
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(served, f"r{number}", order) for number in range(5)]
        until(lambda: len(waiters(KEY)) == 6)
        end("first", KEY)
        served("patient", order)
        for one in waiting:
            one.result()
    assert (order[0], len(order)) == ("patient", 6)


def test_a_dead_waiter_holds_up_the_others_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ask("first", KEY)
    ask("dead", KEY)
    ask("r1", KEY)
    end("first", KEY)
    assert ask("r1", KEY).reason == "queued"
    monkeypatch.setattr(admission, "WAITER_MS", 200)
    until(lambda: ask("r1", KEY).reason == "permit")
