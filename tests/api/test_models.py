from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.model_list import Deployment
from app.price_names import Place
from tests.api.conftest import Ask, asking
from tests.people import Someone

NAMED = Deployment(
    id="d1",
    model_name="smart",
    provider="openai",
    model="gpt-4o",
    api_base="https://user:hidden1@api.example/v1?sig=hidden2",
    api_key="hidden3",
    costs=((Place("input"), Decimal("0.001")), (Place("output"), Decimal("0.002"))),
    access_groups=("beta-models",),
)
OFF = Deployment(id="d2", model_name="off", provider="openai", model="nobody-priced-this", off="THE_KEY is not set")
MOCK = {"model": "openai/gpt-4o", "mock_response": "Hello from SQL."}
OPENAI = {"model": "openai/gpt-4o", "api_key": "hidden-key"}
AZURE = {"model": "azure/mine", "api_key": "hidden-key", "api_base": "https://one.openai.azure.com"}


@pytest.fixture
def of_config(make_app: Callable[..., Flask], make_settings: Callable[..., Any]) -> Callable[..., Any]:
    """of_config("/model/info") asks a gateway with NAMED and OFF in its config.yaml."""
    ask = asking(make_app(deployments=(NAMED, OFF)).test_client())
    return lambda path, body=None, **query: ask(make_settings().master_key, path, body, **query)


def new(admin: Ask, name: str = "stored", params: dict[str, Any] | None = None, **info: Any) -> Any:
    return admin("/model/new", {"model_name": name, "litellm_params": params or MOCK, "model_info": info})


def made(admin: Ask, *given: Any, **info: Any) -> Any:
    answer = new(admin, *given, **info)
    assert answer.status_code == 200, answer.text
    return answer.json


def chat(ask: Ask, secret: str, model: str) -> Any:
    return ask(secret, "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}]})


# --- what is shown


def test_models_are_shown_with_price_and_state_and_without_secrets(of_config: Callable[..., Any]) -> None:
    answer = of_config("/model/info")
    one, two = answer.json["data"]
    assert one["litellm_params"]["api_base"] == "https://api.example/v1"
    assert one["model_info"]["input_cost_per_token"] == 0.001
    assert one["model_info"]["access_groups"] == ["beta-models"]
    assert (two["model_info"]["off_reason"], two["model_info"]["price_source"]) == ("THE_KEY is not set", None)
    assert "hidden" not in answer.text


def test_one_model_is_found_by_its_id(of_config: Callable[..., Any]) -> None:
    answer = of_config("/v1/model/info", litellm_model_id="d2")
    assert [one["model_name"] for one in answer.json["data"]] == ["off"]
    assert of_config("/v1/model/info", litellm_model_id="nope").status_code == 404


def test_stored_models_are_shown_after_those_of_config_yaml(admin: Ask) -> None:
    made(admin, id="one")
    shown = admin("/model/info").json["data"]
    assert [(one["model_info"]["id"], one["model_info"]["db_model"]) for one in shown] == [
        ("mock-gpt-4o", False),
        ("one", True),
    ]


def test_a_new_model_is_answered_as_it_is_shown(admin: Ask) -> None:
    answer = made(admin, "stored", OPENAI | {"timeout": 5}, mode="chat", max_input_tokens=1000)
    (shown,) = admin("/model/info", litellm_model_id=answer["model_id"]).json["data"]
    assert answer == {"model_id": shown["model_info"]["id"]} | shown
    assert (shown["litellm_params"]["timeout"], shown["model_info"]["mode"]) == (5, "chat")


def test_no_answer_shows_the_key(admin: Ask) -> None:
    answers = [new(admin, "stored", OPENAI, id="one"), admin("/model/info"), admin("/v2/model/info")]
    answers += [admin("/model/update", {"model_info": {"id": "one"}, "litellm_params": {"timeout": 5}})]
    answers += [admin("/model/block", {"model_id": "one"}), new(admin, "stored", OPENAI | {"model": 5})]
    assert ["hidden" in answer.text for answer in answers] == [False] * 6


def test_pages_of_models_say_how_many_there_are(admin: Ask) -> None:
    for name in ("a", "b", "c"):
        made(admin, name)
    page = admin("/v2/model/info", page=2, size=3).json
    assert [one["model_name"] for one in page["data"]] == ["c"]
    assert {name: page[name] for name in page if name != "data"} == {
        "total_count": 4,
        "current_page": 2,
        "total_pages": 2,
        "size": 3,
    }


@pytest.mark.parametrize(
    ("query", "ids"), [({"model": "fast"}, ["one"]), ({"modelId": "two"}, ["two"]), ({"search": "FA"}, ["one", "two"])]
)
def test_pages_of_models_can_be_narrowed(admin: Ask, query: dict[str, str], ids: list[str]) -> None:
    made(admin, "fast", id="one")
    made(admin, "faster", id="two")
    found = admin("/v2/model/info", **query).json["data"]
    assert [one["model_info"]["id"] for one in found] == ids


# --- groups


def test_a_group_spans_the_prices_of_its_deployments(admin: Ask) -> None:
    cheap = MOCK | {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}
    dear = {"model": "azure/mine", "mock_response": "Hi", "input_cost_per_token": 0.000003, "output_cost_per_token": 0}
    made(admin, "group", cheap, max_input_tokens=1000, max_output_tokens=10, access_groups=["beta"])
    made(admin, "group", dear, max_input_tokens=2000, max_output_tokens=20, mode="chat")
    assert admin("/model_group/info", model_group="group").json["data"] == [
        {
            "model_group": "group",
            "providers": ["azure", "openai"],
            "deployments": 2,
            "mode": "chat",
            "max_input_tokens": 2000,
            "max_output_tokens": 20,
            "input_cost_per_token": 0.000003,
            "output_cost_per_token": 0.000002,
            "min_input_cost_per_token": 0.000001,
            "min_output_cost_per_token": 0,
            "access_groups": ["beta"],
        }
    ]


def test_a_price_that_is_not_known_everywhere_may_be_the_dearest(admin: Ask) -> None:
    made(admin, "group")
    made(admin, "group", MOCK | {"model": "openai/nobody-priced-this"})
    (group,) = admin("/model_group/info", model_group="group").json["data"]
    assert (group["input_cost_per_token"], group["min_input_cost_per_token"]) == (None, 0.0000025)


def test_a_virtual_key_sees_the_groups_that_it_may_use(gateway_app: Flask, ask: Ask, admin: Ask) -> None:
    made(admin, "one")
    ada = Someone(gateway_app, models=["one"])
    assert [group["model_group"] for group in ask(ada.secret, "/model_group/info").json["data"]] == ["one"]
    assert ask(ada.secret, "/model_group/info", model_group="mock-gpt-4o").status_code == 404


@pytest.mark.parametrize("path", ["/model/new", "/model/update", "/model/delete", "/model/block", "/model/unblock"])
def test_models_are_changed_with_the_master_key_only(gateway_app: Flask, ask: Ask, path: str) -> None:
    assert ask(Someone(gateway_app).secret, path, {}).status_code == 403


# --- what is changed is called


def test_a_new_model_is_called_and_listed_at_once(gateway_app: Flask, ask: Ask, admin: Ask) -> None:
    ada = Someone(gateway_app)
    assert chat(ask, ada.secret, "stored").status_code == 404
    made(admin)
    assert "Hello from SQL." in chat(ask, ada.secret, "stored").text
    assert "stored" in [model["id"] for model in ask(ada.secret, "/v1/models").json["data"]]


def test_a_stored_model_joins_the_group_of_its_name(ask: Ask, admin: Ask, master: str) -> None:
    made(admin, "mock-gpt-4o")
    told = {chat(ask, master, "mock-gpt-4o").json["choices"][0]["message"]["content"] for _ in range(60)}
    assert told == {"Hello from the mock.", "Hello from SQL."}


def test_a_changed_model_answers_as_changed(ask: Ask, admin: Ask, master: str) -> None:
    made(admin, id="one")
    chat(ask, master, "stored")
    admin("/model/update", {"model_info": {"id": "one"}, "litellm_params": {"mock_response": "Changed."}})
    assert "Changed." in chat(ask, master, "stored").text


def test_a_blocked_model_is_off_until_it_is_unblocked(ask: Ask, admin: Ask, master: str) -> None:
    made(admin, id="one")
    blocked = admin("/model/block", {"model_id": "one"}).json
    assert blocked["model_info"]["off_reason"] == "it is blocked; /model/unblock opens it"
    assert "is switched off" in chat(ask, master, "stored").text
    admin("/model/unblock", {"model_id": "one"})
    assert chat(ask, master, "stored").status_code == 200


def test_a_deleted_model_is_gone(ask: Ask, admin: Ask, master: str) -> None:
    made(admin, id="one")
    chat(ask, master, "stored")
    assert admin("/model/delete", {"id": "one"}).json == {"message": "Model: one deleted successfully"}
    assert chat(ask, master, "stored").status_code == 404
    assert admin("/model/info", litellm_model_id="one").status_code == 404


def test_a_model_joins_an_access_group_on_the_next_call(gateway_app: Flask, ask: Ask, admin: Ask) -> None:
    ada = Someone(gateway_app, models=["beta"])
    made(admin, id="one")
    assert chat(ask, ada.secret, "stored").status_code == 403
    admin("/model/update", {"model_info": {"id": "one", "access_groups": ["beta"]}})
    assert chat(ask, ada.secret, "stored").status_code == 200


# --- updates are merged


def test_an_update_changes_what_is_sent_and_null_takes_away(client: FlaskClient, admin: Ask, master: str) -> None:
    made(admin, "stored", MOCK | {"timeout": 5}, id="one", mode="chat", access_groups=["beta"])
    answer: Any = client.patch(
        "/model/one/update",
        json={"litellm_params": {"timeout": None}, "model_info": {"mode": "completion"}},
        headers={"x-api-key": master},
    )
    params, info = answer.json["litellm_params"], answer.json["model_info"]
    assert (params["timeout"], params["mock_response"]) == (None, "Hello from SQL.")
    assert (info["mode"], info["access_groups"], answer.json["model_name"]) == ("completion", ["beta"], "stored")


def test_the_id_of_a_model_cannot_be_changed(client: FlaskClient, admin: Ask, master: str) -> None:
    made(admin, id="one")
    headers = {"x-api-key": master}
    assert client.patch("/model/one/update", json={"model_info": {"id": "two"}}, headers=headers).status_code == 400


def test_a_key_goes_to_no_other_address_than_it_was_given_for(admin: Ask) -> None:
    made(admin, "stored", AZURE, id="one")
    elsewhere = {"model_info": {"id": "one"}, "litellm_params": {"api_base": "https://elsewhere.example"}}
    answer = admin("/model/update", elsewhere)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "litellm_params.api_key")
    elsewhere["litellm_params"]["api_key"] = "another"
    assert admin("/model/update", elsewhere).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/model/update", {"model_info": {"id": "%s"}}),
        ("/model/delete", {"id": "%s"}),
        ("/model/block", {"model_id": "%s"}),
    ],
)
def test_models_of_config_yaml_are_not_changed_and_unknown_ones_not_found(
    admin: Ask, path: str, body: dict[str, Any]
) -> None:
    def named(model_id: str) -> dict[str, Any]:
        return {name: {"id": model_id} if isinstance(value, dict) else model_id for name, value in body.items()}

    refused = admin(path, named("mock-gpt-4o"))
    assert refused.status_code == 400
    assert "config.yaml" in refused.json["error"]["message"]
    assert admin(path, named("nope")).status_code == 404


def test_an_update_says_which_model(admin: Ask) -> None:
    assert admin("/model/update", {"model_name": "a"}).json["error"]["param"] == "model_info.id"


# --- what is refused


@pytest.mark.parametrize("model_id", ["mock-gpt-4o", "one"])
def test_an_id_is_given_once(admin: Ask, model_id: str) -> None:
    made(admin, id="one")
    assert new(admin, id=model_id).status_code == 409


@pytest.mark.parametrize(
    ("params", "info", "path", "said"),
    [
        ({"api_bse": "x"}, {}, "litellm_params.api_bse", "did you mean api_base?"),
        ({"access_groups": ["a"]}, {}, "litellm_params.access_groups", "it belongs in model_info"),
        ({}, {"acces_groups": ["a"]}, "model_info.acces_groups", "did you mean access_groups?"),
        ({"model": "nobody/x", "mock_response": None}, {}, "litellm_params.model", '"<vendor>/<model>"'),
        ({"model": None}, {}, "litellm_params.model", "missing"),
        ({"timeout": "soon"}, {}, "litellm_params.timeout", 'got "soon", expected seconds'),
        ({"input_cost_per_token": 2.5}, {}, "litellm_params.input_cost_per_token", "is this per million?"),
        ({"max_retries": 0}, {}, "litellm_params.max_retries", "not supported yet"),
        ({"mock_response": None, "api_base": "x"}, {}, "litellm_params.api_base", "expected an address"),
        ({"mock_response": None, "api_key": "a\u00e9"}, {}, "litellm_params.api_key", "that a header can hold"),
        ({"model": "openai/a\x00"}, {}, "litellm_params.model", "control characters"),
        ({}, {"id": 5}, "model_info.id", "got 5"),
        ({}, {"id": "x" * 65}, "model_info.id", "at most 64"),
        ({}, {"access_groups": [5]}, "model_info.access_groups[0]", "got 5"),
        ({"api_key": "os.environ/HOME"}, {}, "litellm_params.api_key", "os.environ/"),
        ({}, {"access_groups": ["os.environ/HOME"]}, "model_info.access_groups[0]", "os.environ/"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(
    admin: Ask, params: dict[str, Any], info: dict[str, Any], path: str, said: str
) -> None:
    answer = new(admin, "stored", MOCK | params, **info)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, path)
    assert said in answer.json["error"]["message"]


@pytest.mark.parametrize("address", ["https://a:hidden@x.example", "https://x.example/?key=hidden", "a:hidden@x"])
@pytest.mark.parametrize("mock", [None, "Hello"])
def test_an_address_with_a_secret_in_it_is_refused_and_not_shown(admin: Ask, address: str, mock: str | None) -> None:
    answer = new(admin, "stored", OPENAI | {"api_base": address, "mock_response": mock})
    assert answer.status_code == 400
    assert "hidden" not in answer.text


@pytest.mark.parametrize(("missing", "kept"), [("api_base", "api_key"), ("api_key", "api_base")])
def test_azure_takes_neither_address_nor_key_from_the_environment(admin: Ask, missing: str, kept: str) -> None:
    answer = new(admin, "stored", {"model": "azure/mine", kept: AZURE[kept]})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, f"litellm_params.{missing}")


def test_a_refused_change_changes_nothing(admin: Ask) -> None:
    made(admin, id="one")
    before = admin("/model/info").json
    assert admin("/model/update", {"model_name": "b", "model_info": {"id": "one", "mode": 5}}).status_code == 400
    assert admin("/model/info").json == before


def test_names_of_litellm_pass_where_they_ask_for_nothing(admin: Ask) -> None:
    assert (
        made(admin, "stored", MOCK | {"max_retries": None, "tags": [], "use_in_pass_through": False})["model_name"]
        == "stored"
    )


# --- the environment's key


def stored_target(app: Flask, model_id: str) -> Deployment:
    with app.app_context():
        found: tuple[Deployment, ...] = app.extensions["tollgate"].models.look().catalog.all()
        return next(one for one in found if one.id == model_id)


def test_openai_itself_is_called_with_the_environments_key(make_app: Callable[..., Flask], master_of: Any) -> None:
    app = make_app(provider_keys={"OPENAI_API_KEY": "of-the-environment"})
    made(master_of(app), "stored", {"model": "openai/gpt-4o"}, id="one")
    assert stored_target(app, "one").api_key == "of-the-environment"


def test_no_other_address_gets_the_environments_key(make_app: Callable[..., Flask], master_of: Any) -> None:
    app = make_app(provider_keys={"OPENAI_API_KEY": "of-the-environment"})
    made(master_of(app), "stored", {"model": "openai/x", "api_base": "https://other.example"}, id="one")
    assert stored_target(app, "one").api_key is None


def test_without_the_environments_key_the_model_is_off(gateway_app: Flask, admin: Ask) -> None:
    made(admin, "stored", {"model": "openai/gpt-4o"}, id="one")
    assert stored_target(gateway_app, "one").off == "OPENAI_API_KEY is not set"


@pytest.fixture
def master_of() -> Callable[[Flask], Ask]:
    """master_of(app) is as `admin`, at that application."""

    def ask_at(app: Flask) -> Ask:
        ask = asking(app.test_client())
        return lambda path, body=None, **query: ask(app.extensions["tollgate"].settings.master_key, path, body, **query)

    return ask_at
