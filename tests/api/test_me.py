"""GET /me for the holder of a key."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.people import Someone
from worker.booking import settle_batch


def me(app: Flask, secret: str, **query: str) -> Any:
    return app.test_client().get("/me", query_string=query, headers={"Authorization": f"Bearer {secret}"})


def test_it_says_what_is_left_what_was_spent_and_which_keys_there_are(gateway_app: Flask) -> None:
    ada = Someone(gateway_app, max_budget=1, rpm_limit=5)
    cost = float(ada.call().headers["x-tollgate-cost"])
    with gateway_app.app_context():
        settle_batch(0)
    answer = me(gateway_app, ada.secret).json
    assert answer["budget_left"] == pytest.approx(1 - cost)
    assert [(one["model"], one["spend"], one["api_requests"]) for one in answer["spend_by_day"]] == [
        ("mock-gpt-4o", cost, 1)
    ]
    assert [one["key_id"] for one in answer["keys"]] == [answer["key"]["key_id"]] == [ada.key_id]
    assert {one["scope"]: one["requests_last_minute"] for one in answer["limits"]} == {
        f"key:{ada.key_id}": 0,
        "user:ada": 1,
    }


def test_it_tells_nothing_of_others(gateway_app: Flask) -> None:
    ada, bob = Someone(gateway_app, max_budget=1), Someone(gateway_app, "bob", max_budget=7)
    bob.call()
    with gateway_app.app_context():
        settle_batch(0)
    text = me(gateway_app, ada.secret).text
    assert "bob" not in text
    assert bob.key_id not in text
    assert "gateway" not in text


def test_a_key_that_is_nobodys_knows_itself(gateway_app: Flask) -> None:
    master = {"Authorization": f"Bearer {gateway_app.extensions['tollgate'].settings.master_key}"}
    made: Any = gateway_app.test_client().post("/key/generate", json={}, headers=master)
    answer = me(gateway_app, made.json["key"]).json
    assert (answer["user"], answer["budget_left"], len(answer["keys"])) == (None, None, 1)


def test_the_master_key_is_nobody(gateway_app: Flask) -> None:
    master = gateway_app.extensions["tollgate"].settings.master_key
    assert me(gateway_app, master).status_code == 400
