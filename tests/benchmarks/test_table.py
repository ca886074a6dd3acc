"""The tables say what was measured, and nothing of what was not."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import table


def system(invalid: dict[str, str] | None = None, **median: float) -> dict[str, Any]:
    return {"median": median, "invalid": invalid or {}}


def section(strangers: float = 0.0, **systems: Any) -> dict[str, Any]:
    about = {"machine": "2 cores", "cores": "gateway on core 0", "rounds": 3, "seconds": 5, "strangers": strangers}
    return about | {"systems": systems}


def row(text: str, label: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


CPU = "CPU of the gateway per call"


def test_a_row_has_a_figure_for_each_system_and_the_ratio_of_litellm_to_ours() -> None:
    text = table.calls(section(Tollgate=system(cpu_us=300.0), LiteLLM=system(cpu_us=7500.0), nginx=system(cpu_us=15.0)))
    assert row(text, CPU)[1:] == ["300", "7,500", "15", "25.0"]


def test_without_litellm_there_is_no_ratio() -> None:
    text = table.calls(section(Tollgate=system(cpu_us=300.0), nginx=system(cpu_us=15.0)))
    assert row(text, CPU)[1:] == ["300", "15"]


def test_a_figure_that_is_not_valid_is_not_shown_and_the_reason_is() -> None:
    ours, theirs = system(cpu_us=300.0), system({"cpu_us": "3 of 9 failed"})
    text = table.calls(section(Tollgate=ours, LiteLLM=theirs))
    assert row(text, CPU)[1:] == ["300", "not valid (1)", ""]
    assert "1. LiteLLM: 3 of 9 failed" in text


def test_one_reason_for_many_figures_is_told_once() -> None:
    text = table.calls(section(Tollgate=system({"cpu_us": "3 of 9 failed", "per_core": "3 of 9 failed"})))
    assert text.count("3 of 9 failed") == 1


def test_what_a_system_does_not_have_is_an_empty_cell() -> None:
    text = table.calls(section(Tollgate=system(Redis_us=30.0), nginx=system(cpu_us=15.0)))
    assert row(text, "CPU of Redis")[1:] == ["30", ""]


def test_a_figure_that_nobody_has_is_no_row() -> None:
    assert "CPU of SQL" not in table.calls(section(Tollgate=system(cpu_us=300.0)))


def test_where_the_load_was_at_its_end_the_calls_per_second_are_at_least() -> None:
    text = table.calls(section(nginx=system(calls_per_second=9000.0, limited=1.0)))
    assert row(text, "calls per second, 64")[1:] == ["≥ 9,000"]


def test_where_the_gateway_was_at_its_end_the_calls_per_second_are_these() -> None:
    text = table.calls(section(nginx=system(calls_per_second=9000.0, limited=0.0)))
    assert row(text, "calls per second, 64")[1:] == ["9,000"]


def test_a_run_on_a_busy_machine_says_that_it_is_not_to_be_published() -> None:
    assert "not to be published" in table.calls(section(strangers=0.5, Tollgate=system(cpu_us=300.0)))


def test_a_run_on_a_quiet_machine_does_not() -> None:
    assert "not to be published" not in table.calls(section(strangers=0.02, Tollgate=system(cpu_us=300.0)))


def test_starts_on_a_busy_machine_say_that_they_are_not_to_be_published() -> None:
    text = table.start(section(0.5, Tollgate=system(start_seconds=2.0)))
    assert "Others took 50% of the machine meanwhile: not to be published" in text


def test_the_rate_of_half_the_load_is_each_systems_own_and_has_no_ratio() -> None:
    text = table.calls(section(Tollgate=system(half_rate=2000.0), LiteLLM=system(half_rate=50.0)))
    assert row(text, "… half load")[1:] == ["2,000", "50", ""]


def test_held_streams_have_a_row_for_each_system_and_number() -> None:
    one = {"first_byte_p99_ms": 32.4, "kb_a_stream": 26.2, "cpu_share": 0.51, "strangers": 0.01}
    text = table.held(section(Tollgate={"2000": one}))
    assert row(text, "2,000") == ["2,000", "Tollgate", "32.4", "26.2", "51%"]


def test_held_streams_on_a_busy_machine_say_that_they_are_not_to_be_published() -> None:
    one = {"first_byte_p99_ms": 32.4, "kb_a_stream": 26.2, "cpu_share": 0.51, "strangers": 0.4}
    assert "not to be published" in table.held(section(Tollgate={"2000": one}))


def test_held_streams_that_failed_have_the_reason_instead() -> None:
    text = table.held(section(LiteLLM={"500": {"invalid": "7 of 500 failed"}}))
    assert row(text, "500")[2] == "not valid: 7 of 500 failed"


@pytest.mark.parametrize(
    ("value", "expected"), [(1234.5, "1,234"), (99.95, "100"), (12.34, "12.3"), (0.0456, "0.0456"), (-250.0, "-250")]
)
def test_a_figure_has_three_digits_or_is_whole(value: float, expected: str) -> None:
    assert table.figure(value) == expected
