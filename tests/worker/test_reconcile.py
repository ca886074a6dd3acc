"""The periodic comparison of the books."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import redis, write_transaction
from app.models import Balance
from tests.people import Someone
from worker import reconcile as task
from worker.booking import settle_batch
from worker.reconcile import reconcile


@pytest.fixture(autouse=True)
def settled_call(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        Someone(gateway_app).call()
        settle_batch(0)
        yield


def spoil_a_balance() -> None:
    with write_transaction() as session:
        session.execute(sa.update(Balance).where(Balance.meter == "user:ada").values(spend=0))


def test_books_that_agree_are_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    reconcile()
    assert caplog.messages == []


def test_a_difference_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    spoil_a_balance()
    reconcile()
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("the books differ: user:ada: the balance is $0.00, the daily totals")


def test_one_worker_compares_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    spoil_a_balance()
    for _ in range(3):
        reconcile()
    assert len(caplog.records) == 1


def test_books_that_are_too_large_for_a_worker_are_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "MOST_SECONDS", 0)
    reconcile()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_comparison_that_cannot_be_made_is_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "once", lambda *_: True)
    redis.init_app("redis://127.0.0.1:1/0")
    reconcile()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
