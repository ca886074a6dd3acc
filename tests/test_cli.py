"""`flask --app app reconcile`, `flask --app app export` and `flask --app app encrypt-credentials`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask

from app import books, create_app
from app.extensions import redis
from app.limits.meters import budget_key
from app.price_names import Place
from app.settings import Settings
from tests.ledger.test_post import book, event
from tests.people import Someone
from worker.booking import settle_batch


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


# --- reprice


def test_calls_are_priced_again_and_the_books_agree(gateway_app: Flask, make_app: Callable[..., Flask]) -> None:
    Someone(gateway_app, max_budget=1, budget_duration="30d").call()
    with gateway_app.app_context():
        settle_batch(0)
    (mock,) = [one for one in gateway_app.extensions["tollgate"].settings.deployments if one.mock_response]
    costs = ((Place("input"), Decimal("0.001")), (Place("output"), Decimal(0)))
    later = make_app(deployments=(replace(mock, costs=costs),))
    dry, done, again = (
        later.test_cli_runner().invoke(args=["reprice", *more]).output.splitlines() for more in (["--dry-run"], [], [])
    )
    assert dry == done
    assert done[0].split() == ["provider", "model", "name", "calls", "old", "new", "difference"]
    assert done[1].split()[:4] == ["mock", "gpt-4o", "mock-gpt-4o", "1"]
    assert done[-1] == "1 calls looked at, 0 of them without a known price"
    assert again[1].split() == ["total", "0", "$0.00", "$0.00", "$0.00"]
    found = later.test_cli_runner().invoke(args=["reconcile"])
    assert found.output == "events that wait to be settled: 0\n0 differences\n"


def test_redis_is_told_of_calls_that_are_priced_again(gateway_app: Flask, make_app: Callable[..., Flask]) -> None:
    Someone(gateway_app, max_budget=1).call()
    with gateway_app.app_context():
        settle_batch(0)
        before = int(redis.client.hget(budget_key("user:ada", 0), "spend") or 0)
    (mock,) = [one for one in gateway_app.extensions["tollgate"].settings.deployments if one.mock_response]
    doubled = tuple((Place(kind), Decimal(dollars)) for kind, dollars in (("input", "0.000005"), ("output", "0.00002")))
    later = make_app(deployments=(replace(mock, costs=doubled),))
    assert later.test_cli_runner().invoke(args=["reprice"]).exit_code == 0
    assert int(redis.client.hget(budget_key("user:ada", 0), "spend") or 0) == 2 * before


def test_an_unknown_provider_has_nothing_to_price_again(gateway_app: Flask) -> None:
    done = gateway_app.test_cli_runner().invoke(
        args=["reprice", "--provider", "nobody", "--from", "2026-01-01", "--to", "2026-01-02", "--model", "m"]
    )
    assert (done.exit_code, done.output.splitlines()[-1]) == (
        0,
        "0 calls looked at, 0 of them without a known price",
    )


# --- encrypt-credentials


def new_model(app: Flask, model_id: str) -> None:
    params = {"model": "openai/gpt-4o", "api_key": "the-providers-secret"}
    body = {"model_name": "stored", "litellm_params": params, "model_info": {"id": model_id}}
    headers = {"x-api-key": app.extensions["tollgate"].settings.master_key}
    assert app.test_client().post("/model/new", json=body, headers=headers).status_code == 200


def test_credentials_are_encrypted_with_the_first_key_and_counted(make_app: Callable[..., Flask]) -> None:
    new_model(make_app(encryption_keys=("an-old-secret-of-16",)), "one")
    done = make_app(encryption_keys=("a-new-secret-of-16-", "an-old-secret-of-16")).test_cli_runner()
    assert done.invoke(args=["encrypt-credentials"]).output == "1 deployment encrypted\n"
    later = make_app(encryption_keys=("a-new-secret-of-16-",))
    with later.app_context():
        assert [one.off for one in later.extensions["tollgate"].models.stored.all()] == [None]


def test_credentials_that_no_key_opens_are_named_and_end_with_1(make_app: Callable[..., Flask]) -> None:
    new_model(make_app(encryption_keys=("an-old-secret-of-16",)), "one")
    done = make_app(encryption_keys=("a-new-secret-of-16-",)).test_cli_runner().invoke(args=["encrypt-credentials"])
    assert (done.exit_code, done.output) == (
        1,
        "one: its credentials cannot be decrypted\n0 deployments encrypted\n",
    )


def test_the_rows_of_some_days_are_exported(gateway_app: Flask, tmp_path: Path) -> None:
    with gateway_app.app_context():
        days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
        book(*(replace(event(f"r{day.day}"), started_ms=int(day.timestamp() * 1000)) for day in days))
    days_of_march = ["--start", "2026-03-02", "--end", "2026-03-02"]
    done = gateway_app.test_cli_runner().invoke(args=["export", *days_of_march, str(tmp_path / "march.csv")])
    assert (done.exit_code, done.output) == (0, "")
    header, *lines = (tmp_path / "march.csv").read_text().splitlines()
    assert (header.split(",")[0], [line.split(",")[0] for line in lines]) == ("request_id", ["r2"])
