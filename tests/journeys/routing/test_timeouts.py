"""Nobody waits for ever: not for a first byte, not between two pieces, not for the whole of an answer."""

from __future__ import annotations

import time

from tests.journeys.conftest import Person
from tests.journeys.routing.models import asked, error, last_event, rows, streamed
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider


def test_a_stream_that_does_not_begin_comes_from_another_deployment(caller: Person, provider: ScriptedProvider) -> None:
    answer = streamed(caller, "stuck")
    assert (answer.status_code, last_event(answer)) == (200, "[DONE]")
    assert [asked(provider, f"stuck-{number}") for number in (1, 2)] == [1, 1]
    until(lambda: provider.calls[0].left)


def test_an_answer_that_does_not_come_in_time_comes_from_another_deployment(
    caller: Person, provider: ScriptedProvider
) -> None:
    assert caller.chat("stuck").status_code == 200
    assert [asked(provider, f"stuck-{number}") for number in (1, 2)] == [1, 1]


def test_a_stream_whose_next_piece_does_not_come_is_ended_and_booked(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    answer = streamed(caller, "late-pieces")
    assert last_event(answer)["error"]["code"] == "provider_timeout"
    (row,) = rows(admin, ada, 1)
    assert (row["status"], row["usage_source"]) == ("failure", "counted")
    assert len(provider.calls) == 1


def test_a_stream_that_takes_too_long_in_all_is_ended_and_booked(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    began = time.monotonic()
    answer = streamed(caller, "endless")
    assert 1 <= time.monotonic() - began < 5
    assert last_event(answer)["error"]["code"] == "provider_timeout"
    (row,) = rows(admin, ada, 1)
    assert (row["status"], row["usage_source"]) == ("failure", "counted")
    until(lambda: provider.calls[0].left)


def test_a_whole_answer_that_takes_too_long_is_tried_again_and_then_given_up(
    caller: Person, admin: Person, ada: str, provider: ScriptedProvider
) -> None:
    assert error(caller.chat("slow-whole")) == (504, "provider_timeout")
    assert asked(provider, "slow-whole-1") == 3
    assert {row["status"] for row in rows(admin, ada, 3)} == {"failure"}
