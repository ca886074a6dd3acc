"""When a measurement is worthless, and when it says more of the load than of the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import psutil  # type: ignore[import-untyped]
import pytest

from benchmarks import measure, processes
from benchmarks.processes import Cores
from benchmarks.systems import Running

TWO = Cores(frozenset({0}), frozenset({1}))
FOUR = Cores(frozenset({0}), frozenset({1, 2, 3}))


def test_a_measurement_in_which_all_went_well_has_no_problem() -> None:
    assert measure._wrong(0, "", 100, 100) == []


def test_a_failed_call_makes_a_measurement_worthless() -> None:
    assert measure._wrong(1, "HTTP/1.1 500 \r\n No", 99, 100) == ["1 of 100 failed: HTTP/1.1 500 No"]


@pytest.mark.parametrize("at_upstream", [0, 99, 101])
def test_answers_that_the_upstream_did_not_give_make_a_measurement_worthless(at_upstream: int) -> None:
    assert measure._wrong(0, "", 100, at_upstream) == [f"100 answers, but {at_upstream} calls at the upstream"]


def test_no_answers_at_all_make_a_measurement_worthless() -> None:
    assert measure._wrong(0, "", 0, 0) == ["nothing was answered"]


def test_calls_that_are_not_in_the_ledger_make_a_measurement_worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTLE_SECONDS", 0.1)
    system = Running("Tollgate", "", "", [], booked=lambda _since: 9)
    assert measure.settled(system, datetime.now(UTC), 10) == ["9 of 10 calls are in the ledger"]


def test_a_system_without_a_ledger_is_not_asked_for_rows() -> None:
    assert measure.settled(Running("nginx", "", "", []), datetime.now(UTC), 10) == []


def test_load_and_upstream_that_fill_their_core_together_are_the_limit() -> None:
    assert measure._limited(TWO, 10, 5.0, measure.Spent(upstream=4.0, beside={"Redis": 0.5}))


def test_with_room_on_their_core_they_are_not() -> None:
    assert not measure._limited(TWO, 10, 3.0, measure.Spent(upstream=4.0, beside={"Redis": 0.5}))


def test_on_many_cores_one_of_them_at_its_end_is_the_limit() -> None:
    assert measure._limited(FOUR, 10, 9.5, measure.Spent(upstream=1.0))


def test_the_gateway_and_the_load_have_no_core_in_common_where_there_are_two() -> None:
    found = processes.cores()
    assert found.apart == (len(found.gateway | found.others) > 1)


def test_a_process_that_has_ended_still_counts_with_the_cpu_it_took() -> None:
    before = processes.cpu([psutil.Process()])
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert processes.cpu([psutil.Process()]) - before > 0.01


def test_a_stream_of_a_given_length_is_asked_for_with_its_usage() -> None:
    asked = json.loads(measure.body("m", stream=True, events=7))
    assert asked["max_completion_tokens"] == 7
    assert asked["stream_options"] == {"include_usage": True}
