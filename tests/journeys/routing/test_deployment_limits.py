"""Limits of single deployments hold over all processes, and a call goes where there is room."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import redis

from tests.journeys.conftest import Person, user_of
from tests.journeys.routing.models import asked, error, rows
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def test_no_deployment_runs_more_calls_than_it_takes_and_the_rest_wait(
    caller: Person, other: Person, provider: ScriptedProvider, stack: Stack
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda person: person.chat("narrow"), (caller, other) * 4))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert provider.max_in_flight == 2
    with redis.Redis.from_url(stack.redis_url) as client:
        until(lambda: not any(client.zcard(f"tollgate:places:narrow-{number}") for number in (1, 2)))


def test_a_deployment_takes_its_requests_of_a_minute_and_the_next_one_the_others(
    caller: Person, other: Person, provider: ScriptedProvider
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda person: person.chat("two-a-minute"), (caller, other) * 4))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert [asked(provider, f"two-a-minute-{number}") for number in (1, 2)] == [2, 6]


def test_a_call_that_finds_no_room_is_told_so_and_takes_nothing(
    stack: Stack, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    caller = user_of(stack, admin, user_id=ada, rpm_limit=3)
    told = [caller.chat("one-a-minute") for _ in range(3)]
    assert Counter(answer.status_code for answer in told) == {200: 1, 429: 2}
    refused = told[-1]
    assert error(refused) == (429, "deployment_limit")
    assert {name: refused.json()["error"][name] for name in ("scope", "limit", "current")} == {
        "scope": "deployment",
        "limit": 1,
        "current": 1,
    }
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert provider.url not in refused.text
    assert len(provider.calls) == 1
    # The two refused calls took nothing of the user's three a minute either.
    assert [caller.chat("single").status_code for _ in range(3)] == [200, 200, 429]
    rows(admin, ada, 3)


def test_a_call_that_no_minute_of_the_deployment_has_room_for_is_told_that_waiting_is_no_use(caller: Person) -> None:
    refused = caller.chat("few-tokens", max_tokens=51)
    assert error(refused) == (429, "deployment_limit")
    assert refused.headers["x-should-retry"] == "false"


def test_tokens_count_as_they_were_used(caller: Person, other: Person) -> None:
    # Each is reckoned with its cap of 50 and some of input, and uses 40 in all: the minute of 120 has room for two.
    told = [person.chat("used-tokens", max_tokens=50).status_code for person in (caller, other, caller)]
    assert told == [200, 200, 429]
