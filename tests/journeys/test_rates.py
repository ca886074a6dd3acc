"""Requests and tokens per minute over HTTP: a refusal and a reset of each, for keys and for users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import redis as redis_py

from tests.journeys.conftest import Person, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

Holder = Callable[..., tuple[Person, str]]
# A call of "dime" states 100 tokens and uses 100; its body is about twenty tokens.
CAP = 100
# For each limit: what makes it full after one call.
FULL_AFTER_ONE = {"rpm_limit": 1, "tpm_limit": 150}


@pytest.fixture(params=["key", "user"])
def holder(request: pytest.FixtureRequest, admin: Person, stack: Stack, ada: str) -> Holder:
    """holder(rpm_limit=1) gives somebody with a limit of the key or of the user, and the limit's scope."""

    def make(**limits: int) -> tuple[Person, str]:
        if request.param == "user":
            return user_of(stack, admin, user_id=ada, **limits), f"user:{ada}"
        made = admin.post("/key/generate", limits).json()
        return Person(made["key"], stack.urls[0]), f"key:{made['key_id']}"

    return make


def let_a_minute_pass(stack: Stack, scope: str) -> None:
    """Everything that Redis remembers of this meter's requests and tokens lies a minute further back."""
    with redis_py.Redis.from_url(stack.redis_url) as client:
        for key in (f"tollgate:requests:{scope}", f"tollgate:tokens:{scope}"):
            moments: Any = client.zrange(key, 0, -1, withscores=True)
            for member, moment in moments:
                client.zadd(key, {member: moment - 60_001})


def tokens_left(answer: Any) -> int:
    return int(answer.headers["x-ratelimit-remaining-tokens"])


@pytest.mark.parametrize("limit", FULL_AFTER_ONE)
def test_a_call_over_the_limit_is_refused_by_both_processes_until_a_minute_has_passed(
    stack: Stack, provider: ScriptedProvider, holder: Holder, limit: str
) -> None:
    caller, scope = holder(**{limit: FULL_AFTER_ONE[limit]})
    assert caller.chat("dime", max_tokens=CAP).status_code == 200
    refused = caller.at(stack.urls[1]).chat("dime", max_tokens=CAP)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"], error["scope"], error["limit"]) == (
        *(429, "throttling_error", limit),
        *(scope, FULL_AFTER_ONE[limit]),
    )
    assert len(provider.calls) == 1
    let_a_minute_pass(stack, scope)
    assert caller.at(stack.urls[1]).chat("dime", max_tokens=CAP).status_code == 200


@pytest.mark.parametrize("limit", FULL_AFTER_ONE)
def test_a_refusal_says_truly_when_to_come_back(holder: Holder, limit: str) -> None:
    caller, _ = holder(**{limit: FULL_AFTER_ONE[limit]})
    caller.chat("dime", max_tokens=CAP)
    refused = caller.chat("dime", max_tokens=CAP)
    unit = {"rpm_limit": "requests", "tpm_limit": "tokens"}[limit]
    wait = int(refused.headers["Retry-After"])
    resets_at = datetime.fromisoformat(refused.json()["error"]["resets_at"])
    assert 55 <= wait <= 61
    assert (resets_at - datetime.now(UTC)).total_seconds() == pytest.approx(wait, abs=2)
    assert refused.headers[f"x-ratelimit-reset-{unit}"] in {f"{wait}s", f"1m{wait - 60}s"}
    assert "x-should-retry" not in refused.headers


@pytest.mark.parametrize("limit", ["rpm_limit", "tpm_limit"])
def test_a_limit_of_zero_lets_nothing_through_and_waiting_is_no_use(holder: Holder, limit: str) -> None:
    caller, _ = holder(**{limit: 0})
    refused = caller.chat("dime", max_tokens=CAP)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, limit)
    assert (refused.headers["x-should-retry"], "Retry-After" in refused.headers) == ("false", False)


def test_seven_of_forty_calls_at_once_at_two_processes(
    stack: Stack, person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    caller = person(rpm_limit=7)
    callers = [caller, caller.at(stack.urls[1])]
    with ThreadPoolExecutor(40) as crowd:
        answers = list(crowd.map(lambda number: callers[number % 2].chat("busy"), range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 7, 429: 33}
    assert len(provider.calls) == 7


def test_tokens_of_forty_calls_at_once_never_pass_the_limit(
    stack: Stack, person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    caller = person(tpm_limit=1000)
    callers = [caller, caller.at(stack.urls[1])]
    with ThreadPoolExecutor(40) as crowd:
        answers = list(crowd.map(lambda number: callers[number % 2].chat("slow-dime", max_tokens=200), range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 4, 429: 36}
    assert len(provider.calls) == 4


def test_tokens_count_as_the_provider_says_once_a_call_has_ended(person: Callable[..., Person]) -> None:
    caller = person(tpm_limit=1000)
    first, second = caller.chat("busy", max_tokens=900), caller.chat("busy", max_tokens=900)
    assert (first.status_code, second.status_code) == (200, 200)
    assert tokens_left(first) - tokens_left(second) == 1


def test_a_call_without_a_cap_goes_out_without_one_however_small_the_limit(
    person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    assert person(tpm_limit=30).chat("busy").status_code == 200
    assert {"max_tokens", "max_completion_tokens"}.isdisjoint(provider.calls[0].body)


def test_a_stated_cap_beyond_the_limit_is_refused_for_good(
    person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    refused = person(tpm_limit=100).chat("busy", max_tokens=1, max_completion_tokens=10_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "tpm_limit")
    assert "can never fit" in refused.json()["error"]["message"]
    assert (refused.headers["x-should-retry"], provider.calls) == ("false", [])


def test_a_provider_error_costs_a_request_and_no_tokens(person: Callable[..., Person]) -> None:
    caller = person(rpm_limit=5, tpm_limit=1000)
    caller.chat("broken", max_tokens=900)
    second = caller.chat("busy", max_tokens=900)
    assert (second.status_code, second.headers["x-ratelimit-remaining-requests"]) == (200, "3")


@pytest.mark.parametrize("stream", [False, True])
def test_every_answer_says_how_the_limits_stand(person: Callable[..., Person], stream: bool) -> None:  # noqa: FBT001
    told = person(rpm_limit=5, tpm_limit=1000).chat("stream", stream=stream, max_tokens=CAP).headers
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-limit-tokens"]) == ("5", "1000")
    assert told["x-ratelimit-remaining-requests"] == "4"
    assert 800 < int(told["x-ratelimit-remaining-tokens"]) < 900
    assert told["x-ratelimit-reset-requests"] in {"1m0s", "1m1s"}
    assert told["x-ratelimit-reset-tokens"] in {"1m0s", "1m1s"}


def test_a_provider_that_drops_the_call_is_told_with_the_limits_too(
    person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    provider.script.append({"drop": True})
    failed = person(rpm_limit=5).chat("scripted")
    assert (failed.status_code, failed.headers["x-ratelimit-remaining-requests"]) == (502, "4")


def test_answers_to_those_without_such_limits_say_nothing_of_them(person: Callable[..., Person]) -> None:
    assert not [name for name in person(max_budget=1).chat("dime").headers if "ratelimit" in name.lower()]


def test_a_streamed_call_is_corrected_too(person: Callable[..., Person]) -> None:
    caller = person(tpm_limit=1000)
    caller.chat("stream", stream=True, max_tokens=900)
    until(lambda: caller.chat("stream", max_tokens=900).status_code == 200)


def test_calls_that_are_refused_for_a_slot_cost_no_request(
    person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    caller = person(max_parallel_requests=1, rpm_limit=3)
    with ThreadPoolExecutor(1) as background:
        running = background.submit(caller.chat, "slow-dime")
        until(lambda: provider.in_flight == 1)
        refused = [caller.chat("dime").json()["error"]["code"] for _ in range(4)]
        assert running.result().status_code == 200
    assert refused == ["max_parallel_requests"] * 4
    assert [caller.chat("dime").status_code for _ in range(3)] == [200, 200, 429]


def test_a_raised_limit_counts_at_once(stack: Stack, admin: Person, person: Callable[..., Person], ada: str) -> None:
    caller = person(user_id=ada, rpm_limit=1)
    assert [caller.chat("dime").status_code for _ in range(2)] == [200, 429]
    admin.post("/user/update", {"user_id": ada, "rpm_limit": 2})
    assert [caller.at(stack.urls[1]).chat("dime").status_code for _ in range(2)] == [200, 429]
