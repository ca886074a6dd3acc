"""Whatever a provider does: an honest ending for the client, one row, a cost that is right or marked as counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from tests.chaos.counters import leftovers
from tests.journeys.conftest import OPENAI_KEY, Person
from tests.journeys.waiting import until
from tests.scripted_answers import TEXT
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

DONE = "data: [DONE]"
BUDGET = 5
# A token of output costs a tenth of a cent, and twenty of them are what the provider says unless it is told otherwise.
TOKEN = 0.001
RIGHT_COST = 20 * TOKEN
# What is counted: three bytes to a token.
COUNTED_COST = -(-len(TEXT) // 3) * TOKEN


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@dataclass
class Story:
    """One user's calls at a provider that has been told how to misbehave."""

    user_id: str
    caller: Person
    admin: Person
    redis_url: str
    provider: ScriptedProvider

    def call(self, model: str = "scripted", **behaviour: Any) -> Any:
        self.provider.script.append(behaviour)
        return self.caller.chat(model, max_tokens=100)

    def stream(self, model: str = "scripted", **behaviour: Any) -> Any:
        self.provider.script.append(behaviour)
        return self.caller.chat(model, max_tokens=100, stream=True)

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.admin.get("/spend/logs", user_id=self.user_id).json()
        return rows

    def row(self) -> dict[str, Any]:
        """The one row of the one call, once nothing of it is in flight any more; the user's spend is its cost."""
        until(lambda: bool(self.rows()))
        until(lambda: not leftovers(self.redis_url, self.user_id))
        (row,) = self.rows()
        assert len(self.provider.calls) == 1
        assert self.spend() == row["spend"]
        return row

    def spend(self) -> float:
        return float(self.admin.get("/user/info", user_id=self.user_id).json()["user_info"]["spend"])


@pytest.fixture
def story(stack: Stack, admin: Person, person: Callable[..., Person], provider: ScriptedProvider, ada: str) -> Story:
    caller = person(user_id=ada, max_budget=BUDGET, max_parallel_requests=2)
    return Story(ada, caller, admin, stack._environ["REDIS_URL"], provider)


def events(answer: Any) -> list[dict[str, Any]]:
    """The JSON of each event of a stream, without its [DONE]. Events that hold none are left out."""
    found = []
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            try:
                found.append(orjson.loads(line[6:]))
            except orjson.JSONDecodeError:
                continue
    return found


def text(answer: Any) -> str:
    deltas = [choice["delta"] for event in events(answer) for choice in event.get("choices") or [] if choice]
    return "".join(delta.get("content") or "" for delta in deltas)


def error_code(answer: Any) -> str | None:
    """What the last event says is wrong."""
    return next((event["error"]["code"] for event in events(answer)[-1:] if "error" in event), None)


def outcome(row: dict[str, Any]) -> tuple[str, str, float]:
    return row["status"], row["usage_source"], row["spend"]


# Usage


def test_an_answer_without_usage_is_counted(story: Story) -> None:
    assert story.call(usage=None).status_code == 200
    assert outcome(story.row()) == ("success", "counted", COUNTED_COST)


def test_a_stream_without_usage_is_counted(story: Story) -> None:
    answer = story.stream(usage=None)
    assert answer.text.rstrip().endswith(DONE)
    assert outcome(story.row()) == ("success", "counted", COUNTED_COST)


def test_a_counted_stream_costs_what_the_same_answer_costs_in_one_piece(story: Story) -> None:
    story.call(usage=None)
    story.stream(usage=None)
    until(lambda: len(story.rows()) == 2)
    assert len({row["spend"] for row in story.rows()}) == 1


def test_of_two_usages_in_a_stream_the_last_one_counts(story: Story) -> None:
    story.stream(first_usage=usage(1, 1), usage=usage(10, 20))
    assert outcome(story.row()) == ("success", "provider", RIGHT_COST)


def test_usage_that_comes_before_the_text_counts(story: Story) -> None:
    assert text(story.stream(first_usage=usage(10, 20), usage=None)) == TEXT
    assert outcome(story.row()) == ("success", "provider", RIGHT_COST)


def test_usage_in_an_event_of_the_text_counts(story: Story) -> None:
    assert text(story.stream(usage_at=2)) == TEXT
    assert outcome(story.row()) == ("success", "provider", RIGHT_COST)


@pytest.mark.parametrize("absurd", [usage(10, -20), usage(-10, 20), usage(10, 10**12), usage(10**12, 20)])
def test_negative_or_absurd_usage_is_not_believed(story: Story, absurd: dict[str, int]) -> None:
    assert story.call(usage=absurd).status_code == 200
    assert outcome(story.row()) == ("success", "counted", COUNTED_COST)


def test_absurd_usage_of_a_stream_is_not_believed(story: Story) -> None:
    story.stream(usage=usage(10, 10**12))
    assert outcome(story.row()) == ("success", "counted", COUNTED_COST)


def test_usage_of_nothing_is_nothing(story: Story) -> None:
    story.call(usage=usage(0, 0))
    assert outcome(story.row()) == ("success", "provider", 0.0)


def test_usage_of_nothing_at_the_end_of_a_stream_is_nothing(story: Story) -> None:
    story.stream(usage=usage(0, 0))
    assert outcome(story.row()) == ("success", "provider", 0.0)


def test_output_past_the_stated_cap_is_paid_for(story: Story) -> None:
    assert story.call(usage=usage(0, 1000)).status_code == 200
    assert outcome(story.row()) == ("success", "provider", 1.0)


# Answers that are none


def test_a_redirect_is_not_followed_and_costs_nothing(story: Story) -> None:
    moved: dict[str, Any] = {
        "status": 307,
        "body": {"moved": True},
        "headers": {"Location": story.provider.url + "/v1/elsewhere"},
    }
    answer = story.call(**moved)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_failed")
    assert outcome(story.row()) == ("failure", "none", 0.0)


def test_an_error_with_a_good_status_costs_nothing_and_tells_no_key(story: Story) -> None:
    said = {"error": {"message": f"Incorrect API key provided: {OPENAI_KEY}.", "code": 401}}
    answer = story.call(body=said)
    assert (OPENAI_KEY in answer.text, "[redacted]" in answer.text) == (False, True)
    assert outcome(story.row()) == ("failure", "provider", 0.0)


# Streams that are broken or cut


@pytest.mark.parametrize("end", ["\n\n", ""])
def test_an_error_in_a_stream_tells_no_key(story: Story, end: str) -> None:
    said = f'data: {{"error": {{"message": "Incorrect API key provided: {OPENAI_KEY}."}}}}{end}'
    answer = story.stream(body=said, headers={"Content-Type": "text/event-stream"})
    assert (OPENAI_KEY in answer.text, "[redacted]" in answer.text) == (False, True)


def test_garbage_between_events_harms_nobody(story: Story) -> None:
    answer = story.stream(garbage=True)
    assert answer.text.rstrip().endswith(DONE)
    assert outcome(story.row()) == ("success", "provider", RIGHT_COST)


def test_a_stream_that_is_cut_says_so_and_is_counted(story: Story) -> None:
    answer = story.stream(cut_after=4)
    assert DONE not in answer.text
    assert error_code(answer) == "provider_failed"
    row = story.row()
    assert outcome(row) == ("failure", "counted", -(-len(text(answer)) // 3) * TOKEN)
    assert row["spend"] > 0


def test_a_stream_that_is_cut_in_the_middle_of_an_event_says_so_and_is_counted(story: Story) -> None:
    answer = story.stream(torn_after=4)
    assert DONE not in answer.text
    assert error_code(answer) == "provider_failed"
    row = story.row()
    assert outcome(row) == ("failure", "counted", -(-len(text(answer)) // 3) * TOKEN)
    assert row["spend"] > 0


def test_an_error_event_ends_a_stream_without_its_done(story: Story) -> None:
    answer = story.stream(error_after=3)
    assert DONE not in answer.text
    assert events(answer)[-1]["error"]["type"] == "server_error"
    assert outcome(story.row()) == ("failure", "counted", -(-len(text(answer)) // 3) * TOKEN)


def test_a_stream_that_ends_without_its_done_gets_none_from_us(story: Story) -> None:
    answer = story.stream(done=False)
    assert DONE not in answer.text
    assert outcome(story.row())[1:] == ("provider", RIGHT_COST)


def test_a_stream_that_falls_silent_is_ended_and_counted(story: Story) -> None:
    answer = story.stream("hasty", hang_after=4)
    assert DONE not in answer.text
    assert error_code(answer) == "provider_timeout"
    row = story.row()
    assert (row["status"], row["usage_source"]) == ("failure", "counted")
    assert row["spend"] > 0


def test_an_endless_stream_ends_when_its_client_leaves(story: Story) -> None:
    story.provider.script.append({"endless": True, "gap": 0.02})
    body = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = story.caller.post("/v1/chat/completions", body, stream=True)
    lines = answer.iter_lines()
    for _ in range(40):
        next(lines)
    answer.close()
    row = story.row()
    assert (row["status"], row["usage_source"]) == ("cancelled", "counted")
    assert row["spend"] > 0
    until(lambda: story.provider.calls[0].left)


# Answers that are none


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", '{"choices": [{"mess'])
def test_an_answer_that_is_not_json_is_a_failure_of_the_provider(story: Story, body: str) -> None:
    answer = story.call(body=body, headers={"Content-Type": "text/html"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_failed")
    row = story.row()
    assert (row["status"], row["usage_source"]) == ("failure", "counted")


def test_a_stream_without_a_single_event_is_a_failure_of_the_provider(story: Story) -> None:
    answer = story.stream(body="", headers={"Content-Type": "text/event-stream"})
    assert answer.status_code == 502 or error_code(answer) == "provider_failed"
    assert story.row()["status"] == "failure"


def test_a_page_instead_of_a_stream_is_a_failure_of_the_provider(story: Story) -> None:
    answer = story.stream(body="<html>Bad gateway</html>", headers={"Content-Type": "text/html"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_failed")
    assert story.row()["status"] == "failure"


def test_a_connection_that_is_dropped_before_the_answer_is_a_failure_of_the_provider(story: Story) -> None:
    answer = story.call(drop=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_failed")
    assert outcome(story.row()) == ("failure", "none", 0.0)


@pytest.mark.parametrize("ask", [Story.call, Story.stream])
def test_a_provider_that_says_nothing_in_time_is_given_up(story: Story, ask: Callable[..., Any]) -> None:
    began = time.monotonic()
    answer = ask(story, "hasty", hang=True)
    assert time.monotonic() - began < 3
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
    assert story.row()["status"] == "failure"
    until(lambda: story.provider.calls[0].left)


def test_an_error_of_the_provider_is_passed_on_and_costs_nothing(story: Story) -> None:
    answer = story.call(status=429)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert outcome(story.row()) == ("failure", "none", 0.0)


# Ids


def test_two_answers_with_one_id_are_two_rows(story: Story) -> None:
    ids = [story.call(same_id=True).json()["id"] for _ in range(2)]
    assert len(set(ids)) == 1
    until(lambda: len(story.rows()) == 2)
    until(lambda: story.spend() == 2 * RIGHT_COST)
