"""What a request goes on from is known to one deployment only: the others are asked until it is found.

The errors are OpenAI's, as its responses API gives them for a `previous_response_id`, or for encrypted reasoning, of
another organization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.extensions import redis
from app.model_list import Deployment
from app.router_settings import Router
from tests.scripted_provider import ScriptedProvider

NOT_FOUND = {
    "error": {
        "message": "Previous response with id 'resp_1' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
}
NOT_VERIFIED = {
    "error": {
        "message": "The encrypted content gAAA could not be verified.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_encrypted_content",
    }
}


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def app(make_app: Callable[..., Flask], provider: ScriptedProvider) -> Flask:
    """Three deployments of one model, asked in their order."""
    deployments = tuple(
        Deployment(f"d{order}", "m", "openai", "scripted", api_base=f"{provider.url}/v1", api_key="sk", order=order)
        for order in (1, 2, 3)
    )
    return make_app(deployments=deployments, router=Router(num_retries=0, allowed_fails=0))


def answers(provider: ScriptedProvider, *errors: dict[str, Any]) -> None:
    """The first deployments answer so, and those after them well."""
    provider.script += [{"status": 400, "body": error} for error in errors]


def go_on(app: Flask) -> TestResponse:
    headers = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = {"model": "m", "input": "And then?", "previous_response_id": "resp_1"}
    return app.test_client().post("/v1/responses", json=body, headers=headers)


@pytest.mark.parametrize("error", [NOT_FOUND, NOT_VERIFIED])
def test_a_response_goes_on_at_the_deployment_that_knows_what_was_before(
    app: Flask, provider: ScriptedProvider, error: dict[str, Any]
) -> None:
    """However many do not know it: these are no retries."""
    answers(provider, error, error)
    answer = go_on(app)
    assert (answer.status_code, answer.headers["x-litellm-model-id"]) == (200, "d3")


def test_nobody_is_left_alone_for_not_knowing_it(app: Flask, provider: ScriptedProvider) -> None:
    answers(provider, NOT_FOUND)
    go_on(app)
    assert not list(redis.client.scan_iter("tollgate:cooling:*"))


def test_what_nobody_knows_is_told_in_the_providers_words(app: Flask, provider: ScriptedProvider) -> None:
    answers(provider, NOT_FOUND, NOT_FOUND, NOT_FOUND)
    answer = go_on(app)
    assert (answer.status_code, answer.json) == (400, NOT_FOUND)
    assert len(provider.calls) == 3


def test_where_one_that_may_know_it_must_not_be_asked_yet_the_client_is_told_when_to_come_back(
    app: Flask, provider: ScriptedProvider
) -> None:
    provider.script.append({"status": 429, "headers": {"Retry-After": "30"}})
    go_on(app)
    provider.script.clear()
    answers(provider, NOT_FOUND, NOT_FOUND)
    answer = go_on(app)
    assert (answer.status_code, answer.json["error"]["code"]) == (429, "provider_rate_limit")  # type: ignore[index]
    assert 25 <= int(answer.headers["Retry-After"]) <= 30
