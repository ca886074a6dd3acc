"""The books of the chaos journey notice what they are for: nobody believes a check that has never failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.chaos.books import Accounts, Books, Row, Served
from tests.chaos.faults import FAULTS
from tests.chaos.journey import Happened, unexpected
from tests.chaos.load import Told
from tests.chaos.models import COST, INPUT_TOKENS, OUTPUT_TOKENS
from tests.chaos.people import Person

CALLS = ("one", "two", "three")


def row(name: str) -> Row:
    return Row(f"req_{name}", "k", "hash", "ada", name, "success", COST, INPUT_TOKENS, OUTPUT_TOKENS, 0)


GOOD = Accounts(
    people=[Person("ada", ("sk-1",), {"max_budget": 0.3, "max_parallel_requests": 1}, {})],
    told=[Told(name, "200", "http://gateway", number, number + 0.9) for number, name in enumerate(CALLS)],
    served=[Served(name, left=False, began=number, ended=number + 0.8) for number, name in enumerate(CALLS)],
    rows=[row(name) for name in CALLS],
    windows={(meter, 0): 3 * COST for meter in ("user:ada", "key:k", "gateway")},
    shown=[("user:ada", 3 * COST), ("key:k", 3 * COST)],
    left={},
)


def problems(**changed: Any) -> list[str]:
    """What the books find, without the examples."""
    books = Books(replace(GOOD, **changed))
    books.check()
    return [problem.partition(":")[0] for problem in books.problems]


def test_good_books_have_no_problem() -> None:
    assert problems() == []


def test_a_lost_row_is_noticed() -> None:
    assert "served by the provider, but no row" in problems(rows=GOOD.rows[1:])


def test_a_doubled_row_is_noticed() -> None:
    assert "more rows than the provider served" in problems(
        rows=[*GOOD.rows, replace(GOOD.rows[0], request_id="req_again")]
    )


def test_an_attempt_without_a_row_is_noticed() -> None:
    again = Served("one", left=False, began=-0.2, ended=-0.1)
    assert problems(served=[again, *GOOD.served]) == ["served by the provider, but no row"]


def test_each_attempt_of_a_call_has_a_row_of_its_own() -> None:
    failed = replace(GOOD.rows[0], request_id="req_a", outcome="failure", cost=0)
    served = [Served("one", left=False, began=-0.2, ended=-0.1), *GOOD.served]
    assert problems(served=served, rows=[failed, *GOOD.rows]) == []


def test_one_row_more_is_of_a_process_that_died_before_the_stand_in_was_asked() -> None:
    abandoned = replace(GOOD.rows[0], request_id="req_one-1", outcome="abandoned", cost=0)
    assert "more rows than the provider served" not in problems(rows=[*GOOD.rows, abandoned])
    twice = [*GOOD.rows, abandoned, replace(abandoned, request_id="req_one-2")]
    assert "more rows than the provider served" in problems(rows=twice)


def test_a_row_of_a_call_that_was_never_served_is_noticed() -> None:
    assert "a success that the provider never served" in problems(served=GOOD.served[1:])


def test_a_wrong_cost_is_noticed() -> None:
    found = problems(rows=[replace(GOOD.rows[0], cost=1), *GOOD.rows[1:]])
    assert "a success that does not cost what the provider says" in found


def test_a_whole_answer_that_is_booked_as_abandoned_is_noticed() -> None:
    found = problems(rows=[replace(GOOD.rows[0], outcome="abandoned"), *GOOD.rows[1:]])
    assert found == ["answered whole, but no success in the ledger"]


def test_a_refused_call_that_is_booked_is_noticed() -> None:
    told = [replace(GOOD.told[0], what="503"), *GOOD.told[1:]]
    assert problems(told=told) == ["refused, and yet in the ledger"]


def test_a_balance_that_is_not_the_sum_is_noticed() -> None:
    windows = GOOD.windows | {("user:ada", 0): 2 * COST}
    assert problems(windows=windows) == ["a balance that is not the sum of its rows", "shown, but not so"]


def test_windows_that_do_not_add_up_are_noticed() -> None:
    found = problems(windows=GOOD.windows | {("user:ada", 60): 2 * COST})
    assert found == ["windows that do not add up to the balance"]


def test_a_budget_that_was_passed_in_its_window_is_noticed() -> None:
    person = replace(GOOD.people[0], limits={"max_budget": 0.1, "budget_duration": "60s"})
    found = problems(people=[person], windows=GOOD.windows | {("user:ada", 60): 3 * COST})
    assert found == ["a budget that was passed in one of its windows"]


def test_a_budget_that_was_passed_by_more_than_one_call_is_noticed() -> None:
    assert problems(people=[replace(GOOD.people[0], limits={"max_budget": 0.2})]) == ["a budget that was passed"]


def test_a_strict_budget_that_was_passed_by_one_call_is_noticed() -> None:
    limits = {"max_budget": 0.3, "strict": True}
    assert problems(people=[replace(GOOD.people[0], limits=limits)]) == ["a budget that was passed"]


def test_two_calls_on_one_slot_are_noticed() -> None:
    served = [replace(GOOD.served[0], ended=1.1), *GOOD.served[1:]]
    assert problems(served=served) == ["more calls at once than slots"]


def test_what_redis_still_counts_is_noticed() -> None:
    assert problems(left={"tollgate:slots:user:ada": 1}) == ["still counted in Redis"]


def test_a_refusal_in_calm_is_noticed() -> None:
    assert unexpected([replace(GOOD.told[0], what="503"), *GOOD.told[1:]], []) == [
        "a caller was told '503' (in calm): 1 times"
    ]


def test_a_refusal_is_expected_while_valkey_is_down() -> None:
    valkey = next(fault for fault in FAULTS if fault.name == "Valkey killed")
    told = [replace(GOOD.told[0], what="503"), *GOOD.told[1:]]
    assert unexpected(told, [Happened(valkey, 0.5, 0.6)]) == []


def test_a_service_that_does_not_come_back_is_noticed() -> None:
    valkey = next(fault for fault in FAULTS if fault.name == "Valkey killed")
    assert unexpected(GOOD.told, [Happened(valkey, 2.5, 2.6)]) == [
        "nobody was answered for inf s after 'Valkey killed': 1 times"
    ]
