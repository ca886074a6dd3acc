"""The periodic deletion of old ledger rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from app import create_app
from app.extensions import db, redis
from app.ledger import rows
from app.models import now
from app.settings import Settings
from tests.ledger.test_post import book, event
from worker import retention
from worker.retention import retention as run

DAY = 86_400


@pytest.fixture
def kept(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """kept(2 * DAY) gives what is left, of rows that are 1, 3 and 5 days old, after the task has run."""

    def run_task(seconds: int | None, most_rows: int = 100, times: int = 1) -> list[str]:
        monkeypatch.setattr(retention, "MOST_ROWS", most_rows)
        app = create_app(make_settings(ledger_retention=seconds))
        with app.app_context():
            at = int(now().timestamp() * 1000)
            book(*(replace(event(f"{days} days"), started_ms=at - days * DAY * 1000) for days in (1, 3, 5)))
            for _ in range(times):
                run()
            left = sorted(row.request_id for row in rows.find()[0])
            db.session.rollback()
            db.engine.dispose()
        redis.client.close()
        return left

    return run_task


def test_rows_older_than_the_retention_go(kept: Callable[..., list[str]]) -> None:
    assert kept(2 * DAY) == ["1 days"]


def test_without_a_retention_all_rows_stay(kept: Callable[..., list[str]]) -> None:
    assert kept(None) == ["1 days", "3 days", "5 days"]


def test_one_worker_deletes_at_a_time(kept: Callable[..., list[str]]) -> None:
    assert kept(2 * DAY, most_rows=1, times=3) == ["1 days", "3 days"]


def test_what_is_left_to_go_is_logged(kept: Callable[..., list[str]], caplog: pytest.LogCaptureFixture) -> None:
    kept(2 * DAY, most_rows=1)
    assert caplog.messages == ["retention: 1 ledger rows deleted, 1 are still to go"]


def test_a_worker_that_keeps_up_is_no_warning(kept: Callable[..., list[str]], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kept(2 * DAY)
    assert caplog.messages == []
