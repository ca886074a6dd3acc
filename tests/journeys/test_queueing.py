"""Calls that wait for a parallel slot: first come, first served, whichever process they came to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import redis as redis_py

from tests.journeys.conftest import Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

WAITING = 4
# So long does the first call run that all others come while it does.
LONG_SECONDS = 4.0


@pytest.fixture
def queue_of(stack: Stack) -> Callable[[str], list[str]]:
    """queue_of("user:ada") gives the calls that wait, the oldest first."""

    def read(scope: str) -> list[str]:
        with redis_py.Redis.from_url(stack.redis_url) as client:
            waiting: Any = client.zrange(f"tollgate:queue:{scope}", 0, -1)
            return [call.decode() for call in waiting]

    return read


def test_calls_that_wait_are_served_in_the_order_in_which_they_came(
    stack: Stack,
    person: Callable[..., Person],
    ada: str,
    queue_of: Callable[[str], list[str]],
    provider: ScriptedProvider,
) -> None:
    caller = person(user_id=ada, max_parallel_requests=1, queue_timeout=30)
    callers = [caller, caller.at(stack.urls[1])]
    provider.delay = LONG_SECONDS
    with ThreadPoolExecutor(WAITING + 1) as crowd:
        calls = [crowd.submit(caller.chat, "slow-dime", max_tokens=100)]
        until(lambda: len(provider.calls) == 1)
        provider.delay = 0
        for number in range(WAITING):
            calls.append(crowd.submit(callers[number % 2].chat, "slow-dime", max_tokens=100 + number))
            until(lambda number=number: len(queue_of(f"user:{ada}")) == number + 1)  # type: ignore[misc]
        statuses = [call.result().status_code for call in calls]
    assert statuses == [200] * (WAITING + 1)
    assert [call.body["max_tokens"] for call in provider.calls[1:]] == [100 + number for number in range(WAITING)]


def test_who_has_waited_for_long_enough_is_refused_and_leaves_the_queue(
    person: Callable[..., Person], ada: str, queue_of: Callable[[str], list[str]], provider: ScriptedProvider
) -> None:
    caller = person(user_id=ada, max_parallel_requests=1, queue_timeout=0.2)
    with ThreadPoolExecutor(1) as background:
        running: Future[Any] = background.submit(caller.chat, "slow-dime", max_tokens=100)
        until(lambda: len(provider.calls) == 1)
        refused = caller.chat("slow-dime", max_tokens=100)
        running.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "max_parallel_requests")
    assert "within 0.2 s" in refused.json()["error"]["message"]
    assert queue_of(f"user:{ada}") == []
    assert len(provider.calls) == 1


# Queues are in Redis alone.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_nobody_waits_behind_a_process_that_was_killed(own_stack: Stack, provider: ScriptedProvider) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    made = admin.post("/user/new", {"user_id": "ada", "max_parallel_requests": 1, "queue_timeout": 60}).json()
    here, there = Person(made["key"], own_stack.urls[0]), Person(made["key"], own_stack.urls[1])
    provider.delay = LONG_SECONDS
    with ThreadPoolExecutor(3) as crowd, redis_py.Redis.from_url(own_stack.redis_url) as client:
        running = crowd.submit(here.chat, "slow-dime", max_tokens=100)
        until(lambda: len(provider.calls) == 1)
        provider.delay = 0
        doomed = crowd.submit(there.chat, "slow-dime", max_tokens=100)
        until(lambda: client.zcard("tollgate:queue:user:ada") == 1)
        last = crowd.submit(here.chat, "slow-dime", max_tokens=101)
        until(lambda: client.zcard("tollgate:queue:user:ada") == 2)
        own_stack.kill(1)
        assert (running.result().status_code, last.result().status_code) == (200, 200)
        assert doomed.exception() is not None
    assert provider.calls[1].body["max_tokens"] == 101
