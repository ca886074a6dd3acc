"""OpenAI's other routes over HTTP, answered by the mock; and the routes that are not offered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.model_list import Deployment
from app.providers.mock_media import wav
from tests.api.conftest import Ask, asking
from tests.providers.forms import KIND, form

MODEL = "mock-gpt-4o"
BODIES: dict[str, dict[str, Any]] = {
    "responses": {"input": "hello"},
    "responses/compact": {"input": "hello"},
    "responses/input_tokens": {"input": "hello"},
    "images/generations": {"prompt": "a cat"},
    "audio/speech": {"input": "hello", "voice": "alloy"},
    "moderations": {"input": "hello"},
    "rerank": {"query": "hello", "documents": ["a", "b"]},
}
RECORDING = form([('name="file"; filename="a.wav"', wav()), ('name="model"', MODEL.encode())])
PICTURE = form(
    [('name="image"; filename="a.png"', b"\x89PNG"), ('name="model"', MODEL.encode()), ('name="prompt"', b"hi")]
)
FORMS = {"images/edits": PICTURE, "audio/transcriptions": RECORDING, "audio/translations": RECORDING}

Send = Callable[[str, str], Any]


@pytest.fixture
def send(client: FlaskClient, admin: Ask) -> Send:
    """send("/v1/responses", "responses"): a call on the route by one of its addresses, by somebody with a budget."""
    key = admin("/user/new", {"user_id": "ada", "max_budget": 1000}).json["key"]

    def call(address: str, route: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        if route in FORMS:
            return client.post(address, data=FORMS[route], content_type=KIND, headers=headers)
        return client.post(address, json={"model": MODEL} | BODIES[route], headers=headers)

    return call


@pytest.mark.parametrize("route", [*BODIES, *FORMS])
@pytest.mark.parametrize("address", ["/{}", "/v1/{}"])
def test_a_route_answers_with_and_without_v1(send: Send, route: str, address: str) -> None:
    answer = send(address.format(route), route)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("route", [name for name in (*BODIES, *FORMS) if name not in {"moderations", "rerank"}])
@pytest.mark.parametrize("address", ["/openai/deployments/{model}/{route}?api-version=x", "/openai/v1/{route}"])
def test_a_route_answers_azures_clients(send: Send, route: str, address: str) -> None:
    answer = send(address.format(model=MODEL, route=route), route)
    assert answer.status_code == 200, answer.text


def test_sound_comes_as_sound(send: Send) -> None:
    answer = send("/v1/audio/speech", "audio/speech")
    assert (answer.data, answer.headers["Content-Type"]) == (wav(), "audio/wav")
    assert "x-tollgate-cost" not in answer.headers


@pytest.mark.parametrize("route", ["responses", "images/generations"])
def test_a_stream_comes_as_events(client: FlaskClient, master: str, route: str) -> None:
    body = {"model": MODEL, "stream": True} | BODIES[route]
    answer = client.post(f"/v1/{route}", json=body, headers={"Authorization": f"Bearer {master}"})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert ".completed" in answer.text.split("\n\n")[-2]


def test_speech_in_events_comes_as_events(client: FlaskClient, master: str) -> None:
    body = {"model": MODEL, "input": "hi", "stream_format": "sse"}
    answer = client.post("/v1/audio/speech", json=body, headers={"Authorization": f"Bearer {master}"})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "speech.audio.done" in answer.text


@pytest.mark.parametrize("route", ["moderations", "responses/input_tokens"])
def test_what_is_free_costs_nothing(send: Send, route: str) -> None:
    assert send(f"/v1/{route}", route).headers["x-tollgate-cost"] == "0.000000000"


def test_what_is_free_needs_no_known_price(make_app: Callable[..., Flask]) -> None:
    app = make_app(deployments=(Deployment("m", "m", "mock", "of-unknown-price", mock_response="hi"),))
    ask = partial(asking(app.test_client()), app.extensions["tollgate"].settings.master_key)
    key = ask("/user/new", {"user_id": "ada", "max_budget": 1}).json["key"]
    calls = {"moderations": {"input": "hi"}, "responses": {"input": "hi"}}
    answers = {route: asking(app.test_client())(key, f"/v1/{route}", {"model": "m"} | calls[route]) for route in calls}
    assert {route: answer.status_code for route, answer in answers.items()} == {"moderations": 200, "responses": 403}


def test_a_response_costs_what_its_tokens_cost(send: Send) -> None:
    answer = send("/v1/responses", "responses")
    assert float(answer.headers["x-tollgate-cost"]) > 0


def test_a_torn_form_is_a_bad_request(client: FlaskClient, master: str) -> None:
    headers = {"Authorization": f"Bearer {master}"}
    answer: Any = client.post("/v1/audio/transcriptions", data=RECORDING[:-30], content_type=KIND, headers=headers)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "request_body")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/files", "/v1/batches", "/v1/assistants", "/v1/fine_tuning/jobs", "/v1/realtime", "/v1/threads/t/runs"),
        *(
            "/v1/responses/resp_1",
            "/responses/resp_1",
            "/v1/vector_stores",
            "/openai/v1/files",
            "/v1/images/variations",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_cannot_be_metered_is_not_offered_and_says_why(bare_client: FlaskClient, path: str, method: str) -> None:
    answer: Any = bare_client.open(path, method=method)
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "route_not_offered")
    assert "metered" in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/filesystem", "/v1/nothing", "/openai"])
def test_what_nobody_has_is_not_explained(bare_client: FlaskClient, path: str) -> None:
    answer: Any = bare_client.get(path)
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
