"""`router_settings.total_timeout` ends a call with all that it takes: nobody is asked any more after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.extensions import redis
from app.failures import Failure
from app.gateway.admit import Permit
from app.gateway.asked import Request, parse
from app.gateway.attempts import Attempts, NoAnswer
from app.gateway.call import send
from app.gateway.offers import offer
from app.gateway.places import Places
from app.http import Pool
from app.limits.meters import Tokens, cooling_key
from app.model_list import Deployment
from app.router_settings import Router, Timeouts
from tests.gateway.running import a_call
from tests.scripted_provider import ScriptedProvider


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def app(make_app: Callable[..., Flask], provider: ScriptedProvider) -> Flask:
    def at(name: str, model: str) -> Deployment:
        return Deployment(name, name, "openai", model, api_base=f"{provider.url}/v1", api_key="sk-provider")

    router = Router(
        fallbacks={"stuck": ("stand-in",)},
        allowed_fails=0,
        timeouts=Timeouts(timeout=60.0, connect_timeout=10.0, total_timeout=0.3),
    )
    deployments = (at("stuck", "hang"), at("stand-in", "hang-too"))
    return make_app(deployments=deployments, router=router)


def chat(app: Flask, model: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return app.test_client().post("/v1/chat/completions", json=body, headers=headers)


def test_no_stand_in_is_asked_after_it(app: Flask, provider: ScriptedProvider) -> None:
    answer = chat(app, "stuck")
    assert (answer.status_code, answer.json["error"]["code"]) == (504, "provider_timeout")  # type: ignore[index]
    assert [call.model for call in provider.calls] == ["hang"]


def test_a_deployment_that_was_given_no_time_is_not_left_alone(app: Flask) -> None:
    chat(app, "stuck")
    assert not redis.client.exists(cooling_key("stand-in"))


def test_a_call_whose_time_ran_out_before_anybody_was_asked_asks_nobody(app: Flask, provider: ScriptedProvider) -> None:
    """It may have waited for a slot or for money for as long as that."""
    router = app.extensions["tollgate"].settings.router
    one = offer(Deployment("d", "m", "openai", "hang", api_base=f"{provider.url}/v1", api_key="sk-provider"))
    asked = parse(Request("chat/completions", b'{"model": "m", "messages": []}', {}))
    running = a_call()
    running.deadline = time.monotonic()
    permit = Permit(running.event, (), None, None, Tokens(), {}, {})
    attempts = Attempts(router, [one], asked, permit, running, Places(router, [one], asked, lease=30.0, wait=0))
    with pytest.raises(NoAnswer) as nothing:
        attempts.first_answer(lambda one, waited: send(Pool(), one, asked.sent, running, waited))
    assert (nothing.value.failure, nothing.value.error.status) == (Failure.TIMEOUT, 504)
    assert (provider.calls, attempts.failed) == ([], [])
