from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.conftest import Ask, asking
from tests.limited import CHANGED, CLEARED, LIMITS, shown
from tests.people import HELLO

DOLLAR = 1_000_000_000
PREFIXES = ["customer", "end_user"]
Call = Callable[..., Any]


@pytest.fixture
def call(admin: Ask, client: FlaskClient) -> Call:
    """call("acme") asks the mock model for a customer."""
    return calling(client, admin("/key/generate", {}).json["key"])


def calling(client: FlaskClient, key: str) -> Call:
    def send(name: str, **headers: str) -> Any:
        body = HELLO | {"user": name}
        return client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"} | headers)

    return send


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_limit_of_a_customer_can_be_set_changed_and_cleared(admin: Ask, prefix: str) -> None:
    made = admin(f"/{prefix}/new", {"user_id": "acme", "alias": "Acme", "models": ["m"], **LIMITS}).json
    changed = admin(f"/{prefix}/update", {"user_id": "acme", **CHANGED}).json
    cleared = admin(f"/{prefix}/update", {"user_id": "acme", "models": None, **dict.fromkeys(LIMITS)}).json
    assert (shown(made), shown(changed), shown(cleared)) == (LIMITS, CHANGED, CLEARED)
    assert [(one["user_id"], one["alias"], one["models"]) for one in (made, changed, cleared)] == [
        ("acme", "Acme", ["m"]),
        ("acme", "Acme", ["m"]),
        ("acme", "Acme", []),
    ]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_customer_is_shown_with_spend_and_as_litellm_shows_it(
    admin: Ask, spent: Callable[..., None], prefix: str
) -> None:
    admin("/budget/new", {"budget_id": "free", "max_budget": 2, "rpm_limit": 5})
    admin(f"/{prefix}/new", {"user_id": "acme", "budget_id": "free", "rpm_limit": 7})
    spent("customer:acme", DOLLAR)
    found = admin(f"/{prefix}/info", end_user_id="acme").json
    assert (found["user_id"], found["spend"], found["blocked"], found["budget_id"]) == ("acme", 1.0, False, "free")
    table = found["litellm_budget_table"]
    assert (table["budget_id"], table["max_budget"], table["rpm_limit"]) == ("free", 2.0, 7)


def test_a_name_that_is_taken_is_a_conflict_and_changes_nothing(admin: Ask) -> None:
    admin("/customer/new", {"user_id": "acme", "max_budget": 1})
    answer = admin("/customer/new", {"user_id": "acme", "max_budget": 2})
    assert (answer.status_code, answer.json["error"]["param"]) == (409, "user_id")
    assert admin("/customer/info", end_user_id="acme").json["max_budget"] == 1.0


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("update", {"user_id": "nobody", "max_budget": 1}),
        ("block", {"user_ids": ["acme", "nobody"]}),
        ("unblock", {"user_ids": ["acme", "nobody"]}),
        ("delete", {"user_ids": ["acme", "nobody"]}),
        ("new", {"user_id": "other", "budget_id": "nobodys"}),
        ("update", {"user_id": "acme", "budget_id": "nobodys"}),
    ],
)
def test_what_is_not_there_is_not_found_and_nothing_changes(
    admin: Ask, prefix: str, path: str, body: dict[str, Any]
) -> None:
    admin("/customer/new", {"user_id": "acme"})
    before = admin("/customer/list").json
    assert admin(f"/{prefix}/{path}", body).status_code == 404
    assert admin("/customer/list").json == before


def test_an_unknown_customer_has_no_info(admin: Ask) -> None:
    assert admin("/customer/info", end_user_id="nobody").status_code == 404


@pytest.mark.parametrize("prefix", PREFIXES)
def test_customers_are_listed_page_by_page(admin: Ask, prefix: str) -> None:
    admin("/budget/new", {"budget_id": "free"})
    for name, budget in (("acme", 2), ("bits", None), ("cogs", 1)):
        admin("/customer/new", {"user_id": name, "max_budget": budget, "budget_id": "free" if budget == 1 else None})
    first = admin(f"/{prefix}/list", page_size=2)
    assert ([row["user_id"] for row in first.json], first.headers["x-total-count"]) == (["acme", "bits"], "3")
    by_budget = admin(f"/{prefix}/list", sort_by="max_budget").json
    assert [row["user_id"] for row in by_budget] == ["cogs", "acme", "bits"]
    assert [row["user_id"] for row in admin(f"/{prefix}/list", search="BIT").json] == ["bits"]
    assert [row["user_id"] for row in admin(f"/{prefix}/list", budget_id="free").json] == ["cogs"]
    backwards = admin(f"/{prefix}/list", sort_by="user_id", sort_order="desc").json
    assert [row["user_id"] for row in backwards] == ["cogs", "bits", "acme"]


@pytest.mark.parametrize("change", [{"max_budget": 0}, {"rpm_limit": 0}, {"max_parallel_requests": 0}])
def test_a_customer_s_limit_acts_on_the_next_call(admin: Ask, call: Call, change: dict[str, Any]) -> None:
    admin("/customer/new", {"user_id": "acme"})
    assert call("acme").status_code == 200
    admin("/customer/update", {"user_id": "acme", **change})
    refused = call("acme")
    assert (refused.status_code, refused.json["error"]["scope"]) == (429, "customer:acme")
    assert call("other").status_code == 200
    admin("/customer/update", {"user_id": "acme", **dict.fromkeys(change)})
    assert call("acme").status_code == 200


def test_a_name_that_was_nobody_s_is_a_customer_s_from_the_next_call_on(admin: Ask, call: Call) -> None:
    assert [call("acme").status_code, call("acme").status_code] == [200, 200]
    admin("/customer/new", {"user_id": "acme", "max_budget": 0})
    assert call("acme").json["error"]["scope"] == "customer:acme"
    admin("/customer/delete", {"user_ids": ["acme"]})
    assert call("acme").status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_blocked_customer_is_refused_until_it_is_opened(admin: Ask, call: Call, prefix: str) -> None:
    admin("/customer/new", {"user_id": "acme"})
    assert call("acme").status_code == 200
    (blocked,) = admin(f"/{prefix}/block", {"user_ids": ["acme"]}).json["blocked_users"]
    assert (blocked["user_id"], blocked["blocked"]) == ("acme", True)
    assert (call("acme").status_code, call("acme").json["error"]["code"]) == (403, "blocked_customer")
    (opened,) = admin(f"/{prefix}/unblock", {"user_ids": ["acme"]}).json["blocked_users"]
    assert opened["blocked"] is False
    assert call("acme").status_code == 200


def test_a_customer_s_models_are_the_only_ones(admin: Ask, call: Call) -> None:
    admin("/customer/new", {"user_id": "acme", "models": ["other"]})
    assert call("acme").status_code == 403
    admin("/customer/update", {"user_id": "acme", "models": ["mock-gpt-4o"]})
    assert call("acme").status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_deleted_customers_are_gone(admin: Ask, prefix: str) -> None:
    for name in ("acme", "bits"):
        admin("/customer/new", {"user_id": name})
    answer = admin(f"/{prefix}/delete", {"user_ids": ["acme", "bits"]}).json
    assert answer == {"deleted_customers": 2, "message": "Deleted 2 customers."}
    assert admin("/customer/list").json == []


class Shop:
    """A gateway where names become customers on first sight, with a template if there is one."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client = app.test_client()
        self.master: str = app.extensions["tollgate"].settings.master_key

    def admin(self, path: str, body: Any = None, **query: Any) -> Any:
        return asking(self.client)(self.master, path, body, **query)


@pytest.fixture
def shop(make_app: Callable[..., Flask]) -> Shop:
    return Shop(make_app(create_customers=True, customer_template="free", customer_header="x-customer"))


def test_the_first_calls_of_a_new_customer_all_count_in_its_template_s_budget(shop: Shop) -> None:
    shop.admin("/budget/new", {"budget_id": "free", "max_budget": 0.000001})
    key = shop.admin("/key/generate", {}).json["key"]
    barrier = Barrier(8)

    def first_call(_: int) -> Any:
        client = shop.app.test_client()
        barrier.wait()
        return calling(client, key)("acme")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(first_call, range(8)))
    # The budget is below one call, so the first that is let in is the last.
    assert sorted(answer.status_code for answer in answers) == [200, *[429] * 7]
    assert {answer.json["error"]["scope"] for answer in answers if answer.status_code == 429} == {"customer:acme"}
    (customer,) = shop.admin("/customer/list").json
    assert (customer["user_id"], customer["budget_id"]) == ("acme", "free")


def test_a_new_customer_without_money_is_refused_on_the_first_call(shop: Shop) -> None:
    shop.admin("/budget/new", {"budget_id": "free", "max_budget": 0})
    key = shop.admin("/key/generate", {}).json["key"]
    assert calling(shop.client, key)("acme").status_code == 429


def test_the_header_names_the_customer_and_goes_before_the_body(shop: Shop) -> None:
    shop.admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    shop.admin("/customer/new", {"user_id": "acme", "max_budget": 0})
    call = calling(shop.client, shop.admin("/key/generate", {}).json["key"])
    refused = call("other", **{"x-customer": "acme"})
    assert (refused.status_code, refused.json["error"]["scope"]) == (429, "customer:acme")
    assert call("acme", **{"x-customer": "other"}).status_code == 200


def test_without_its_template_no_new_customer_is_served(shop: Shop) -> None:
    call = calling(shop.client, shop.admin("/key/generate", {}).json["key"])
    answer = call("acme")
    assert (answer.status_code, shop.admin("/customer/list").json) == (503, [])
    shop.admin("/budget/new", {"budget_id": "free"})
    assert call("acme").status_code == 200


def test_a_deleted_customer_is_made_again_by_its_next_call_with_the_template(shop: Shop) -> None:
    shop.admin("/budget/new", {"budget_id": "free", "max_budget": 1})
    call = calling(shop.client, shop.admin("/key/generate", {}).json["key"])
    assert call("acme").status_code == 200
    shop.admin("/customer/delete", {"user_ids": ["acme"]})
    shop.admin("/budget/update", {"budget_id": "free", "max_budget": 0})
    assert call("acme").json["error"]["scope"] == "customer:acme"
