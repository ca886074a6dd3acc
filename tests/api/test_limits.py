"""What /limits shows of the meters on a path, and what it says of a call that nobody makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py
from flask import Flask

from app.extensions import redis
from tests.people import HELLO, Someone
from worker.booking import settle_batch

Ask = Callable[..., Any]
CALL = {**HELLO, "max_tokens": 10}


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    """ask("/limits/user/ada") gives the answer's JSON, for the master key unless a key is given."""
    client = gateway_app.test_client()
    master = gateway_app.extensions["tollgate"].settings.master_key

    def send(path: str, body: Any = None, secret: str = master) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return client.post(path, json=body, headers=headers) if body is not None else client.get(path, headers=headers)

    return send


def scopes(answer: Any) -> list[str]:
    return [meter["scope"] for meter in answer.json["meters"]]


def test_a_key_shows_every_meter_on_its_path_in_the_order_of_refusals(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, model_limits={"gpt-*": {"rpm_limit": 5}})
    answer = ask(f"/limits/key/{ada.secret}")
    assert scopes(answer) == [f"key:{ada.key_id}", "user:ada", "user_model:ada/gpt-*", "gateway"]


def test_a_user_shows_what_was_spent_what_is_held_and_what_is_left(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=1, rpm_limit=5, max_parallel_requests=2)
    ada.call()
    with gateway_app.app_context():
        settle_batch(0)
    running = ada.begin()
    (meter, _) = ask("/limits/user/ada").json["meters"]
    running.close()
    assert meter["spend"] > 0
    assert meter["held"] > 0
    assert meter["left"] == pytest.approx(1 - meter["spend"] - meter["held"])
    assert (meter["requests_last_minute"], meter["parallel_requests"]) == (2, 1)


def test_looking_and_explaining_change_nothing_in_redis(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=1, rpm_limit=5, tpm_limit=10_000, max_parallel_requests=2)
    ada.call()
    before = everything(redis.client)
    ask(f"/limits/key/{ada.secret}")
    ask("/limits/explain", {"key": ada.secret, "body": CALL})
    assert everything(redis.client) == before


def everything(client: redis_py.Redis) -> dict[bytes, Any]:
    # Versions of policies are made when somebody looks, and the worker's queue hears of a call when it is over: neither
    # is anybody's limit.
    keys = (key for key in client.scan_iter() if b":policy:" not in key and key.startswith(b"tollgate:"))
    return {key: client.dump(key) for key in keys}


def test_a_call_that_would_go_out_is_passed_by_every_meter(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=1, rpm_limit=5)
    answer = ask("/limits/explain", {"key": ada.secret, "body": CALL})
    assert answer.json["admitted"]
    assert [(meter["scope"], meter["verdict"]) for meter in answer.json["meters"]] == [("user:ada", "passes")]


def test_each_meter_that_would_refuse_says_so_in_the_words_of_the_refusal(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, max_budget=0, rpm_limit=0, model_limits={"mock-*": {"tpm_limit": 1}})
    explained = ask("/limits/explain", {"key": ada.secret, "body": CALL}).json
    codes = {meter["scope"]: meter["error"]["code"] for meter in explained["meters"]}
    assert codes == {"user:ada": "budget_exceeded", "user_model:ada/mock-*": "tpm_limit"}
    assert not explained["admitted"]
    assert explained["meters"][0]["error"] == ada.call().json["error"]


def test_a_model_that_the_key_may_not_use_is_the_explanations_own_error(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app, models=["other"])
    answer = ask("/limits/explain", {"key": ada.secret, "body": CALL})
    assert (answer.status_code, answer.json["error"]["code"]) == (403, "model_not_allowed")


def test_a_body_that_cannot_be_called_is_refused_with_its_field(gateway_app: Flask, ask: Ask) -> None:
    ada = Someone(gateway_app)
    answer = ask("/limits/explain", {"key": ada.secret, "body": {"model": "mock-gpt-4o"}})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize("path", ["user/bob", "team/t", "customer/c", "team_member/t/bob", "key/sk-unknown-unknown-1"])
def test_what_does_not_exist_is_not_found(ask: Ask, path: str) -> None:
    assert ask(f"/limits/{path}").status_code == 404


def test_a_virtual_key_sees_its_own_path_and_its_users(gateway_app: Flask, ask: Ask) -> None:
    ada, bob = Someone(gateway_app), Someone(gateway_app, "bob")
    own = [ask(f"/limits/{path}", secret=ada.secret).status_code for path in (f"key/{ada.secret}", "user/ada")]
    others = [f"key/{bob.secret}", "user/bob", "gateway"]
    assert own == [200, 200]
    assert [ask(f"/limits/{path}", secret=ada.secret).status_code for path in others] == [403, 403, 403]
    assert ask("/limits/explain", {"key": bob.secret, "body": CALL}, secret=ada.secret).status_code == 403


def test_the_gateway_shows_its_own_limits(ask: Ask) -> None:
    assert scopes(ask("/limits/gateway")) == ["gateway"]
