from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.conftest import BARE_MASTER_KEY, Ask


def test_a_body_that_is_not_json_is_a_bad_request(bare_client: FlaskClient) -> None:
    answer: Any = bare_client.post("/user/new", data="{", headers={"Authorization": f"Bearer {BARE_MASTER_KEY}"})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "request_body")


def test_a_body_that_is_no_object_is_a_bad_request(bare_admin: Ask) -> None:
    answer = bare_admin("/user/new", [1])
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "request_body")


def test_a_body_without_a_json_content_type_is_read_all_the_same(client: FlaskClient, master: str) -> None:
    answer: Any = client.post("/user/new", data='{"max_budget": 2}', headers={"Authorization": f"Bearer {master}"})
    assert answer.json["max_budget"] == 2.0


def test_an_unknown_field_is_named_with_the_nearest_real_one(bare_admin: Ask) -> None:
    error = bare_admin("/user/new", {"max_budgett": 1}).json["error"]
    assert error == {
        "message": "There is no field `max_budgett`. Did you mean `max_budget`?",
        "type": "invalid_request_error",
        "param": "max_budgett",
        "code": "unknown_field",
    }


def test_an_unknown_query_parameter_is_refused(bare_admin: Ask) -> None:
    answer = bare_admin("/spend/logs", usr_id="ada")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "unknown_field")


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/user/new", "tpd_limit", 5),
        ("/user/update", "teams", ["a"]),
        ("/key/generate", "tag_rpm_limit", {"m": 0}),
        ("/key/generate", "project_id", "t"),
        ("/key/generate", "guardrails", ["a"]),
    ],
)
def test_a_limit_that_is_not_enforced_yet_is_refused(bare_admin: Ask, path: str, field: str, value: Any) -> None:
    answer = bare_admin(path, {field: value})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, field)
    assert "not supported yet" in answer.json["error"]["message"]


def test_unset_fields_of_other_gateways_are_harmless(admin: Ask) -> None:
    unset: dict[str, Any] = {"rpm_limit": None, "aliases": {}, "tags": [], "team_id": None, "send_invite_email": False}
    assert admin("/key/generate", unset).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_budget", -3),
        ("max_budget", "10"),
        ("max_budget", True),
        ("max_parallel_requests", -1),
        ("max_parallel_requests", 1.5),
        ("max_parallel_requests", 2**31),
        ("rpm_limit", -1),
        ("rpm_limit", 1.5),
        ("rpm_limit", 2**31),
        ("tpm_limit", -1),
        ("tpm_limit", "100"),
        ("duration", "20x"),
        ("duration", "0s"),
        ("budget_duration", "often"),
        ("models", "gpt-4o"),
        ("user_id", ""),
        ("user_id", "a\u0000b"),
        ("metadata", []),
        ("strict", "yes"),
        ("key", "not-a-key-of-ours"),
        ("key", "sk-short"),
        ("user_role", "boss"),
        ("user_email", "ada"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(bare_admin: Ask, field: str, value: Any) -> None:
    answer = bare_admin("/user/new", {field: value})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, field)


def test_a_bad_value_in_a_list_is_named_by_its_place(bare_admin: Ask) -> None:
    assert bare_admin("/user/new", {"models": ["a", 1]}).json["error"]["param"] == "models[1]"


def test_a_route_that_does_not_exist_answers_in_the_one_shape(bare_client: FlaskClient) -> None:
    answer: Any = bare_client.get("/nope/sk-secret")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
    assert "sk-secret" not in answer.text


def test_a_wrong_method_says_which_ones_are_right(bare_client: FlaskClient) -> None:
    answer: Any = bare_client.get("/user/new")
    assert (answer.status_code, answer.json["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_a_body_that_is_too_large_is_refused(bare_app: Flask, bare_admin: Ask) -> None:
    bare_app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = bare_admin("/user/new", {"user_alias": "a" * 1000})
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "body_too_large")


def test_an_unexpected_error_tells_nothing_of_itself(bare_app: Flask, bare_client: FlaskClient) -> None:
    def breaks() -> None:
        raise RuntimeError("a secret")

    bare_app.config["PROPAGATE_EXCEPTIONS"] = False
    bare_app.view_functions["Health.liveliness"] = breaks  # type: ignore[assignment]
    answer: Any = bare_client.get("/health/liveliness")
    assert (answer.status_code, answer.json["error"]["type"]) == (500, "internal_error")
    assert "secret" not in answer.text
