"""Models that an admin adds at one web process are called at the other, and their secrets are in no place in clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Person, user_of
from tests.journeys.test_secrets import everything_in_redis, everything_in_sql
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

FIRST_KEY, SECOND_KEY = "secret-of-a-provider-1", "secret-of-a-provider-2"
OLD, NEW = "an-old-encryption-secret", "a-new-encryption-secret"


@pytest.fixture
def model(provider: ScriptedProvider, ada: str) -> dict[str, Any]:
    """A deployment at the scripted provider, under a name that no other story has."""
    params: dict[str, Any] = {"model": "openai/scripted", "api_base": provider.url + "/v1", "api_key": FIRST_KEY}
    params |= {"input_cost_per_token": 0, "output_cost_per_token": 0.001}
    return {"model_name": f"model-of-{ada}", "litellm_params": params, "model_info": {"id": f"id-of-{ada}"}}


def keys_of(provider: ScriptedProvider) -> list[str]:
    return [call.headers["authorization"].removeprefix("Bearer ") for call in provider.calls]


def everywhere(stack: Stack, database_url: str, redis_url: str) -> dict[str, str]:
    """All that is written down anywhere."""
    file = Path(database_url.removeprefix("sqlite:///"))
    files = [*file.parent.glob(file.name + "*")] if database_url.startswith("sqlite") else []
    return {
        "logs": "".join(path.read_text() for path in stack.directory.glob("*.log")),
        "Redis": everything_in_redis(redis_url).decode("latin-1"),
        "SQL": everything_in_sql(database_url),
        "files": "".join(path.read_bytes().decode("latin-1") for path in files),
    }


def test_a_model_made_at_one_process_is_called_at_the_other_on_the_next_call(
    stack: Stack, admin: Person, person: Callable[..., Person], model: dict[str, Any], provider: ScriptedProvider
) -> None:
    caller = person().at(stack.urls[1])
    name = model["model_name"]
    assert caller.chat(name).status_code == 404
    assert admin.post("/model/new", model).status_code == 200
    answer = caller.chat(name)
    assert (answer.status_code, answer.headers["x-tollgate-cost"]) == (200, "0.020000000")
    assert keys_of(provider) == [FIRST_KEY]


def test_a_changed_key_is_used_by_the_other_process_on_the_next_call(
    stack: Stack, admin: Person, person: Callable[..., Person], model: dict[str, Any], provider: ScriptedProvider
) -> None:
    admin.post("/model/new", model)
    caller = person().at(stack.urls[1])
    caller.chat(model["model_name"])
    change = {"model_info": model["model_info"], "litellm_params": {"api_key": SECOND_KEY}}
    assert admin.post("/model/update", change).status_code == 200
    assert caller.chat(model["model_name"]).status_code == 200
    assert keys_of(provider) == [FIRST_KEY, SECOND_KEY]


@pytest.mark.parametrize(("path", "field"), [("/model/delete", "id"), ("/model/block", "model_id")])
def test_a_model_that_is_gone_is_gone_at_the_other_process_on_the_next_call(
    stack: Stack, admin: Person, person: Callable[..., Person], model: dict[str, Any], path: str, field: str
) -> None:
    admin.post("/model/new", model)
    caller = person().at(stack.urls[1])
    name = model["model_name"]
    assert caller.chat(name).status_code == 200
    assert name in caller.get("/v1/models").text
    assert admin.post(path, {field: model["model_info"]["id"]}).status_code == 200
    assert caller.chat(name).status_code == 404
    assert name not in caller.get("/v1/models").text


def test_the_keys_of_stored_models_are_nowhere_in_clear(
    own_stack: Stack, provider: ScriptedProvider, model: dict[str, Any], database_url: str, redis_url: str
) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, max_budget=10)
    name, named = model["model_name"], {"model_info": model["model_info"]}
    answers = [admin.post("/model/new", model), caller.chat(name), admin.post("/model/new", model)]
    provider.script.append({"status": 401, "body": {"error": {"message": f"Incorrect key: {FIRST_KEY}"}}})
    answers += [caller.chat(name), admin.post("/model/update", named | {"litellm_params": {"api_key": SECOND_KEY}})]
    wrong = {"api_key": SECOND_KEY, "api_base": f"http://a:{SECOND_KEY}@127.0.0.1"}
    answers += [admin.post("/model/update", named | {"litellm_params": wrong})]
    answers += [admin.post("/model/new", model | {"litellm_params": {"api_key": [FIRST_KEY]}})]
    answers += [
        caller.chat(name),
        admin.get("/model/info"),
        admin.get("/v2/model/info"),
        admin.get("/model_group/info"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 401, 200, 400, 400, 200, 200, 200, 200]

    assert keys_of(provider) == [FIRST_KEY, FIRST_KEY, SECOND_KEY]
    places = everywhere(own_stack, database_url, redis_url)
    places["answers"] = "".join(str(answer.headers) + answer.text for answer in answers)
    found = [(place, key) for place, text in places.items() for key in (FIRST_KEY, SECOND_KEY) if key in text]
    assert found == []
    # Were the search blind, it would find nothing either.
    assert [place for place in ("SQL", "answers") if name not in places[place]] == []


def test_the_encryption_key_is_rotated_without_a_call_that_fails(
    database_url: str, redis_url: str, provider: ScriptedProvider, model: dict[str, Any]
) -> None:
    def called_with(keys: str) -> Stack:
        variables = {"TOLLGATE_ENCRYPTION_KEY": keys}
        return Stack(database_url, redis_url, {"model_list": []}, web=1, workers=0, variables=variables)

    with called_with(OLD) as stack:
        Person(stack.master_key, stack.urls[0]).post("/model/new", model)
    with called_with(f"{NEW},{OLD}") as stack:
        assert Person(stack.master_key, stack.urls[0]).chat(model["model_name"]).status_code == 200
        assert "1 deployment encrypted" in stack.command("encrypt-credentials")
        assert Person(stack.master_key, stack.urls[0]).chat(model["model_name"]).status_code == 200
    with called_with(NEW) as stack:
        assert Person(stack.master_key, stack.urls[0]).chat(model["model_name"]).status_code == 200
    assert keys_of(provider) == [FIRST_KEY] * 3
