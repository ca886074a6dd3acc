from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import queue
from app.access import revoking
from app.extensions import write_transaction
from tests.api.conftest import Ask
from tests.people import HELLO

DOLLAR = 1_000_000_000
Book = Callable[..., None]


@pytest.fixture
def key(admin: Ask) -> dict[str, Any]:
    """A key of ada in the team blue; everybody on its path has a dollar, and the mock model one too."""
    model = {"model_limits": {"mock-gpt-4o": {"max_budget": 1}}}
    admin("/user/new", {"user_id": "ada", "max_budget": 1, "auto_create_key": False, **model})
    admin("/team/new", {"team_id": "blue", "max_budget": 1})
    admin("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada"}, "max_budget": 1})
    admin("/customer/new", {"user_id": "acme", "max_budget": 1})
    given = {"user_id": "ada", "team_id": "blue", "max_budget": 1, **model}
    made: dict[str, Any] = admin("/key/generate", given).json
    return made


@pytest.fixture
def call(client: FlaskClient, key: dict[str, Any]) -> Callable[[], Any]:
    """call() asks the mock model for the customer acme."""
    headers = {"Authorization": f"Bearer {key['key']}"}
    return lambda: client.post("/v1/chat/completions", json=HELLO | {"user": "acme"}, headers=headers)


PATHS = {
    "key": "key:{id}",
    "user": "user:ada",
    "team": "team:blue",
    "team_member": "team_member:blue/ada",
    "customer": "customer:acme",
    "key_model": "key_model:{id}/mock-gpt-4o",
    "user_model": "user_model:ada/mock-gpt-4o",
}


def url_of(kind: str, key: dict[str, Any]) -> tuple[str, str]:
    """Where credit is given to somebody, and the name of the meter."""
    meter = PATHS[kind].format(id=key["key_id"])
    plain, _, model = kind.partition("_model")
    reference = {"key": key["token"], "user": "ada"}.get(plain, meter.partition(":")[2])
    return f"/limits/{plain}/{reference}/credit" + ("?model=mock-gpt-4o" if kind.endswith("_model") else model), meter


@pytest.mark.parametrize("kind", PATHS)
def test_credit_opens_a_spent_budget_for_the_next_call(
    admin: Ask, key: dict[str, Any], call: Callable[[], Any], spent: Book, kind: str
) -> None:
    url, meter = url_of(kind, key)
    spent(meter, DOLLAR)
    refused = call()
    assert (refused.status_code, refused.json["error"]["scope"]) == (429, meter)
    given = admin(url, {"amount": 0.5, "reason": "sorry"}).json
    assert (given["scope"], given["limits"]["max_budget"], given["budget"]) == (meter, 1.0, 1.5)
    assert (given["spend"], given["left"]) == (1.0, 0.5)
    assert call().status_code == 200


def test_credit_is_shown_with_the_budget_that_it_makes(admin: Ask, key: dict[str, Any]) -> None:
    assert key
    for _ in range(2):
        admin("/limits/user/ada/credit", {"amount": 2})
    user = admin("/user/info", user_id="ada").json["user_info"]
    assert (user["max_budget"], user["effective_budget"], user["spend"]) == (1.0, 5.0, 0.0)


def test_a_request_with_the_same_id_gives_nothing_more(admin: Ask, key: dict[str, Any]) -> None:
    assert key
    given = {"amount": 2, "id": "ticket-7"}
    first, again = (admin("/limits/user/ada/credit", given) for _ in range(2))
    assert (first.status_code, again.json) == (200, first.json)
    assert again.json["budget"] == 3.0


def test_an_id_that_another_credit_has_is_a_conflict(admin: Ask, key: dict[str, Any]) -> None:
    assert key
    admin("/limits/user/ada/credit", {"amount": 2, "id": "ticket-7"})
    for path, amount in (("/limits/user/ada/credit", 3), ("/limits/team/blue/credit", 2)):
        answer = admin(path, {"amount": amount, "id": "ticket-7"})
        assert (answer.status_code, answer.json["error"]["param"]) == (409, "id")


def test_the_same_credit_sent_many_times_at_once_is_given_once(
    gateway_app: Flask, master: str, key: dict[str, Any]
) -> None:
    assert key

    def send(_: int) -> int:
        headers = {"Authorization": f"Bearer {master}"}
        body = {"amount": 2, "id": "ticket-7"}
        return gateway_app.test_client().post("/limits/user/ada/credit", json=body, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, range(4))) == {200}
    headers = {"Authorization": f"Bearer {master}"}
    info: Any = gateway_app.test_client().get("/user/info?user_id=ada", headers=headers)
    assert info.json["user_info"]["effective_budget"] == 3.0


@pytest.mark.parametrize("amount", [0, "5", True, None, 1e9, -1e9, 8_000_000])
def test_an_amount_that_is_no_credit_is_refused(admin: Ask, key: dict[str, Any], amount: Any) -> None:
    assert key
    answer = admin("/limits/user/ada/credit", {"amount": amount})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "amount")


def test_without_a_budget_there_is_nothing_to_add_to(admin: Ask) -> None:
    admin("/user/new", {"user_id": "bob"})
    answer = admin("/limits/user/bob/credit", {"amount": 1})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "amount")


@pytest.mark.parametrize(
    "path",
    [
        *("key/sk-nobodys-key-0123456789", "user/bob", "team/red", "team_member/blue/bob", "team_member/blue"),
        *("customer/other", "user/ada/credit?model=other"),
    ],
)
def test_credit_for_nobody_is_not_found(admin: Ask, key: dict[str, Any], path: str) -> None:
    assert key
    url = f"/limits/{path}" if path.startswith("user/ada") else f"/limits/{path}/credit"
    assert admin(url, {"amount": 1}).status_code == 404


def test_only_keys_and_users_have_budgets_by_model(admin: Ask, key: dict[str, Any]) -> None:
    assert key
    answer = admin("/limits/team/blue/credit?model=mock-gpt-4o", {"amount": 1})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "model")


def revoke(app: Flask) -> None:
    with app.app_context(), write_transaction() as session:
        revoking.revoke_keys(session, "ada", None)


@pytest.mark.parametrize(("amount", "status"), [(0.5, "revoked"), (1.5, "active")])
def test_keys_that_were_revoked_for_the_user_s_budget_open_when_there_is_room(
    admin: Ask, gateway_app: Flask, key: dict[str, Any], spent: Book, amount: float, status: str
) -> None:
    spent("user:ada", 2 * DOLLAR)
    revoke(gateway_app)
    admin("/limits/user/ada/credit", {"amount": amount})
    assert admin("/key/info", key=key["key"]).json["info"]["status"] == status


def test_the_worker_is_told_to_look_at_the_user_again(
    admin: Ask, key: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key
    asked: list[str] = []
    monkeypatch.setattr(queue, "check_budget", asked.append)
    admin("/limits/team/blue/credit", {"amount": 1})
    admin("/limits/user/ada/credit", {"amount": 1})
    assert asked == ["ada"]


def test_a_reset_is_credit_and_leaves_the_ledger_alone(
    admin: Ask, key: dict[str, Any], call: Callable[[], Any], spent: Book
) -> None:
    spent(f"key:{key['key_id']}", DOLLAR)
    assert call().json["error"]["scope"] == f"key:{key['key_id']}"
    answer = admin(f"/key/{key['token']}/reset_spend", {"reset_to": 0.25}).json
    assert answer == {
        "key_hash": key["token"],
        "spend": 0.25,
        "previous_spend": 1.0,
        "max_budget": 1.0,
        "effective_budget": 1.75,
        "budget_reset_at": None,
    }
    assert call().status_code == 200
    info = admin("/key/info", key=key["key"]).json["info"]
    assert (info["spend"], info["effective_budget"]) == (1.0, 1.75)


def test_a_second_reset_at_once_gives_nothing_more(admin: Ask, key: dict[str, Any], spent: Book) -> None:
    spent(f"key:{key['key_id']}", DOLLAR)
    first, second = (admin(f"/key/{key['token']}/reset_spend", {"reset_to": 0}).json for _ in range(2))
    assert (first["previous_spend"], second["previous_spend"], second["effective_budget"]) == (1.0, 0.0, 2.0)


def test_a_reset_knows_what_is_not_booked_yet(admin: Ask, key: dict[str, Any], call: Callable[[], Any]) -> None:
    assert call().status_code == 200
    answer = admin(f"/key/{key['token']}/reset_spend", {"reset_to": 0}).json
    assert answer["previous_spend"] > 0
    assert answer["effective_budget"] == pytest.approx(1 + answer["previous_spend"], abs=1e-12)


@pytest.mark.parametrize("reset_to", [1.5, -1, None, "0"])
def test_a_reset_to_what_cannot_be_is_refused(admin: Ask, key: dict[str, Any], spent: Book, reset_to: Any) -> None:
    spent(f"key:{key['key_id']}", DOLLAR)
    answer = admin(f"/key/{key['token']}/reset_spend", {"reset_to": reset_to})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "reset_to")
    assert admin("/key/info", key=key["key"]).json["info"]["effective_budget"] == 1.0


def test_an_unknown_key_cannot_be_reset(admin: Ask) -> None:
    assert admin("/key/sk-nobodys-key-0123456789/reset_spend", {"reset_to": 0}).status_code == 404
