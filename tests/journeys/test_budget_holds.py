"""A budget holds under concurrency, and nobody is told "exceeded" too early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.journeys.conftest import Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def spend(admin: Person, user_id: str) -> float:
    return float(admin.get("/user/info", user_id=user_id).json()["user_info"]["spend"])


def statuses(admin: Person, user_id: str) -> set[str]:
    return {key["status"] for key in admin.get("/user/info", user_id=user_id).json()["keys"]}


def test_a_hundred_calls_of_ten_cents_on_one_dollar(
    stack: Stack, admin: Person, person: Callable[..., Person], provider: ScriptedProvider, ada: str
) -> None:
    caller = person(user_id=ada, max_budget=1)
    callers = [caller, caller.at(stack.urls[1])]
    with ThreadPoolExecutor(100) as crowd:
        answers = list(crowd.map(lambda number: callers[number % 2].chat("slow-dime", max_tokens=100), range(100)))
    told = Counter((answer.status_code, None if answer.ok else answer.json()["error"]["code"]) for answer in answers)
    assert told == {(200, None): 10, (429, "budget_exceeded"): 90}
    assert len(provider.calls) == 10
    until(lambda: spend(admin, ada) == 1.0)
    assert len(admin.get("/spend/logs", user_id=ada).json()) == 10
    until(lambda: statuses(admin, ada) == {"revoked"})


def test_those_who_are_refused_are_told_what_user_info_shows(
    admin: Person, person: Callable[..., Person], ada: str
) -> None:
    caller = person(user_id=ada, max_budget=0.1)
    caller.chat("dime", max_tokens=100)
    refused = caller.chat("dime", max_tokens=100)
    error = refused.json()["error"]
    assert (error["code"], error["scope"], error["limit"]) == ("budget_exceeded", f"user:{ada}", 0.1)
    assert error["current"] == spend(admin, ada)
    assert refused.headers["x-should-retry"] == "false"


def test_two_hundred_calls_in_a_row_without_a_pause_are_never_refused(
    stack: Stack, person: Callable[..., Person]
) -> None:
    caller = person(max_budget=25)
    callers = [caller, caller.at(stack.urls[1])]
    refused = [answer.text for number in range(200) if not (answer := callers[number % 2].chat("dime")).ok]
    assert refused == []


def test_a_raised_budget_opens_the_keys_at_once(
    stack: Stack, admin: Person, person: Callable[..., Person], ada: str
) -> None:
    caller = person(user_id=ada, max_budget=0.1)
    caller.chat("dime", max_tokens=100)
    until(lambda: statuses(admin, ada) == {"revoked"})
    assert caller.chat("dime", max_tokens=100).status_code == 429
    admin.post("/user/update", {"user_id": ada, "max_budget": 0.2})
    assert caller.at(stack.urls[1]).chat("dime", max_tokens=100).status_code == 200


def test_money_that_is_held_makes_a_call_wait_and_not_fail(stack: Stack, person: Callable[..., Person]) -> None:
    caller = person(max_budget=0.2)
    with ThreadPoolExecutor(2) as pair:
        # Each states no cap, so the first of them holds all that there is.
        answers = list(pair.map(lambda url: caller.at(url).chat("slow-dime"), stack.urls))
    assert [answer.status_code for answer in answers] == [200, 200]


def test_a_strict_budget_states_the_cap_that_fits(person: Callable[..., Person], provider: ScriptedProvider) -> None:
    caller = person(max_budget=0.05, strict=True)
    answer = caller.chat("dime")
    assert answer.headers["x-tollgate-max-tokens"] == "50"
    assert provider.calls[0].body["max_tokens"] == 50


def test_a_strict_budget_refuses_a_cap_that_does_not_fit_and_names_the_one_that_would(
    person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    refused = person(max_budget=0.05, strict=True).chat("dime", max_tokens=100)
    assert refused.json()["error"]["code"] == "budget_too_small"
    assert "at most 50 output tokens" in refused.json()["error"]["message"]
    assert provider.calls == []


def test_a_provider_error_costs_nothing_and_keeps_its_status(
    admin: Person, person: Callable[..., Person], ada: str
) -> None:
    caller = person(user_id=ada, max_budget=1)
    assert caller.chat("broken").status_code == 500
    until(lambda: len(admin.get("/spend/logs", user_id=ada).json()) == 1)
    (row,) = admin.get("/spend/logs", user_id=ada).json()
    assert (row["status"], row["spend"]) == ("failure", 0.0)


def test_a_streamed_call_costs_what_it_would_have_cost_whole(
    admin: Person, person: Callable[..., Person], ada: str
) -> None:
    caller = person(user_id=ada, max_budget=1)
    streamed = caller.chat("stream", stream=True)
    assert streamed.text.rstrip().endswith("data: [DONE]")
    caller.chat("stream")
    until(lambda: len(admin.get("/spend/logs", user_id=ada).json()) == 2)
    assert {row["spend"] for row in admin.get("/spend/logs", user_id=ada).json()} == {0.01}
