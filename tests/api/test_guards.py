from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api import RESOURCES, health, proxy, proxy_openai
from tests.api.conftest import Ask

ADMIN_READS = ("/user/list", "/model/info", "/v1/model/info", "/budget/list", "/customer/list", "/limits/gateway")
ADMIN_WRITES = (
    *("/user/new", "/user/update", "/user/delete", "/key/unblock", "/key/service-account/generate"),
    *("/team/new", "/team/update", "/team/delete", "/customer/new", "/budget/new", "/webhooks/test"),
)


def test_every_resource_has_a_guard() -> None:
    # Model routes are guarded by admission, which every one of them goes through.
    open_to_all = (health, proxy, proxy_openai)
    unguarded = [
        one.blueprint.name
        for one in RESOURCES
        if one not in open_to_all and not one.blueprint.before_request_funcs.get(None)
    ]
    assert unguarded == []


@pytest.mark.parametrize("path", ["/user/new", "/key/info", "/spend/logs", "/model/info"])
def test_a_request_without_a_key_is_asked_who_it_is(bare_client: FlaskClient, path: str) -> None:
    answer: Any = bare_client.post(path, json={}) if path == "/user/new" else bare_client.get(path)
    assert (answer.status_code, answer.json["error"]["type"]) == (401, "auth_error")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_key_is_not_repeated(ask: Ask) -> None:
    answer = ask("sk-nobody-knows-this-key", "/user/list")
    assert answer.status_code == 401
    assert "nobody" not in answer.text


def test_the_master_key_may_come_as_x_api_key(client: FlaskClient, master: str) -> None:
    assert client.get("/user/list", headers={"x-api-key": master}).status_code == 200


def test_a_virtual_key_is_known_but_not_allowed_on_admin_routes(admin: Ask, ask: Ask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    answers = [ask(key, path) for path in ADMIN_READS] + [ask(key, path, {}) for path in ADMIN_WRITES]
    assert {(answer.status_code, answer.json["error"]["code"]) for answer in answers} == {(403, "not_allowed")}


def test_a_virtual_key_reads_its_own_info(admin: Ask, ask: Ask) -> None:
    made = admin("/user/new", {"user_id": "ada"}).json
    assert ask(made["key"], "/key/info").json["key"] == made["token"]
    assert ask(made["key"], "/key/info", key=made["key"]).json["key"] == made["token"]
    assert ask(made["key"], "/user/info").json["user_id"] == "ada"
    assert ask(made["key"], "/spend/logs").json == []


def test_a_virtual_key_reads_nothing_of_others(admin: Ask, ask: Ask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    other = admin("/user/new", {"user_id": "bob"}).json["token"]
    answers = [
        ask(key, "/key/info", key=other),
        ask(key, "/user/info", user_id="bob"),
        ask(key, "/spend/logs", user_id="bob"),
        ask(key, "/spend/logs", api_key=other),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4


def test_a_blocked_key_reads_nothing(admin: Ask, ask: Ask) -> None:
    key = admin("/key/generate", {}).json["key"]
    admin("/key/block", {"key": key})
    answer = ask(key, "/key/info")
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "blocked_key")


def test_the_docs_say_of_each_route_who_may_use_it(admin: Ask, ask: Ask) -> None:
    paths = admin("/openapi.json").json["paths"]
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    reads = [path for path in paths if "get" in paths[path] and "{" not in path]
    said = {path for path in reads if {"virtualKey": []} in paths[path]["get"]["security"]}
    said |= {path for path in reads if paths[path]["get"]["security"] == []}
    assert said == {path for path in reads if ask(key, path).status_code != 403}
