"""GET /spend/holds: who holds how much for which call until when."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.extensions import redis
from app.ledger import rows
from tests.api.conftest import Ask
from tests.people import Someone
from worker.booking import settle_batch


@pytest.fixture
def ada(gateway_app: Flask) -> Someone:
    return Someone(gateway_app, "ada", max_budget=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_nobody_calls_and_nothing_is_held(admin: Ask) -> None:
    answer = admin("/spend/holds")
    assert (answer.json, answer.headers["x-total-count"]) == ([], "0")


def test_a_running_call_is_shown_with_what_it_holds(admin: Ask, ada: Someone) -> None:
    running = ada.begin()
    (one,) = admin("/spend/holds").json
    shown: Any = redis.client.hget("tollgate:holds:user:ada@0", "h" + running.headers["x-request-id"])
    held = int(shown) / 1e9
    assert {name: one[name] for name in ("request_id", "key_id", "user_id", "model", "state", "held", "meters")} == {
        "request_id": running.headers["x-request-id"],
        "key_id": ada.key_id,
        "user_id": "ada",
        "model": "mock-gpt-4o",
        "state": "running",
        "held": held,
        "meters": [{"meter": "user:ada", "window_start": None, "held": held}],
    }
    running.close()


def test_a_running_call_says_since_when_and_until_when(admin: Ask, ada: Someone) -> None:
    running = ada.begin()
    (one,) = admin("/spend/holds").json
    started, ends = moment(one["started_at"]), moment(one["lease_ends_at"])
    running.close()
    assert abs(datetime.now(UTC) - started) < timedelta(seconds=5)
    assert timedelta(seconds=25) < ends - started < timedelta(seconds=35)


def test_a_call_that_has_ended_is_unsettled_at_its_cost(admin: Ask, ada: Someone) -> None:
    cost = float(ada.call().headers["x-tollgate-cost"])
    (one,) = admin("/spend/holds").json
    assert (one["state"], one["held"], one["lease_ends_at"]) == ("unsettled", cost, None)
    assert [meter["held"] for meter in one["meters"]] == [cost]


def test_a_call_that_is_settled_holds_nothing(admin: Ask, ada: Someone, gateway_app: Flask) -> None:
    ada.call()
    with gateway_app.app_context():
        settle_batch(0)
        assert rows.find()[1] == 1
    assert admin("/spend/holds").json == []


def test_the_last_call_of_a_budget_holds_what_was_left(admin: Ask, gateway_app: Flask) -> None:
    running = Someone(gateway_app, "poor", max_budget=0.000001).begin()
    (one,) = admin("/spend/holds").json
    running.close()
    assert one["held"] == 0.000001


def test_a_hold_in_a_window_says_when_the_window_began(admin: Ask, gateway_app: Flask) -> None:
    running = Someone(gateway_app, "ada", max_budget=1, budget_duration="1d").begin()
    (one,) = admin("/spend/holds").json
    running.close()
    assert one["meters"][0]["window_start"] == f"{datetime.now(UTC):%Y-%m-%d}T00:00:00.000Z"


def test_a_call_without_a_budget_is_shown_too(admin: Ask, gateway_app: Flask) -> None:
    running = Someone(gateway_app, "free").begin()
    (one,) = admin("/spend/holds").json
    running.close()
    assert (one["user_id"], one["meters"], one["held"] > 0) == ("free", [], True)


def test_one_user_can_be_asked_for(admin: Ask, ada: Someone, gateway_app: Flask) -> None:
    ada.call()
    Someone(gateway_app, "bob", max_budget=1).call()
    answer = admin("/spend/holds", user_id="bob")
    assert ([one["user_id"] for one in answer.json], answer.headers["x-total-count"]) == (["bob"], "1")


def test_pages_go_from_the_oldest_call_to_the_newest(admin: Ask, ada: Someone) -> None:
    made = []
    for _ in range(3):
        made.append(ada.call().headers["x-request-id"])
        # The order is told by the millisecond.
        time.sleep(0.002)
    pages = [admin("/spend/holds", page=number, page_size=2) for number in (1, 2)]
    assert [one["request_id"] for page in pages for one in page.json] == made
    assert pages[0].headers["x-total-count"] == "3"


def test_a_virtual_key_sees_its_own_calls_only(ask: Ask, ada: Someone, gateway_app: Flask) -> None:
    mine = ada.call().headers["x-request-id"]
    Someone(gateway_app, "bob", max_budget=1).call()
    assert [one["request_id"] for one in ask(ada.secret, "/spend/holds").json] == [mine]


def test_a_virtual_key_cannot_ask_for_somebody_else(ask: Ask, ada: Someone) -> None:
    assert ask(ada.secret, "/spend/holds", user_id="bob").status_code == 403


def test_without_redis_it_is_not_known_who_holds_what(admin: Ask) -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    answer = admin("/spend/holds")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "limits_unavailable")
