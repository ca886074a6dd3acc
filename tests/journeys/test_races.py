"""The races that LiteLLM 1.109.1 loses (its observed results stand in README's table), run here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.journeys.conftest import Person, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def spend(admin: Person, user_id: str) -> float:
    return float(admin.get("/user/info", user_id=user_id).json()["user_info"]["spend"])


def at_once(number: int, call: Callable[[int], Any]) -> Counter[int]:
    with ThreadPoolExecutor(number) as pool:
        return Counter(answer.status_code for answer in pool.map(call, range(number)))


def test_four_calls_at_once_without_a_cap_on_five_dollars_are_all_answered(
    stack: Stack, person: Callable[..., Person]
) -> None:
    caller = person(max_budget=5)
    told = at_once(4, lambda number: caller.at(stack.urls[number % 2]).chat("slow-dime"))
    assert told == {200: 4}


def test_twelve_calls_in_a_row_without_a_pause_are_all_answered(person: Callable[..., Person]) -> None:
    caller = person(max_budget=5)
    assert Counter(caller.chat("dime").status_code for _ in range(12)) == {200: 12}


def test_eight_calls_at_once_to_a_provider_that_ignores_its_cap_do_not_pass_the_budget(
    stack: Stack, admin: Person, person: Callable[..., Person], provider: ScriptedProvider, ada: str
) -> None:
    caller = person(user_id=ada, max_budget=0.1)
    told = at_once(8, lambda number: caller.at(stack.urls[number % 2]).chat("wordy", max_tokens=1))
    assert told == {200: 2, 429: 6}
    until(lambda: spend(admin, ada) == 0.1)
    assert len(provider.calls) == 2


def test_spend_is_not_lost_when_everything_is_killed_after_three_calls(own_stack: Stack) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, user_id="ada", max_budget=0.4)
    for _ in range(3):
        caller.chat("dime", max_tokens=100)
    own_stack.workers[0].kill()
    own_stack.kill(0)
    own_stack.web[0].start()
    own_stack.web[0].wait_until_ready()
    own_stack.workers[0].start()
    until(lambda: spend(admin, "ada") == 0.3)
    assert [caller.chat("dime", max_tokens=100).status_code for _ in range(2)] == [200, 429]


def test_a_window_of_five_seconds_opens_at_its_second(admin: Person, person: Callable[..., Person], ada: str) -> None:
    caller = person(user_id=ada, max_budget=0.1, budget_duration="5s")
    caller.chat("dime", max_tokens=100)
    until(lambda: spend(admin, ada) == 0.1)
    refused = caller.chat("dime", max_tokens=100)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 5
    time.sleep(wait)
    assert caller.chat("dime", max_tokens=100).status_code == 200


def test_a_window_opens_while_the_worker_is_dead(own_stack: Stack) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, user_id="ada", max_budget=0.1, budget_duration="5s")
    caller.chat("dime", max_tokens=100)
    until(lambda: spend(admin, "ada") == 0.1)
    own_stack.workers[0].kill()
    until(lambda: caller.chat("dime", max_tokens=100).status_code == 200)


def test_refusals_for_want_of_a_slot_take_nothing(
    stack: Stack, admin: Person, person: Callable[..., Person], provider: ScriptedProvider, ada: str
) -> None:
    caller = person(user_id=ada, max_parallel_requests=1, max_budget=1)
    told = at_once(20, lambda number: caller.at(stack.urls[number % 2]).chat("slow-dime", max_tokens=100))
    assert told == {200: 1, 429: 19}
    until(lambda: spend(admin, ada) == 0.1)
    assert len(provider.calls) == 1
