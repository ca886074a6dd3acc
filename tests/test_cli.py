"""`flask --app app reconcile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from app import books, create_app
from app.extensions import redis
from app.limits.meters import budget_key
from app.settings import Settings
from tests.people import Someone


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "SECOND_LOOK_SECONDS", 0.05)


def test_books_that_agree_end_with_0(gateway_app: Flask) -> None:
    Someone(gateway_app, max_budget=1).call()
    done = gateway_app.test_cli_runner().invoke(args=["reconcile"])
    assert (done.exit_code, done.output) == (0, "events that wait to be settled: 1\n0 differences\n")


def test_every_difference_is_printed_and_ends_with_1(gateway_app: Flask) -> None:
    Someone(gateway_app, max_budget=1).call()
    redis.client.hset(budget_key("user:ada", 0), "spend", "-1")
    done = gateway_app.test_cli_runner().invoke(args=["reconcile"])
    assert done.exit_code == 1
    assert done.output.splitlines()[1:] == [
        "user:ada: Redis says that -$0.000000001 was spent, SQL says $0.00",
        "1 difference",
    ]


def test_a_part_that_does_not_answer_is_named(make_settings: Callable[..., Settings]) -> None:
    settings = replace(make_settings(), redis_url="redis://127.0.0.1:1/0")
    done = create_app(settings).test_cli_runner().invoke(args=["reconcile"])
    assert (done.exit_code, done.output) == (1, "Error: Redis does not answer. Try again.\n")
