"""Past calls are priced again by reversal and correction: rows, balances and daily totals keep agreeing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import db, write_transaction
from app.ledger import balances, reconcile, reprice, rows
from app.ledger.pricing import Price, Rates
from app.ledger.reprice import Filter, Page
from app.ledger.retention import trim
from app.models import DailySpend, DailyTag, LedgerRow
from tests.ledger.test_post import book, event, spent

MASTER = "master"
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def costing(nano: int, **served: Price) -> Price:
    """A price of so many nano-dollars for every token."""
    return Price(Rates(*[nano * 10**6] * 12), f"{nano} a token", served=served)


def repriced(nano: int, *, dry_run: bool = False, **wanted: Any) -> list[Page]:
    return list(reprice.pages(Filter(**wanted), lambda _: costing(nano), dry_run=dry_run))


def changed(pages: list[Page]) -> list[tuple[int, int]]:
    return [(change.charged["cost"], change.cost) for page in pages for change in page.changes]


def booked() -> list[tuple[Any, ...]]:
    """(entry, attempt, cost, price, input tokens) of all rows, in the order of attempts."""
    columns = (LedgerRow.entry, LedgerRow.attempt, LedgerRow.cost, LedgerRow.price, LedgerRow.input_tokens)
    found = db.session.execute(sa.select(*columns).order_by(LedgerRow.request_id, LedgerRow.attempt)).all()
    db.session.rollback()
    return [tuple(row) for row in found]


def differences() -> list[str]:
    return [line for line in reconcile.differences(None, MASTER) if line is not None]


def test_a_call_that_costs_something_else_gets_a_reversal_and_a_correction() -> None:
    book(event("r1"))
    assert changed(repriced(3)) == [(10, 30)]
    assert booked() == [
        ("call", 0, 10, "test", 10),
        ("reversal", 10_000, -10, "test", 0),
        ("correction", 10_001, 30, "3 a token", 0),
    ]


def test_balances_change_by_the_difference_in_every_window_of_the_call() -> None:
    book(event("r1", window=60), event("r2", user="bob"))
    repriced(3)
    assert [spent("user:ada"), spent("user:ada", 60), spent("user:bob"), spent("key:k1")] == [30, 30, 30, 60]


def test_daily_totals_change_by_the_difference_and_count_no_request() -> None:
    book(replace(event("r1"), tags=["a"]))
    repriced(3)
    columns = ("requests", "failed_requests", "input_tokens", "cost")
    for table in (DailySpend, DailyTag):
        totals = db.session.execute(sa.select(*(getattr(table, name) for name in columns))).all()
        assert [tuple(row) for row in totals] == [(1, 0, 10, 30)]


def test_the_books_agree_afterwards() -> None:
    book(*(replace(event(f"r{day}", window=60), started_ms=day * DAY_MS) for day in range(3)))
    book(event("abandoned"), abandoned=5)
    repriced(3)
    repriced(2)
    assert differences() == []


def test_repeating_it_changes_nothing() -> None:
    book(event("r1"))
    repriced(3)
    before = booked()
    assert changed(repriced(3)) == []
    assert (booked(), spent("user:ada")) == (before, 30)


def test_a_second_change_takes_the_first_correction_back() -> None:
    book(event("r1"))
    repriced(3)
    assert changed(repriced(2)) == [(30, 20)]
    assert booked()[3:] == [("reversal", 20_000, -30, "3 a token", 0), ("correction", 20_001, 20, "2 a token", 0)]
    assert spent("user:ada") == 20


def test_the_old_price_can_come_back() -> None:
    book(event("r1"))
    for nano in (3, 1):
        repriced(nano)
    assert spent("user:ada") == 10
    assert len(booked()) == 5


def test_every_attempt_of_a_call_is_corrected_by_itself() -> None:
    one = event("r1")
    one.attempts.append(replace(one.attempts[0], usage=[4] + [0] * 7, cost=4))
    book(one)
    repriced(3)
    assert [row[:3] for row in booked()][2:] == [
        ("reversal", 10_000, -10),
        ("correction", 10_001, 30),
        ("reversal", 10_002, -4),
        ("correction", 10_003, 12),
    ]


def test_a_dry_run_tells_and_writes_nothing() -> None:
    book(event("r1"))
    assert changed(repriced(3, dry_run=True)) == [(10, 30)]
    assert (len(booked()), spent("user:ada")) == (1, 10)


def test_a_call_whose_price_nobody_knows_stays_as_it_is() -> None:
    book(event("r1"))
    (page,) = reprice.pages(Filter(), lambda _: None, dry_run=False)
    assert (page.looked_at, page.unknown, len(booked())) == (1, 1, 1)


def test_a_call_that_was_charged_what_it_held_stays_as_it_is() -> None:
    book(event("r1"), abandoned=123)
    assert repriced(3) == []


def test_a_call_is_priced_in_its_service_tier() -> None:
    one = event("r1")
    one.attempts[0] = replace(one.attempts[0], tier="flex")
    book(one)
    price = costing(3, flex=costing(2), unknown=costing(9))
    assert changed(list(reprice.pages(Filter(), lambda _: price, dry_run=False))) == [(10, 20)]


@pytest.mark.parametrize(
    "wanted",
    [
        {"model": "other"},
        {"provider": "azure"},
        {"start": datetime(1970, 1, 2, tzinfo=UTC)},
        {"end": datetime(1970, 1, 1, tzinfo=UTC)},
    ],
)
def test_only_calls_that_are_wanted_are_priced_again(wanted: dict[str, Any]) -> None:
    book(event("r1"))
    assert repriced(3, **wanted) == []


def test_more_calls_than_a_transaction_takes_are_all_priced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reprice, "ROWS_AT_ONCE", 2)
    book(*(replace(event(f"r{number}"), started_ms=1_000 + number // 2) for number in range(5)))
    assert len(changed(repriced(3))) == 5
    assert spent("user:ada") == 150


def test_what_retention_deletes_is_left_alone() -> None:
    book(event("r1"), replace(event("r2"), started_ms=DAY_MS))
    trim(datetime(1970, 1, 1, 12, tzinfo=UTC), most_rows=10, most_seconds=5)
    assert len(changed(repriced(3))) == 1
    assert differences() == []


def test_several_at_once_correct_a_call_once(gateway_app: Flask) -> None:
    book(*(event(f"r{number}") for number in range(20)))
    failures: list[BaseException] = []
    together = threading.Barrier(4)

    def correct() -> None:
        try:
            with gateway_app.app_context():
                together.wait(10)
                repriced(3)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to see it
            failures.append(error)

    threads = [threading.Thread(target=correct) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (len(booked()), spent("user:ada"), differences()) == (60, 600, [])


def test_rows_that_do_not_say_their_balances_change_those_of_their_people() -> None:
    book(event("early", window=10), event("r1", window=0))
    book(replace(event("r2"), started_ms=100_000, meters=[["user:ada", 0, 0], ["user:ada", 60, 1], ["key:k1", 0, 0]]))
    with write_transaction() as session:
        session.execute(sa.update(LedgerRow).where(LedgerRow.request_id == "r2").values(meters=sa.null()))
    repriced(2)
    # The window that began at 60 was the last one that had begun when the call was made.
    assert [spent("user:ada", start) for start in (0, 10, 60)] == [60, 20, 20]
    assert differences() == []


def test_a_correction_tells_the_balances_that_have_changed() -> None:
    book(event("r1", window=60))
    (page,) = repriced(3)
    windows = [("user:ada", 0), ("user:ada", 60), ("key:k1", 0)]
    assert dict(page.settled) == balances.settled(windows)


def test_a_run_that_changes_nothing_tells_what_an_earlier_one_has_changed() -> None:
    book(event("r1"))
    repriced(3)
    (page,) = repriced(3)
    assert page.settled[("user:ada", 0)].spend == 30


def test_corrections_are_found_by_the_call_they_belong_to() -> None:
    book(event("r1"))
    repriced(3)
    found, total = rows.find(request_id="r1")
    assert (total, sum(row.cost for row in found)) == (3, 30)
