"""Another model stands in for one that fails: admitted again, at its own price, for those who may use it."""

from __future__ import annotations

import threading

import pytest

from tests.chaos.counters import leftovers
from tests.journeys.conftest import Person
from tests.journeys.routing.models import asked, error, rows
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

TOO_LONG = {
    "error": {"message": "Too long.", "type": "invalid_request_error", "param": None, "code": "context_length_exceeded"}
}
DISLIKED = {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": "content_filter"}}


def limited(stack: Stack, admin: Person, user_id: str, **limits: object) -> Person:
    made = admin.post("/user/new", {"user_id": user_id} | limits)
    assert made.status_code == 200, made.text
    return Person(made.json()["key"], stack.urls[0])


def test_a_stand_in_answers_and_every_attempt_is_a_row_of_the_model_that_was_asked(
    caller: Person, admin: Person, ada: str
) -> None:
    answer = caller.chat("down")
    assert (answer.status_code, answer.headers["x-tollgate-model"]) == (200, "stand-in")
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"
    *failed, success = rows(admin, ada, 4)
    assert [(row["model_group"], row["status"], row["spend"]) for row in failed] == [("down", "failure", 0)] * 3
    assert (success["model_group"], success["status"], success["spend"]) == ("stand-in", "success", 0.1)
    first = failed[0]["request_id"]
    assert {row["request_id"] for row in failed} == {first}
    assert success["request_id"] == answer.headers["x-request-id"] == f"{first}-1"


def test_a_stream_is_stood_in_for_before_its_first_byte(caller: Person) -> None:
    answer = caller.chat("down", stream=True)
    assert (answer.status_code, answer.text.rstrip()[-6:]) == (200, "[DONE]")


def test_a_stand_in_that_fails_has_stand_ins_of_its_own_and_none_is_tried_twice(
    caller: Person, provider: ScriptedProvider
) -> None:
    answer = caller.chat("down-too")
    assert (answer.status_code, answer.headers["x-litellm-attempted-fallbacks"]) == (200, "2")
    assert asked(provider, "stand-in-1") == 1


def test_a_stand_in_is_only_for_callers_who_may_use_it(
    stack: Stack, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    caller = limited(stack, admin, ada, models=["down"])
    assert caller.chat("down").status_code in {500, 503}
    assert asked(provider, "stand-in-1") == 0


def test_a_free_model_with_a_paid_stand_in_does_not_spend_past_the_budget(
    stack: Stack, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    caller = limited(stack, admin, ada, max_budget=0.15)
    told = [caller.chat("free-down", max_tokens=100).status_code for _ in range(4)]
    # The second is the last call of the budget: it may finish.
    assert told == [200, 200, 500, 500]
    assert asked(provider, "dear-1") == 2


def test_a_strict_budget_is_kept_by_stand_ins_too(
    stack: Stack, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    caller = limited(stack, admin, ada, max_budget=0.15, strict=True)
    assert [caller.chat("free-down", max_tokens=100).status_code for _ in range(3)] == [200, 500, 500]
    assert asked(provider, "dear-1") == 1


def test_a_request_counts_once_in_a_minute_however_many_models_it_takes(stack: Stack, admin: Person, ada: str) -> None:
    caller = limited(stack, admin, ada, rpm_limit=2)
    assert [caller.chat("down").status_code for _ in range(3)] == [200, 200, 429]


def test_a_call_takes_one_slot_however_many_models_it_takes(stack: Stack, admin: Person, ada: str) -> None:
    caller = limited(stack, admin, ada, max_parallel_requests=1)
    assert [caller.chat("down").status_code for _ in range(2)] == [200, 200]
    until(lambda: not leftovers(stack.redis_url, ada))


@pytest.mark.parametrize(
    ("model", "body", "stand_in"),
    [("short", TOO_LONG, "long"), ("prim", DISLIKED, "lenient")],
    ids=["length", "policy"],
)
def test_a_request_that_one_model_cannot_take_goes_to_the_one_named_for_that(
    caller: Person, provider: ScriptedProvider, model: str, body: dict[str, object], stand_in: str
) -> None:
    provider.script.append({"status": 400, "body": body})
    answer = caller.chat(model)
    assert (answer.status_code, answer.headers["x-tollgate-model"]) == (200, stand_in)


def test_a_request_that_is_wrong_goes_nowhere_else(caller: Person, provider: ScriptedProvider) -> None:
    provider.script.append({"status": 400})
    assert caller.chat("short").status_code == 400
    assert len(provider.calls) == 1


def test_where_nobody_answers_the_first_error_is_told(caller: Person, admin: Person, ada: str) -> None:
    limited_key = admin.post("/key/generate", {"user_id": ada, "models": ["down-too", "down"]}).json()["key"]
    answer = Person(limited_key, caller.url).chat("down-too")
    assert answer.status_code == 500
    assert answer.headers["x-tollgate-model"] == "down-too"


# Other names


def test_a_model_answers_to_its_other_names_and_is_booked_under_its_own(
    caller: Person, admin: Person, ada: str
) -> None:
    assert [caller.chat(name).status_code for name in ("nickname", "secret-name")] == [200, 200]
    assert {row["model_group"] for row in rows(admin, ada, 2)} == {"single"}


def test_other_names_are_listed_unless_they_are_hidden(caller: Person) -> None:
    listed = {model["id"] for model in caller.get("/v1/models").json()["data"]}
    assert ("nickname" in listed, "secret-name" in listed) == (True, False)


def test_a_name_does_not_open_a_model_that_the_caller_may_not_use(stack: Stack, admin: Person, ada: str) -> None:
    caller = limited(stack, admin, ada, models=["down"])
    assert error(caller.chat("nickname")) == (403, "model_not_allowed")


# A process that dies


def test_a_process_that_dies_in_a_stand_in_leaves_the_rows_of_both_models(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider, stack: Stack
) -> None:
    def call() -> None:
        with pytest.raises(OSError):  # noqa: PT011 - whatever a connection that breaks raises
            caller.at(stack.urls[1]).chat("busy-down")

    calling = threading.Thread(target=call)
    calling.start()
    until(lambda: asked(provider, "slow-stand-in-1") == 1)
    stack.kill(1)
    calling.join()
    try:
        # The call of the dead process is booked when its lease has ended.
        until(lambda: len(admin.get("/spend/logs", user_id=ada).json()) == 4, seconds=30)
        until(lambda: not leftovers(stack.redis_url, ada))
    finally:
        stack.restart(1)
    *failed, abandoned = rows(admin, ada, 4)
    assert {(row["model_group"], row["status"]) for row in failed} == {("busy-down", "failure")}
    assert (abandoned["status"], abandoned["spend"]) == ("abandoned", 0.1)
    assert abandoned["request_id"] == failed[0]["request_id"] + "-1"
