"""Percentiles, medians and ratios, and that a figure from failed calls is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Found, percentile, ratio


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.01, 1), (1.0, 100), (0.0, 1), (0.985, 99)])
def test_a_percentile_of_a_hundred_values_is_the_value_of_that_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_the_99th_percentile_of_few_values_is_the_greatest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_nothing_has_the_percentile_nought() -> None:
    assert percentile([], 0.5) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_at_least_that_share_of_the_values_does_not_exceed_a_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-5


def test_a_ratio_tells_how_many_times_as_much_theirs_is() -> None:
    assert ratio(7200, 288) == "25.0"


def test_a_ratio_below_one_is_told_the_other_way_round() -> None:
    assert ratio(128, 512) == "1 : 4.0"


@pytest.mark.parametrize(("theirs", "ours"), [(None, 1.0), (1.0, None), (0.0, 1.0), (1.0, 0.0)])
def test_there_is_no_ratio_to_what_is_missing(theirs: float | None, ours: float | None) -> None:
    assert ratio(theirs, ours) == ""


def test_an_even_number_of_rounds_has_its_median_between_the_two_in_the_middle() -> None:
    found = Found()
    for value in (9.0, 1.0, 2.0, 4.0):
        found.add([], cpu_us=value)
    assert found.told()["median"] == {"cpu_us": 3.0}


def test_the_lowest_and_highest_round_are_told_beside_the_median() -> None:
    found = Found()
    for value in (9.0, 1.0, 2.0):
        found.add([], cpu_us=value)
    told = found.told()
    assert (told["lowest"], told["highest"]) == ({"cpu_us": 1.0}, {"cpu_us": 9.0})


def test_a_problem_in_one_round_takes_the_figure_of_all_rounds() -> None:
    found = Found()
    found.add([], cpu_us=1.0)
    found.add(["1 of 10 failed", "another"], cpu_us=2.0)
    found.add([], cpu_us=3.0)
    told = found.told()
    assert told["invalid"] == {"cpu_us": "1 of 10 failed"}
    assert "cpu_us" not in told["median"]


def test_a_problem_leaves_the_figures_of_other_measurements_alone() -> None:
    found = Found()
    found.add(["1 of 10 failed"], event_us=2.0)
    found.add([], cpu_us=3.0)
    assert found.told()["median"] == {"cpu_us": 3.0}
