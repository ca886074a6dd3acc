"""SQL and Redis are compared; what is only not settled yet is no difference."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app import books
from app.extensions import redis
from app.limits.meters import CALLS, EVENTS, budget_key, holds_key, slots_key
from tests.people import Someone
from worker.booking import settle_batch

ADA = budget_key("user:ada", 0)
HOLDS = holds_key("user:ada", 0)


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


@pytest.fixture(autouse=True)
def context(gateway_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(books, "SECOND_LOOK_SECONDS", 0.05)
    with gateway_app.app_context():
        yield


@pytest.fixture
def ada(gateway_app: Flask) -> Someone:
    """Has made two calls that are settled."""
    someone = Someone(gateway_app, max_budget=1, max_parallel_requests=5)
    for _ in range(2):
        someone.call()
    settle_batch(0)
    return someone


def found() -> list[str]:
    return list(books.differences())


@pytest.mark.usefixtures("ada")
def test_settled_calls_make_no_difference() -> None:
    assert store().exists(ADA)
    assert found() == []


def test_calls_that_run_or_are_not_settled_make_no_difference(ada: Someone) -> None:
    ada.call()
    running = ada.begin()
    assert (store().hlen(HOLDS), found()) == (2, [])
    running.close()


@pytest.mark.usefixtures("ada")
def test_another_spend_in_redis_is_a_difference() -> None:
    spend = int(store().hget(ADA, "spend"))
    store().hset(ADA, "spend", 0)
    assert found() == [f"user:ada: Redis says that $0.00 was spent, SQL says $0.{spend:09d}".rstrip("0")]


@pytest.mark.usefixtures("ada")
def test_a_balance_that_redis_was_never_told_is_a_difference() -> None:
    store().hset(ADA, "version", 0)
    assert found() == ["user:ada: Redis has not heard of version 1 of the balance"]


def test_a_balance_that_redis_will_be_told_with_the_next_events_is_none(ada: Someone) -> None:
    ada.call()
    store().hset(ADA, "version", 0)
    assert found() == []


@pytest.mark.usefixtures("ada")
def test_a_balance_that_sql_has_lost_is_a_difference() -> None:
    store().hset(ADA, "version", 7)
    assert found() == ["user:ada: Redis knows version 7 of the balance, SQL only 1"]


@pytest.mark.usefixtures("ada")
def test_held_money_that_no_call_holds_is_a_difference() -> None:
    store().hincrby(ADA, "held", 1)
    assert found() == ["user:ada: $0.000000001 is held, the calls' holds add up to $0.00"]


@pytest.mark.usefixtures("ada")
def test_a_hold_without_a_running_call_is_a_difference() -> None:
    store().hset(HOLDS, "hreq_1", 1)
    store().hincrby(ADA, "held", 1)
    assert found() == ["user:ada: money is held by calls that do not run: req_1"]


@pytest.mark.usefixtures("ada")
def test_costs_that_do_not_add_up_are_a_difference() -> None:
    store().hincrby(ADA, "due", 1)
    assert found() == ["user:ada: $0.000000001 is due, the calls' costs add up to $0.00"]


def test_a_cost_without_an_event_is_a_difference(ada: Someone) -> None:
    request_id = ada.call().headers["x-request-id"]
    store().delete(EVENTS)
    assert found() == [f"user:ada: the cost of calls is due that no event will settle: {request_id}"]


@pytest.mark.usefixtures("ada")
def test_a_slot_without_a_running_call_is_a_difference() -> None:
    store().zadd(slots_key("user:ada"), {"req_1": (time.time() + 60) * 1000})
    assert found() == ["user:ada: slots are taken by calls that do not run: req_1"]


@pytest.mark.usefixtures("ada")
def test_a_slot_whose_lease_has_ended_is_free() -> None:
    store().zadd(slots_key("user:ada"), {"req_1": (time.time() - 1) * 1000})
    assert found() == []


def test_an_event_that_was_set_aside_is_a_difference(ada: Someone) -> None:
    store().xadd(EVENTS, {"e": b"not an event"})
    ada.call()
    settle_batch(0)
    assert found() == ["Redis: events that were set aside because they cannot be booked: 1"]


@pytest.mark.usefixtures("ada")
def test_what_is_put_right_within_a_moment_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "SECOND_LOOK_SECONDS", 0.5)
    store().hincrby(ADA, "held", 1)
    put_right = threading.Timer(0.25, lambda: store().hincrby(ADA, "held", -1))
    put_right.start()
    assert found() == []
    put_right.join()


@pytest.mark.usefixtures("ada")
def test_every_budget_is_looked_at_however_many_there_are() -> None:
    names = {f"user:{number:03}" for number in range(500)}
    with store().pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hset(budget_key(name, 0), mapping={"spend": 5, "version": 0})
        pipeline.execute()
    assert {line.partition(": ")[0] for line in found()} == names


def test_a_comparison_that_takes_too_long_says_so(ada: Someone) -> None:
    ada.call()
    settle_batch(0)
    with pytest.raises(books.OutOfTime):
        list(books.differences(seconds=0))


def test_traffic_makes_no_differences(ada: Someone, gateway_app: Flask) -> None:
    ended = threading.Event()

    def settle_all() -> None:
        with gateway_app.app_context():
            while not ended.is_set() or store().exists(CALLS):
                settle_batch(10)

    def call_often() -> None:
        while not ended.is_set():
            ada.call()

    threads = [threading.Thread(target=settle_all), threading.Thread(target=call_often)]
    for thread in threads:
        thread.start()
    differences = [line for _ in range(10) for line in found()]
    ended.set()
    for thread in threads:
        thread.join()
    assert differences == []
