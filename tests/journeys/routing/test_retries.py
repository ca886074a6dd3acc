"""A failing deployment is asked again, after a pause; one that has had enough of us is not."""

from __future__ import annotations

import pytest
import requests

from tests.chaos.counters import leftovers
from tests.journeys.conftest import Person
from tests.journeys.routing.models import asked, error, last_event, rows, streamed
from tests.journeys.waiting import until
from tests.scripted_http import RETRY_AFTER
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def test_a_call_that_fails_once_is_answered_by_its_retry(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    answer = caller.chat("flaky")
    assert (answer.status_code, answer.headers["x-litellm-attempted-retries"]) == (200, "1")
    assert asked(provider, "flaky-1") == 2
    first, second = rows(admin, ada, 2)
    assert first["request_id"] == second["request_id"] == answer.headers["x-request-id"]
    assert [row["status"] for row in (first, second)] == ["failure", "success"]


def test_a_call_that_keeps_failing_is_tried_twice_more_and_each_attempt_has_its_row(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    assert caller.chat("always-500").status_code == 500
    assert asked(provider, "always-500-1") == 3
    assert [row["attempt"] for row in rows(admin, ada, 3)] == [0, 1, 2]


def test_pauses_between_retries_grow(caller: Person, provider: ScriptedProvider) -> None:
    caller.chat("always-500")
    first, second, third = (call.time for call in provider.calls)
    # Up to a quarter of half a second, and of a second, is taken off at random.
    assert second - first >= 0.375
    assert third - second >= 0.75


def test_a_model_may_have_a_policy_of_its_own(caller: Person, provider: ScriptedProvider) -> None:
    assert caller.chat("impatient").status_code == 500
    assert asked(provider, "impatient-1") == 1


def test_a_callers_own_mistake_is_not_tried_again(caller: Person, provider: ScriptedProvider) -> None:
    assert caller.chat("picky").status_code == 400
    assert len(provider.calls) == 1


def test_a_deployment_that_does_not_take_our_key_is_not_asked_again_but_another_is(
    caller: Person, provider: ScriptedProvider
) -> None:
    assert caller.chat("bad-key").status_code == 200
    assert [asked(provider, f"bad-key-{number}") for number in (1, 2)] == [1, 1]


# Rate limits


def test_a_rate_limit_of_the_only_deployment_costs_one_call_and_then_none(
    caller: Person, other: Person, provider: ScriptedProvider
) -> None:
    refused = caller.chat("limited")
    assert error(refused) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) <= int(RETRY_AFTER)
    for person in (caller, other) * 3:
        again = person.chat("limited")
        assert error(again) == (429, "provider_rate_limit")
        assert 1 <= int(again.headers["retry-after"]) <= int(RETRY_AFTER)
    assert len(provider.calls) == 1


def test_a_call_that_no_provider_has_seen_has_no_row(caller: Person, admin: Person, ada: str) -> None:
    assert [caller.chat("limited-booked").status_code for _ in range(3)] == [429, 429, 429]
    (row,) = rows(admin, ada, 1)
    assert (row["status"], row["model_id"]) == ("failure", "limited-booked-1")


def test_rate_limits_are_not_multiplied_by_deployments(
    caller: Person, other: Person, provider: ScriptedProvider
) -> None:
    answers = [person.chat("limited-thrice") for person in (caller, other) * 5]
    assert {answer.status_code for answer in answers} == {429}
    assert all(1 <= int(answer.headers["retry-after"]) <= int(RETRY_AFTER) for answer in answers)
    assert [asked(provider, f"limited-thrice-{number}") for number in (1, 2, 3)] == [1, 1, 1]


def test_another_deployment_answers_for_one_that_is_rate_limited_in_all_processes(
    caller: Person, other: Person, provider: ScriptedProvider
) -> None:
    answers = [person.chat("half-limited") for person in (caller, other) * 5]
    assert {answer.status_code for answer in answers} == {200}
    assert [asked(provider, f"half-limited-{number}") for number in (1, 2)] == [1, 10]


def test_a_client_that_leaves_in_a_pause_ends_the_call(
    stack: Stack, caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    provider.script.append({"status": 503, "headers": {"Retry-After": "7"}})
    body = {"model": "short", "messages": []}
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            caller.url + "/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {caller.secret}"},
            timeout=0.5,
        )
    (row,) = rows(admin, ada, 1)
    assert row["status"] == "failure"
    until(lambda: not leftovers(stack.redis_url, ada))
    assert len(provider.calls) == 1


# Streams


def test_a_stream_that_breaks_before_its_first_event_comes_from_another_deployment(
    caller: Person, provider: ScriptedProvider
) -> None:
    answer = streamed(caller, "mute")
    assert (answer.status_code, last_event(answer)) == (200, "[DONE]")
    assert [asked(provider, f"mute-{number}") for number in (1, 2)] == [1, 1]


def test_a_stream_that_has_begun_is_not_begun_again(caller: Person, provider: ScriptedProvider) -> None:
    answer = streamed(caller, "torn")
    assert last_event(answer)["error"]["code"] == "provider_failed"
    assert [asked(provider, f"torn-{number}") for number in (1, 2)] == [1, 0]


@pytest.mark.parametrize("name", ["flaky", "mute"])
def test_what_answered_is_named_in_headers(caller: Person, name: str) -> None:
    headers = streamed(caller, name).headers
    assert (headers["x-tollgate-model"], headers["x-litellm-attempted-fallbacks"]) == (name, "0")
    assert headers["x-litellm-model-id"].startswith(name)


def test_a_model_name_that_no_header_can_hold_is_written_in_ascii(caller: Person) -> None:
    answer = caller.chat("any-é\n1")
    assert (answer.status_code, answer.headers["x-tollgate-model"]) == (200, "any-%C3%A9%0A1")
