"""Credit on top of a budget, and temporary raises, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from tests.people import Someone

Ask = Callable[..., Any]


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    client = gateway_app.test_client()
    master = {"Authorization": f"Bearer {gateway_app.extensions['tollgate'].settings.master_key}"}

    def send(path: str, body: Any, status: int = 200) -> Any:
        answer = client.post(path, json=body, headers=master)
        assert answer.status_code == status, answer.text
        return answer.json

    return send


def test_credit_acts_on_the_next_call_and_changes_neither_budget_nor_spend(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=0)
    before = ada.call().status_code
    meter = ask("/limits/user/ada/credit", {"amount": 5, "reason": "paid"})
    assert (meter["limits"]["max_budget"], meter["budget"], meter["left"], meter["spend"]) == (0, 5, 5, 0)
    assert (before, ada.call().status_code) == (429, 200)


def test_the_same_credit_sent_twice_is_given_once(gateway_app: Flask, ask: Ask) -> None:
    Someone(gateway_app, max_budget=1)
    for _ in range(2):
        meter = ask("/limits/user/ada/credit", {"amount": 5, "id": "invoice-7"})
    assert meter["budget"] == 6
    ask("/limits/user/ada/credit", {"amount": 6, "id": "invoice-7"}, 409)


def test_credit_can_be_taken_back_and_never_below_nothing(gateway_app: Flask, ask: Ask) -> None:
    Someone(gateway_app, max_budget=1)
    assert ask("/limits/user/ada/credit", {"amount": -0.25})["budget"] == 0.75
    assert ask("/limits/user/ada/credit", {"amount": -5})["budget"] == 0


def test_credit_without_a_budget_is_refused(gateway_app: Flask, ask: Ask) -> None:
    Someone(gateway_app)
    assert ask("/limits/user/ada/credit", {"amount": 5}, 400)["error"]["param"] == "amount"


@pytest.mark.parametrize("amount", [0, "5", True, None, 1e9])
def test_an_amount_that_is_none_is_refused(gateway_app: Flask, ask: Ask, amount: Any) -> None:
    Someone(gateway_app, max_budget=1)
    assert ask("/limits/user/ada/credit", {"amount": amount}, 400)["error"]["param"] == "amount"


def test_a_keys_spend_is_set_back_by_credit(ask: Ask) -> None:
    made = ask("/key/generate", {"max_budget": 0})
    answer = ask(f"/key/{made['token']}/reset_spend", {"reset_to": 0})
    assert (answer["spend"], answer["previous_spend"], answer["effective_budget"]) == (0, 0, 0)
    ask(f"/key/{made['token']}/reset_spend", {"reset_to": 1}, 400)


def test_a_temporary_raise_lets_calls_through_and_is_over_at_its_end(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=0)
    statuses = [ada.call().status_code]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    ask("/user/update", {"user_id": "ada", "temp_budget_increase": 5, "temp_budget_expiry": soon})
    statuses.append(ada.call().status_code)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    ask("/user/update", {"user_id": "ada", "temp_budget_expiry": past})
    statuses.append(ada.call().status_code)
    assert statuses == [429, 200, 429]
