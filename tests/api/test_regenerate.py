"""New secrets for keys that are there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.extensions import write_transaction
from app.models import FormerToken, now
from tests.people import HELLO

Ask = Callable[..., Any]


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    client = gateway_app.test_client()
    master = {"Authorization": f"Bearer {gateway_app.extensions['tollgate'].settings.master_key}"}

    def send(path: str, body: Any, status: int = 200, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = client.post(path, json=body, headers=master | named)
        assert answer.status_code == status, answer.text
        return answer.json

    return send


@pytest.fixture
def works(gateway_app: Flask) -> Callable[[str], bool]:
    client = gateway_app.test_client()

    def call(secret: str) -> bool:
        answer = client.post("/v1/chat/completions", json=HELLO, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    return call


def test_without_grace_the_old_secret_ends_at_once(ask: Ask, works: Callable[[str], bool]) -> None:
    old = ask("/key/generate", {"key_alias": "a", "rpm_limit": 100})
    assert works(old["key"])
    new = ask("/key/regenerate", {"key": old["key"]})
    assert (works(old["key"]), works(new["key"])) == (False, True)
    assert [new[name] for name in ("key_id", "key_alias", "rpm_limit")] == [old["key_id"], "a", 100]


def test_with_grace_old_and_new_both_work_until_it_is_over(
    gateway_app: Flask, ask: Ask, works: Callable[[str], bool]
) -> None:
    old = ask("/key/generate", {})
    new = ask(f"/key/{old['token']}/regenerate", {"grace_period": "24h"})
    both = works(old["key"]), works(new["key"])
    with gateway_app.app_context(), write_transaction() as session:
        former = session.get(FormerToken, old["token"])
        assert former is not None
        assert timedelta(hours=23) < former.valid_until - now() <= timedelta(hours=24)
        former.valid_until = now()
    # Another edit of the key has every process look at it again, as the end of the grace does by itself.
    ask("/key/update", {"key": new["key"], "metadata": {}})
    assert (both, works(old["key"]), works(new["key"])) == ((True, True), False, True)


def test_secrets_of_several_regenerations_work_side_by_side(ask: Ask, works: Callable[[str], bool]) -> None:
    secrets = [ask("/key/generate", {})["key"]]
    for _ in range(2):
        secrets.append(ask("/key/regenerate", {"key": secrets[-1], "grace_period": "1h"})["key"])
    assert [works(secret) for secret in secrets] == [True, True, True]


def test_one_without_grace_ends_all_of_them(ask: Ask, works: Callable[[str], bool]) -> None:
    first = ask("/key/generate", {})["key"]
    second = ask("/key/regenerate", {"key": first, "grace_period": "1h"})["key"]
    third = ask("/key/regenerate", {"key": second})["key"]
    assert [works(secret) for secret in (first, second, third)] == [False, False, True]


def test_the_same_request_again_gets_the_same_answer_and_changes_nothing(
    ask: Ask, works: Callable[[str], bool]
) -> None:
    old = ask("/key/generate", {})["key"]
    answers = [ask("/key/regenerate", {"key": old}, Idempotency_Key="once") for _ in range(3)]
    assert len({answer["key"] for answer in answers}) == 1
    assert answers[2]["rotation_count"] == 1
    assert works(answers[0]["key"])


def test_a_repetition_after_another_regeneration_is_refused(ask: Ask) -> None:
    old = ask("/key/generate", {})["key"]
    new = ask("/key/regenerate", {"key": old}, Idempotency_Key="once")["key"]
    ask("/key/regenerate", {"key": new}, Idempotency_Key="twice")
    assert ask("/key/regenerate", {"key": old}, 409, Idempotency_Key="once")["error"]["code"] == "conflict"


def test_a_secret_that_has_ended_never_comes_back(gateway_app: Flask, ask: Ask, works: Callable[[str], bool]) -> None:
    key = ask("/key/generate", {})
    once = ask("/key/regenerate", {"key": key["token"]}, Idempotency_Key="once")
    twice = ask("/key/regenerate", {"key": once["token"]}, Idempotency_Key="twice")
    with gateway_app.app_context(), write_transaction() as session:
        session.query(FormerToken).delete()
    again = ask("/key/regenerate", {"key": twice["token"]}, Idempotency_Key="once")
    assert again["key"] not in {once["key"], twice["key"]}
    assert [works(made["key"]) for made in (once, twice, again)] == [False, False, True]


def test_other_keys_of_the_same_idempotency_key_get_other_secrets(ask: Ask) -> None:
    keys = [ask("/key/generate", {})["key"] for _ in range(2)]
    assert len({ask("/key/regenerate", {"key": key}, Idempotency_Key="x")["key"] for key in keys}) == 2


def test_changes_that_are_sent_along_are_made(ask: Ask) -> None:
    old = ask("/key/generate", {"rpm_limit": 1})["key"]
    new = ask("/key/regenerate", {"key": old, "rpm_limit": None, "new_key": "sk-of-my-own-0123456"})
    assert (new["key"], new["rpm_limit"]) == ("sk-of-my-own-0123456", None)


def test_a_secret_that_another_key_had_is_taken(ask: Ask) -> None:
    old = ask("/key/generate", {})["key"]
    ask("/key/regenerate", {"key": old, "grace_period": "1h"})
    assert ask("/key/generate", {"key": old}, 409)["error"]["param"] == "key"
    other = ask("/key/generate", {})["key"]
    assert ask("/key/regenerate", {"key": other, "new_key": old}, 409)["error"]["param"] == "key"


def test_an_unknown_key_is_not_found(ask: Ask) -> None:
    assert ask("/key/regenerate", {"key": "sk-nobody-has-this-one"}, 404)["error"]["param"] == "key"


def test_a_service_accounts_key_is_a_teams_and_no_users(ask: Ask) -> None:
    ask("/team/new", {"team_id": "blue"})
    made = ask("/key/service-account/generate", {"team_id": "blue"})
    assert (made["team_id"], made["user_id"], made["service_account"], made["created_by"]) == (
        *("blue", None, True, "master"),
    )
    assert ask("/key/service-account/generate", {}, 400)["error"]["param"] == "team_id"
    ask("/key/service-account/generate", {"team_id": "blue", "user_id": "ada"}, 400)


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"key_type": "llm_api"}, True),
        ({"key_type": "management"}, False),
        ({"key_type": "read_only"}, False),
        ({"allowed_routes": ["llm_api_routes"]}, True),
        ({"allowed_routes": ["/v1/chat/*"]}, True),
        ({"allowed_routes": ["/chat/completions"]}, True),
        ({"allowed_routes": ["/embeddings", "info_routes"]}, False),
        ({"key_type": "read_only", "allowed_routes": ["llm_api_routes"]}, False),
    ],
)
def test_a_key_calls_models_where_its_routes_say_so(
    gateway_app: Flask,
    ask: Ask,
    fields: dict[str, Any],
    allowed: bool,  # noqa: FBT001
) -> None:
    key = ask("/key/generate", fields)["key"]
    answer: Any = gateway_app.test_client().post(
        "/v1/chat/completions", json=HELLO, headers={"Authorization": f"Bearer {key}"}
    )
    refused = (403, "route_not_allowed")
    assert (answer.status_code, (answer.json.get("error") or {}).get("code")) == ((200, None) if allowed else refused)


@pytest.mark.parametrize("fields", [{"key_type": "admin"}, {"allowed_routes": ["llm"]}, {"grace_period": "soon"}])
def test_a_type_or_route_or_time_that_is_none_is_refused(ask: Ask, fields: dict[str, Any]) -> None:
    key = ask("/key/generate", {})["key"]
    (field,) = fields
    assert ask("/key/regenerate", {"key": key} | fields, 400)["error"]["param"].partition("[")[0] == field
