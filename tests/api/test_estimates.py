"""What a call would take and cost, by the gateway's own rules and prices."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from flask import Flask

from app.routing.catalog import Catalog
from tests.api.conftest import Ask
from tests.people import Someone

HELLO = [{"role": "user", "content": "Hello"}]
GPT_4O = {"model": "mock-gpt-4o", "messages": HELLO}
# Dollars per token of gpt-4o, as in the README.
INPUT, OUTPUT = 2.5e-6, 10e-6


def counted(content: Any) -> int:
    return math.ceil(len(orjson.dumps(content)) / 3)


def test_messages_cost_what_their_tokens_cost_as_input(admin: Ask) -> None:
    answer = admin("/spend/calculate", GPT_4O)
    assert answer.json == {"cost": pytest.approx(counted({"messages": HELLO}) * INPUT)}


def test_an_answer_costs_what_it_was_booked_for(admin: Ask, gateway_app: Flask) -> None:
    called = Someone(gateway_app).call()
    answered = {"model": "mock-gpt-4o", "completion_response": called.json}
    assert admin("/spend/calculate", answered).json == {"cost": float(called.headers["x-tollgate-cost"])}


def test_cached_tokens_cost_less(admin: Ask) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 100}}
    answer = admin("/spend/calculate", {"completion_response": {"model": "mock-gpt-4o", "usage": usage}})
    assert answer.json == {"cost": pytest.approx(100 * INPUT / 2)}


def test_an_answer_costs_what_its_service_tier_costs(admin: Ask) -> None:
    answered = {"model": "mock-gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 0}}
    costs = [
        admin("/spend/calculate", {"completion_response": answered | tier}).json["cost"]
        for tier in ({}, {"service_tier": "default"}, {"service_tier": "priority"})
    ]
    assert costs == [1000 * INPUT, 1000 * INPUT, 0.00425]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"messages": HELLO}, 400, "model"),
        ({"model": "mock-gpt-4o"}, 400, "messages"),
        ({"model": "mock-gpt-4o", "completion_response": {}}, 400, "completion_response"),
        (
            {"model": "mock-gpt-4o", "completion_response": {"usage": {"prompt_tokens": -1, "completion_tokens": 0}}},
            400,
            "completion_response",
        ),
        ({"model": "nobody", "messages": HELLO}, 404, "model"),
        ({"model": "mock-gpt-4o", "prompt": "Hello"}, 400, "prompt"),
    ],
)
def test_what_has_no_cost_is_refused(admin: Ask, body: dict[str, Any], status: int, param: str) -> None:
    answer = admin("/spend/calculate", body)
    assert (answer.status_code, answer.json["error"]["param"]) == (status, param)


def test_content_that_cannot_be_written_down_is_refused(admin: Ask) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    answer = admin("/spend/calculate", GPT_4O | {"messages": [{"content": deep}]})
    assert answer.status_code == 400


def test_many_calls_cost_as_many_times_as_much(admin: Ask) -> None:
    size = {"model": "mock-gpt-4o", "input_tokens": 1000, "output_tokens": 500}
    answer = admin("/cost/estimate", size | {"num_requests_per_day": 100}).json
    cost = 1000 * INPUT + 500 * OUTPUT
    shown = {
        "cost_per_request": cost,
        "input_cost_per_request": 1000 * INPUT,
        "output_cost_per_request": 500 * OUTPUT,
        "daily_cost": 100 * cost,
        "daily_input_cost": 100 * 1000 * INPUT,
        "daily_output_cost": 100 * 500 * OUTPUT,
        "input_cost_per_token": INPUT,
        "output_cost_per_token": OUTPUT,
    }
    assert {name: answer[name] for name in shown} == pytest.approx(shown)
    assert (answer["monthly_cost"], answer["num_requests_per_month"], answer["provider"]) == (None, None, "mock")
    assert answer["price_source"].startswith("genai-prices ")


@pytest.mark.parametrize("change", [{"input_tokens": -1}, {"output_tokens": None}, {"num_requests_per_day": "many"}])
def test_calls_of_no_size_have_no_estimate(admin: Ask, change: dict[str, Any]) -> None:
    answer = admin("/cost/estimate", {"model": "mock-gpt-4o", "input_tokens": 1, "output_tokens": 1} | change)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, next(iter(change)))


@pytest.mark.parametrize(
    "content",
    [
        {"prompt": "Hello"},
        {"messages": HELLO},
        {"contents": [{"parts": [{"text": "Hello"}]}]},
        {"messages": HELLO, "tools": [{"type": "function", "function": {"name": "f"}}], "system": "Be brief."},
    ],
)
def test_tokens_are_counted_as_where_a_provider_tells_none(admin: Ask, content: dict[str, Any]) -> None:
    assert admin("/utils/token_counter", {"model": "mock-gpt-4o"} | content).json == {
        "total_tokens": counted(content),
        "request_model": "mock-gpt-4o",
        "model_used": "gpt-4o",
        "tokenizer_type": "bytes_by_three",
        "count_source": "local_estimate",
        "original_response": None,
        "error": False,
        "error_message": None,
        "status_code": None,
    }


def test_an_image_counts_the_same_whatever_its_size(admin: Ask) -> None:
    def of(data: str) -> int:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        messages = [{"role": "user", "content": [image]}]
        total: int = admin("/utils/token_counter", {"model": "x", "messages": messages}).json["total_tokens"]
        return total

    assert 1000 <= of("A") == of("A" * 100_000)


def test_tokens_of_a_model_that_nobody_has_are_counted(admin: Ask) -> None:
    answer = admin("/utils/token_counter", {"model": "nobody", "prompt": "Hello"})
    assert (answer.status_code, answer.json["model_used"]) == (200, "nobody")


def test_nothing_has_no_tokens(admin: Ask) -> None:
    answer = admin("/utils/token_counter", {"model": "mock-gpt-4o", "system": "Be brief."})
    assert (answer.status_code, answer.json["error"]["message"]) == (
        400,
        "prompt or messages or contents must be provided",
    )


def test_a_virtual_key_can_ask_about_the_models_that_it_may_use(admin: Ask, ask: Ask) -> None:
    key = admin("/key/generate", {"models": ["mock-*"]}).json["key"]
    bodies: dict[str, dict[str, Any]] = {
        "/spend/calculate": {"messages": HELLO},
        "/cost/estimate": {"input_tokens": 1, "output_tokens": 1},
        "/utils/token_counter": {"prompt": "Hello"},
    }
    for path, body in bodies.items():
        assert ask(key, path, body | {"model": "mock-gpt-4o"}).status_code == 200
        assert ask(key, path, body | {"model": "gpt-4o"}).json["error"]["code"] == "model_not_allowed"


def test_a_model_without_a_price_has_no_estimate(
    gateway_app: Flask, admin: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpriced = replace(gateway_app.extensions["tollgate"].settings.deployments[0], base_model="on-no-list")
    monkeypatch.setattr(gateway_app.extensions["tollgate"].models, "listed", lambda: Catalog([unpriced]))
    answer = admin("/spend/calculate", GPT_4O)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "model")
