"""What one budget window leaves unspent is added to the next one's budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.limits import admission
from app.limits.admission import Balance
from app.limits.meters import Meter
from tests.limits.asking import ask, contents, end, held, seed

pytestmark = pytest.mark.usefixtures("limits")

BEFORE = Meter("user:ada", max_budget=100, window_start=100)
NOW = Meter("user:ada", max_budget=100, window_start=200, previous_start=100, rolls_over=100)


def spent(before: int, now: int = 0) -> None:
    """Settled spend of the previous and of the present window."""
    seed("user:ada", 100, before)
    seed("user:ada", 200, now)


def test_what_was_left_unspent_can_be_spent() -> None:
    spent(before=70)
    verdict = ask("r1", NOW, estimate=130)
    assert (verdict.reason, verdict.budget, verdict.left, held(NOW)) == ("permit", 130, 0, 130)


def test_a_window_that_was_spent_leaves_nothing() -> None:
    spent(before=100)
    assert ask("r1", NOW, estimate=10).left == 90


def test_a_window_that_was_overspent_takes_nothing_from_the_next() -> None:
    spent(before=170)
    verdict = ask("r1", NOW, estimate=10)
    assert (verdict.budget, verdict.left) == (100, 90)


def test_one_window_at_the_most_rolls_over() -> None:
    seed("user:ada", 0, 0)
    spent(before=0)
    assert ask("r1", NOW, estimate=10).budget == 200


def test_a_raise_for_this_window_alone_is_not_what_rolls_over() -> None:
    spent(before=40)
    raised = replace(NOW, max_budget=500)
    assert ask("r1", raised, estimate=10).budget == 560


def test_settled_spend_at_the_budget_is_not_exceeded_while_something_has_rolled_over() -> None:
    spent(before=70, now=129)
    assert ask("r1", NOW, estimate=1).reason == "permit"


def test_settled_spend_at_the_budget_with_what_has_rolled_over_is_exceeded() -> None:
    spent(before=70, now=130)
    verdict = ask("r1", NOW, estimate=1)
    assert (verdict.reason, verdict.spend, verdict.budget, verdict.left) == ("exceeded", 130, 130, 0)


def test_a_balance_of_the_previous_window_that_is_unknown_is_asked_for() -> None:
    seed("user:ada", 200)
    verdict = ask("r1", NOW, estimate=1)
    assert (verdict.reason, verdict.meter, verdict.window_start) == ("unseeded", NOW, 100)


def test_a_balance_of_the_present_window_that_is_unknown_is_asked_for() -> None:
    seed("user:ada", 100)
    verdict = ask("r1", NOW, estimate=1)
    assert (verdict.reason, verdict.meter, verdict.window_start) == ("unseeded", NOW, 200)


def test_nobody_asks_for_a_previous_window_of_which_nothing_can_roll_over() -> None:
    seed("user:ada", 200)
    assert ask("r1", replace(NOW, rolls_over=0), estimate=1).budget == 100


def test_money_that_is_held_in_the_previous_window_does_not_roll_over() -> None:
    spent(before=40)
    ask("r0", BEFORE, estimate=20)
    verdict = ask("r1", NOW, estimate=141)
    assert (verdict.reason, verdict.taken, verdict.budget, verdict.left) == ("held", 20, 160, 140)


def test_costs_of_the_previous_window_that_are_not_settled_do_not_roll_over() -> None:
    spent(before=40)
    ask("r0", BEFORE, estimate=20)
    end("r0", BEFORE, cost=15)
    assert ask("r1", NOW, estimate=10).left == 135


def test_a_call_of_the_previous_window_that_costs_less_than_it_held_leaves_more() -> None:
    spent(before=40)
    ask("r0", BEFORE, estimate=60)
    assert ask("r1", NOW, estimate=110).reason == "held"
    end("r0", BEFORE, cost=50)
    assert ask("r1", NOW, estimate=110).reason == "permit"


def test_holds_of_the_previous_window_beyond_its_budget_take_nothing_from_this_one() -> None:
    spent(before=90)
    ask("r0", replace(BEFORE, max_budget=1000), estimate=300)
    assert ask("r1", NOW, estimate=100).reason == "permit"


def test_a_cost_that_is_settled_in_the_previous_window_makes_the_budget_smaller() -> None:
    spent(before=40)
    admission.settled([Balance("user:ada", 100, 90, 1)], {("user:ada", 100)}, [], [])
    assert ask("r1", NOW, estimate=1).budget == 110


def test_a_strict_budget_says_what_is_left_of_it_with_what_has_rolled_over() -> None:
    spent(before=70, now=100)
    verdict = ask("r1", replace(NOW, strict=True), estimate=50)
    assert (verdict.reason, verdict.left, verdict.budget) == ("short", 30, 130)


def test_a_strict_budget_is_not_short_while_a_call_of_the_previous_window_may_leave_more() -> None:
    spent(before=40, now=100)
    ask("r0", BEFORE, estimate=20)
    assert ask("r1", replace(NOW, strict=True), estimate=50).reason == "held"


def test_the_last_call_holds_what_is_left_of_both_windows() -> None:
    spent(before=70, now=100)
    assert ask("r1", NOW, estimate=500).reason == "permit"
    assert held(NOW) == 30


def test_a_budget_of_zero_can_be_spent_from_what_has_rolled_over() -> None:
    spent(before=70)
    assert ask("r1", replace(NOW, max_budget=0), estimate=30).reason == "permit"


def test_a_refused_call_changes_nothing_of_either_window() -> None:
    spent(before=70, now=130)
    before = contents()
    ask("r1", NOW, estimate=1)
    assert contents() == before


def test_after_a_restart_of_redis_both_windows_are_asked_for() -> None:
    spent(before=70)
    admission.doubt_balances("run-1")
    seed("user:ada", 200)
    assert (ask("r1", NOW, estimate=1).reason, ask("r1", NOW, estimate=1).window_start) == ("unseeded", 100)
