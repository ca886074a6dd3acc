"""/customer over HTTP, and calls that name one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.extensions import db, redis
from app.settings import Settings
from tests.people import HELLO

Ask = Callable[..., Any]
# A call of the mock holds more than this: the first one passes with all that is left, and nothing is left then.
CENT = 0.01


def asking(app: Flask) -> Ask:
    client = app.test_client()
    master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}

    def send(path: str, body: Any = None, status: int = 200, **query: str) -> Any:
        answer = (
            client.get(path, query_string=query, headers=master)
            if body is None
            else client.post(path, json=body, headers=master)
        )
        assert answer.status_code == status, answer.text
        return answer.json

    return send


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    return asking(gateway_app)


def call(app: Flask, customer: str | None = None, headers: dict[str, str] | None = None) -> tuple[int, str | None]:
    """Status and scope of a call by somebody without limits for a customer."""
    master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = HELLO | ({} if customer is None else {"user": customer})
    answer: Any = app.test_client().post("/v1/chat/completions", json=body, headers=master | (headers or {}))
    return answer.status_code, (answer.json.get("error") or {}).get("scope")


def test_a_customers_budget_counts_for_calls_that_name_it_and_for_no_others(gateway_app: Flask, ask: Ask) -> None:
    ask("/customer/new", {"user_id": "c", "max_budget": 0})
    assert [call(gateway_app, name) for name in ("c", "d", None)] == [(429, "customer:c"), (200, None), (200, None)]


def test_a_name_that_becomes_a_customers_is_limited_on_its_next_call(gateway_app: Flask, ask: Ask) -> None:
    before = call(gateway_app, "c")
    ask("/customer/new", {"user_id": "c", "rpm_limit": 0})
    limited = call(gateway_app, "c")
    ask("/customer/update", {"user_id": "c", "rpm_limit": None})
    assert (before, limited, call(gateway_app, "c")) == ((200, None), (429, "customer:c"), (200, None))


def test_a_customer_who_was_deleted_is_nobody_on_the_next_call(gateway_app: Flask, ask: Ask) -> None:
    ask("/customer/new", {"user_id": "c", "max_budget": 0})
    call(gateway_app, "c")
    assert ask("/customer/delete", {"user_ids": ["c"]})["deleted_customers"] == 1
    assert call(gateway_app, "c") == (200, None)


def test_a_blocked_customer_is_refused_until_opened(gateway_app: Flask, ask: Ask) -> None:
    ask("/end_user/new", {"user_id": "c"})
    blocked = ask("/customer/block", {"user_ids": ["c"]})["blocked_users"]
    while_blocked = call(gateway_app, "c")
    ask("/customer/unblock", {"user_ids": ["c"]})
    assert ([one["blocked"] for one in blocked], while_blocked[0], call(gateway_app, "c")[0]) == ([True], 403, 200)


def test_a_customers_models_limit_the_call(gateway_app: Flask, ask: Ask) -> None:
    ask("/customer/new", {"user_id": "c", "models": ["other"]})
    assert call(gateway_app, "c")[0] == 403


def test_customers_are_listed_page_by_page_and_searched(ask: Ask) -> None:
    for name in ("a", "b", "c"):
        ask("/customer/new", {"user_id": name, "alias": f"alias of {name}"})
    assert [one["user_id"] for one in ask("/customer/list", page="2", page_size="2")] == ["c"]
    assert [one["user_id"] for one in ask("/customer/list", search="of b")] == ["b"]


def test_an_edit_of_a_template_acts_on_the_next_call_of_everybody_who_has_it(gateway_app: Flask, ask: Ask) -> None:
    ask("/budget/new", {"budget_id": "free", "max_budget": 5})
    ask("/customer/new", {"user_id": "c", "budget_id": "free"})
    before = call(gateway_app, "c")
    ask("/budget/update", {"budget_id": "free", "max_budget": 0})
    assert (before, call(gateway_app, "c")) == ((200, None), (429, "customer:c"))


def test_a_template_that_somebody_has_is_not_deleted(ask: Ask) -> None:
    ask("/budget/new", {"budget_id": "free", "max_budget": 5})
    ask("/customer/new", {"user_id": "c", "budget_id": "free"})
    ask("/budget/delete", {"id": "free"}, 409)
    ask("/customer/update", {"user_id": "c", "budget_id": None})
    ask("/budget/delete", {"id": "free"})
    assert ask("/budget/list") == []


@pytest.fixture
def open_app(make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """A gateway where names become customers on first sight, with the template "free"; a header names them."""
    app = create_app(
        make_settings(create_customers=True, customer_template="free", customer_header="x-customer", budget_wait=0)
    )
    yield app
    app.extensions["tollgate"].close()
    redis.client.close()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_eight_first_calls_of_a_new_customer_at_once_share_one_budget(open_app: Flask) -> None:
    ask = asking(open_app)
    ask("/budget/new", {"budget_id": "free", "max_budget": CENT})
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: call(open_app, "new"), range(8)))
    # The mock answers at once and costs less than a cent, so several may come after one another, never side by side.
    assert {scope for status, scope in answers if status != 200} <= {"customer:new"}
    assert ask("/customer/info", end_user_id="new")["budget_id"] == "free"


def test_a_new_customer_with_a_budget_of_nothing_gets_nothing(open_app: Flask) -> None:
    asking(open_app)("/budget/new", {"budget_id": "free", "max_budget": 0})
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: call(open_app, "new"), range(8)))
    assert answers == [(429, "customer:new")] * 8


def test_without_its_template_no_customer_is_made_and_nothing_goes_out(open_app: Flask) -> None:
    assert call(open_app, "new")[0] == 503
    asking(open_app)("/customer/info", status=404, end_user_id="new")


def test_the_header_goes_before_the_body(open_app: Flask) -> None:
    ask = asking(open_app)
    ask("/budget/new", {"budget_id": "free"})
    ask("/customer/new", {"user_id": "c", "max_budget": 0})
    assert call(open_app, "d", {"x-customer": "c"}) == (429, "customer:c")
