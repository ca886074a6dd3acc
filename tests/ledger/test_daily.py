"""Daily totals: the sums of the rows that were really written, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import db
from app.ledger import rows
from app.ledger.event import Attempt
from app.ledger.post import TAG_SUMS
from app.models import DailySpend, DailyTag, LedgerRow
from tests.ledger.test_post import NO_USAGE, book, event, spent
from tests.services.stack import alembic, migrate

DAY_ONE = date(1970, 1, 1)


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def totals() -> list[tuple[Any, ...]]:
    """(day, user, key, model, provider, requests, failed, input, output, cost)"""
    names = ("day", "user_id", "key_id", "model_name", "provider", *TAG_SUMS)
    columns = [DailySpend.__table__.columns[name] for name in names]
    found = db.session.execute(sa.select(*columns).order_by(*columns)).all()
    db.session.rollback()
    return [tuple(row) for row in found]


def test_calls_of_one_day_user_key_model_and_provider_are_one_total() -> None:
    book(event("r1", tokens=7), event("r2", tokens=5))
    book(event("r3", tokens=1))
    assert totals() == [(DAY_ONE, "ada", "k1", "m", "openai", 3, 0, 13, 0, 13)]


def test_teams_and_customers_have_totals_of_their_own() -> None:
    book(event("r1"), replace(event("r2"), team_id="t"), replace(event("r3"), team_id="t", customer_id="c"))
    found = db.session.execute(sa.select(DailySpend.team_id, DailySpend.customer_id, DailySpend.requests)).all()
    assert sorted(map(tuple, found)) == [("", "", 1), ("t", "", 1), ("t", "c", 1)]


def test_a_call_with_two_tags_counts_once_under_each() -> None:
    book(replace(event("r1", tokens=7), tags=["a", "b", "a"]), replace(event("r2", tokens=5), tags=["b"]))
    found = db.session.execute(sa.select(DailyTag.tag, DailyTag.requests, DailyTag.cost)).all()
    assert sorted(map(tuple, found)) == [("a", 1, 7), ("b", 2, 12)]


def test_posting_again_adds_nothing() -> None:
    for _ in range(3):
        book(event("r1"), event("r1"), event("r2"))
    assert [total[5:] for total in totals()] == [(2, 0, 20, 0, 20)]


def test_each_user_and_each_model_has_a_total() -> None:
    book(event("r1"), event("r2", user="bob"), replace(event("r3"), model_name="other"))
    assert [(total[1], total[3]) for total in totals()] == [("ada", "m"), ("ada", "other"), ("bob", "m")]


def test_a_day_begins_at_midnight_in_utc() -> None:
    midnight = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
    book(replace(event("r1"), started_ms=midnight - 1), replace(event("r2"), started_ms=midnight))
    assert [total[0] for total in totals()] == [date(2026, 2, 28), date(2026, 3, 1)]


def test_a_key_that_is_nobodys_has_totals_too() -> None:
    book(replace(event("r1"), user_id=None), replace(event("r2"), user_id=None))
    assert [(total[1], total[5]) for total in totals()] == [("", 2)]


def test_failed_and_abandoned_rows_are_counted_as_failed() -> None:
    one = event("r1")
    one.attempts.insert(0, Attempt("d2", "openai", "gpt", "failure", 500, "none", NO_USAGE, 0, "test"))
    book(one)
    book(event("r2"), abandoned=5)
    assert [(total[4], *total[5:7]) for total in totals()] == [("", 1, 1), ("openai", 2, 1)]


def test_of_two_endings_of_one_call_in_one_batch_only_the_written_one_is_added() -> None:
    book(event("r1", tokens=7), event("r1", tokens=9))
    (row,), _ = rows.find(request_id="r1")
    assert (row.cost, [total[-1] for total in totals()], spent("user:ada")) == (7, [7], 7)


def test_totals_are_filled_from_rows_that_are_older_than_they(database_url: str) -> None:
    midnight = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
    failed = event("r3", user="bob")
    failed.attempts[0] = Attempt("d2", "openai", "gpt", "failure", 500, "none", NO_USAGE, 0, "test")
    book(event("r1"), replace(event("r2"), user_id=None, started_ms=midnight - 1), failed)
    written = totals()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(LedgerRow)) == 3
    db.session.rollback()
    db.engine.dispose()
    alembic(database_url, "downgrade", "0001")
    migrate(database_url)
    assert totals() == written
