"""Money is exact: what goes in comes out, and sums do not depend on their order."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import money

MOST_NANO = money.MAX_BUDGET_DOLLARS * money.NANO_PER_DOLLAR
amounts = st.integers(min_value=0, max_value=MOST_NANO)


@given(amounts)
def test_every_amount_that_a_budget_can_have_survives_the_way_through_json(nano: int) -> None:
    sent = json.loads(json.dumps(money.to_json(nano)))

    assert money.budget_from_json(sent) == nano


@given(st.decimals(min_value=0, max_value=money.MAX_BUDGET_DOLLARS, places=9))
def test_a_decimal_amount_of_whole_nano_dollars_is_kept_exactly(dollars: Decimal) -> None:
    assert money.budget_from_json(dollars) == dollars * money.NANO_PER_DOLLAR


@given(st.floats(min_value=0, max_value=money.MAX_BUDGET_DOLLARS))
def test_a_budget_is_off_by_half_a_nano_dollar_at_most(dollars: float) -> None:
    off = abs(Decimal(repr(dollars)) * money.NANO_PER_DOLLAR - money.budget_from_json(dollars))

    assert off <= Decimal("0.5") or (dollars > 0 and money.budget_from_json(dollars) == 1)


@given(st.floats(min_value=0, max_value=money.MAX_BUDGET_DOLLARS, exclude_min=True))
def test_a_positive_budget_never_becomes_no_budget(dollars: float) -> None:
    assert money.budget_from_json(dollars) >= 1


@given(st.floats(0, money.MAX_BUDGET_DOLLARS), st.floats(0, money.MAX_BUDGET_DOLLARS))
def test_a_larger_budget_never_becomes_the_smaller_one(one: float, other: float) -> None:
    assert money.budget_from_json(min(one, other)) <= money.budget_from_json(max(one, other))


@given(amounts)
def test_an_amount_shown_to_people_is_the_whole_amount(nano: int) -> None:
    assert Decimal(money.shown(nano).removeprefix("$")) * money.NANO_PER_DOLLAR == nano


@given(amounts)
def test_redis_counts_every_budget_exactly(nano: int) -> None:
    assert int(float(nano)) == nano


def test_zero_dollars_is_a_budget_of_nothing() -> None:
    assert money.budget_from_json(0) == 0


def test_no_limit_stays_no_limit() -> None:
    assert money.optional_to_json(None) is None


def test_a_limit_of_nothing_is_not_no_limit() -> None:
    assert money.optional_to_json(0) == 0.0


@pytest.mark.parametrize("dollars", [-1, -1e-12, float("inf"), float("-inf"), float("nan"), Decimal("NaN")])
def test_what_is_no_amount_is_refused(dollars: float | Decimal) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        money.budget_from_json(dollars)


def test_more_than_redis_can_count_is_refused() -> None:
    with pytest.raises(ValueError, match=f"at most {money.MAX_BUDGET_DOLLARS} dollars"):
        money.budget_from_json(money.MAX_BUDGET_DOLLARS + 1)


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "$0.00"), (1_000_000_000, "$1.00"), (150, "$0.00000015"), (-2_500_000_000, "-$2.50"), (1, "$0.000000001")],
)
def test_amounts_are_shown_as_people_write_them(nano: int, text: str) -> None:
    assert money.shown(nano) == text
