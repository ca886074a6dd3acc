"""Ledger, daily totals and balances are compared, and every difference is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import write_transaction
from app.ledger import reconcile
from app.ledger.retention import trim
from app.models import Balance, DailySpend, LedgerRow
from tests.ledger.test_post import book, event

MASTER = "master"
DAY_MS = 86_400_000
THIRD_DAY = datetime(1970, 1, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def differences(since: date | None = None) -> list[str]:
    return [line for line in reconcile.differences(since, MASTER) if line is not None]


def change(statement: Any) -> None:
    """Somebody works on the database by hand."""
    with write_transaction() as session:
        session.execute(statement)


def book_three_days() -> None:
    book(*(replace(event(f"r{day}"), started_ms=day * DAY_MS) for day in range(3)))


def test_books_that_agree_have_no_differences() -> None:
    book_three_days()
    book(event("r8", user="bob", window=60), event("r9", user="bob"))
    book(event("abandoned"), abandoned=5)
    assert differences() == []


def test_a_row_that_was_changed_is_a_difference() -> None:
    book(event("r1"))
    change(sa.update(LedgerRow).values(cost=4))
    (line,) = differences()
    assert line.startswith("1970-01-01, user 'ada', key k1, team '', customer '', model 'm', provider 'openai': ")
    assert line.endswith(": cost $0.000000004 in the rows, $0.00000001 in the daily total")


def test_a_row_that_is_gone_is_a_difference() -> None:
    book(event("r1"), event("r2", tokens=0))
    change(sa.delete(LedgerRow).where(LedgerRow.request_id == "r2"))
    (line,) = differences()
    assert "requests 1 in the rows, 2 in the daily total" in line


def test_a_total_that_is_gone_is_a_difference_on_its_day_and_in_the_balances() -> None:
    book_three_days()
    change(sa.delete(DailySpend).where(DailySpend.day == date(1970, 1, 2)))
    assert [line.partition(",")[0] for line in differences()][:1] == ["1970-01-02"]
    assert differences()[1:] == [
        f"{meter}: the balance is $0.00000003, the daily totals add up to $0.00000002"
        for meter in ("key:k1", "user:ada")
    ]


def test_a_balance_that_was_changed_is_a_difference() -> None:
    book(event("r1", window=60))
    change(sa.update(Balance).where(Balance.meter == "user:ada").values(spend=3))
    assert differences() == ["user:ada: the balance is $0.000000003, the daily totals add up to $0.00000001"]


def test_a_balance_that_is_gone_is_a_difference() -> None:
    book(event("r1"), event("r2", user="bob"))
    change(sa.delete(Balance).where(Balance.meter == "user:ada"))
    assert differences() == ["user:ada: spent something on 1970-01-01 and has no balance"]


def test_the_master_key_has_no_balance_and_needs_none() -> None:
    book(replace(event("r1"), key_id=MASTER, user_id=None, meters=[]))
    assert differences() == []


def test_more_balances_than_one_statement_takes_are_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "METERS_AT_ONCE", 2)
    book(*(event(f"r{number}", user=f"user{number}") for number in range(5)))
    change(sa.update(Balance).where(Balance.meter.in_(["user:user1", "user:user4"])).values(spend=0))
    assert [line.partition(": ")[0] for line in differences()] == ["user:user1", "user:user4"]


def test_what_retention_deleted_is_no_difference() -> None:
    book_three_days()
    # In the middle of the second day, whose later rows stay.
    book(replace(event("later"), started_ms=2 * DAY_MS - 1))
    trim(datetime(1970, 1, 2, 12, tzinfo=UTC), most_rows=10, most_seconds=5)
    assert differences() == []


def test_days_that_retention_has_not_reached_are_still_compared() -> None:
    book_three_days()
    trim(THIRD_DAY, most_rows=10, most_seconds=5)
    change(sa.update(LedgerRow).values(cost=4))
    assert [line.partition(",")[0] for line in differences()] == ["1970-01-03"]


def test_only_days_from_a_day_on_are_compared() -> None:
    book_three_days()
    change(sa.update(LedgerRow).values(cost=4))
    assert [line.partition(",")[0] for line in differences(date(1970, 1, 2))] == ["1970-01-02", "1970-01-03"]
