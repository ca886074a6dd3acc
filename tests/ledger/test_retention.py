"""Old rows go in bounded steps; totals and balances stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import db
from app.ledger import retention, rows
from app.ledger.retention import Trimmed, trim
from app.models import DailySpend
from tests.ledger.test_post import book, event, spent

TENTH_SECOND = datetime.fromtimestamp(10, UTC)


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield
        db.session.rollback()


@pytest.fixture
def twenty_rows() -> None:
    """One call in each of twenty seconds."""
    book(*(replace(event(f"r{second:02}"), started_ms=second * 1000) for second in range(20)))


def left() -> list[str]:
    return sorted(row.request_id for row in rows.find()[0])


@pytest.mark.usefixtures("twenty_rows")
def test_rows_that_started_before_the_moment_go() -> None:
    assert trim(TENTH_SECOND, most_rows=100, most_seconds=5) == Trimmed(deleted=10, left=0)
    assert left() == [f"r{second}" for second in range(10, 20)]


@pytest.mark.usefixtures("twenty_rows")
def test_no_more_rows_than_allowed_go_and_the_oldest_first() -> None:
    assert trim(TENTH_SECOND, most_rows=4, most_seconds=5) == Trimmed(deleted=4, left=6)
    assert left()[0] == "r04"


@pytest.mark.usefixtures("twenty_rows")
def test_steps_are_small_and_there_are_as_many_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 3)
    assert trim(TENTH_SECOND, most_rows=100, most_seconds=5) == Trimmed(deleted=10, left=0)


@pytest.mark.usefixtures("twenty_rows")
def test_nothing_is_begun_when_the_time_is_over() -> None:
    assert trim(TENTH_SECOND, most_rows=100, most_seconds=0) == Trimmed(deleted=0, left=10)


@pytest.mark.usefixtures("twenty_rows")
def test_totals_and_balances_stay() -> None:
    trim(TENTH_SECOND, most_rows=100, most_seconds=5)
    assert (spent("user:ada"), db.session.scalar(sa.select(sa.func.sum(DailySpend.cost)))) == (200, 200)


@pytest.mark.usefixtures("twenty_rows")
def test_all_attempts_of_old_calls_go_though_they_share_a_moment() -> None:
    one = replace(event("twice"), started_ms=0)
    one.attempts.append(one.attempts[0])
    book(one)
    trim(TENTH_SECOND, most_rows=100, most_seconds=5)
    assert "twice" not in left()
