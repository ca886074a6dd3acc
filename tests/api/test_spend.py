from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.extensions import write_transaction
from app.ledger import rows
from app.ledger.writing import AMOUNTS
from app.models import LedgerRow
from tests.api.conftest import Ask
from tests.ledger.test_post import book, event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(request_id: str, **columns: Any) -> LedgerRow:
    nothing: dict[str, Any] = dict.fromkeys(AMOUNTS, 0) | {"tier": "", "entry": "call"}
    base = {
        "request_id": request_id,
        "attempt": 0,
        "key_id": "key_1",
        "token": "a" * 64,
        "user_id": "ada",
        "route": "chat/completions",
        "model_name": "smart",
        "deployment_id": "d1",
        "provider": "openai",
        "model": "gpt-4o",
        "stream": False,
        "outcome": "success",
        "http_status": 200,
        "usage_source": "provider",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": 75_000,
        "price": "config",
        "started_at": NOON,
        "ended_at": NOON,
    }
    return LedgerRow(**nothing | base | columns)


def booked(app: Flask, *added: LedgerRow) -> None:
    with app.app_context(), write_transaction() as session:
        session.add_all(added)


def test_a_call_is_shown_under_the_names_that_clients_know(admin: Ask, gateway_app: Flask) -> None:
    booked(gateway_app, row("req_1"))
    answer = admin("/spend/logs")
    known = {
        "request_id": "req_1",
        "call_type": "chat/completions",
        "api_key": "a" * 64,
        "user": "ada",
        "end_user": None,
        "status": "success",
        "spend": 0.000075,
        "usage_source": "provider",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "model": "gpt-4o",
        "model_group": "smart",
        "model_id": "d1",
        "custom_llm_provider": "openai",
        "startTime": "2026-11-23T12:00:00.000Z",
        "completionStartTime": None,
        "endTime": "2026-11-23T12:00:00.000Z",
    }
    assert {name: answer.json[0][name] for name in known} == known
    assert answer.headers["x-total-count"] == "1"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"user_id": "bob"}, ["req_2"]),
        ({"api_key": "b" * 64}, ["req_2"]),
        ({"request_id": "req_1"}, ["req_1"]),
        ({"start_date": "2026-11-23"}, ["req_1"]),
        ({"end_date": "2026-11-22"}, ["req_2"]),
        ({"start_date": "2026-11-22", "end_date": "2026-11-23"}, ["req_1", "req_2"]),
        ({"end_date": "2026-11-23T12:00:00Z"}, ["req_2"]),
        ({"page": 2, "page_size": 1}, ["req_2"]),
    ],
)
def test_calls_are_filtered_newest_first(
    admin: Ask, gateway_app: Flask, query: dict[str, Any], found: list[str]
) -> None:
    day_before = NOON.replace(day=22)
    booked(gateway_app, row("req_1"), row("req_2", user_id="bob", token="b" * 64, started_at=day_before))
    assert [one["request_id"] for one in admin("/spend/logs", **query).json] == found


def test_a_date_that_is_none_is_refused(admin: Ask) -> None:
    answer = admin("/spend/logs", start_date="yesterday")
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "start_date")


def test_a_virtual_key_sees_its_own_calls_only(admin: Ask, ask: Ask, gateway_app: Flask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    booked(gateway_app, row("req_1", key_id=key["key_id"], token=key["token"]), row("req_2"))
    assert [one["request_id"] for one in ask(key["key"], "/spend/logs").json] == ["req_1"]


TAGGED = ["eval", "pääasia"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"team_id": "red"}, ["req_2"]),
        ({"end_user": "stranger"}, ["req_2"]),
        ({"customer_id": "acme"}, ["req_2"]),
        ({"model": "small"}, ["req_2"]),
        ({"tag": "eval"}, ["req_2"]),
        ({"tag": "pääasia"}, ["req_2"]),
        ({"tag": "eva"}, []),
        ({"status_filter": "failure"}, ["req_2"]),
        ({"min_spend": "0.000076"}, ["req_2"]),
        ({"max_spend": "0.000075"}, ["req_1"]),
        ({"tag": "eval", "model": "smart"}, []),
    ],
)
@pytest.mark.parametrize("path", ["/spend/logs", "/spend/logs/v2"])
def test_calls_are_found_by_what_is_known_of_them(
    admin: Ask, gateway_app: Flask, path: str, query: dict[str, Any], found: list[str]
) -> None:
    of_second = {"team_id": "red", "end_user": "stranger", "customer_id": "acme", "model_name": "small"}
    booked(gateway_app, row("req_1"), row("req_2", **of_second, tags=TAGGED, outcome="failure", cost=76_000))
    answer = admin(path, **query).json
    assert [one["request_id"] for one in (answer if path == "/spend/logs" else answer["data"])] == found


def test_a_row_says_whom_it_was_for(admin: Ask, gateway_app: Flask) -> None:
    ended = NOON + timedelta(milliseconds=1500)
    booked(gateway_app, row("req_1", team_id="red", customer_id="acme", tags=TAGGED, ended_at=ended))
    (one,) = admin("/spend/logs").json
    assert [one[name] for name in ("team_id", "customer_id", "request_tags")] == ["red", "acme", TAGGED]
    assert one["request_duration_ms"] == 1500


def test_a_key_is_found_by_its_alias_its_id_and_every_secret_that_it_had(admin: Ask, gateway_app: Flask) -> None:
    key = admin("/key/generate", {"key_alias": "build"}).json
    booked(gateway_app, row("req_1", key_id=key["key_id"], token="c" * 64), row("req_2"))
    for query in ({"key_alias": "build"}, {"api_key": key["key"]}, {"api_key": key["key_id"]}):
        assert [one["request_id"] for one in admin("/spend/logs", **query).json] == ["req_1"]
    assert admin("/spend/logs", key_alias="nobody").status_code == 404


@pytest.mark.parametrize(
    ("sort_by", "ascending"),
    [
        ("startTime", ["req_1", "req_2", "req_3"]),
        ("spend", ["req_2", "req_3", "req_1"]),
        ("total_tokens", ["req_3", "req_1", "req_2"]),
    ],
)
def test_calls_can_be_sorted(admin: Ask, gateway_app: Flask, sort_by: str, ascending: list[str]) -> None:
    for number, (cost, tokens) in enumerate([(3, 20), (1, 30), (2, 10)], 1):
        columns = {"cost": cost, "input_tokens": tokens, "started_at": NOON + timedelta(hours=number)}
        booked(gateway_app, row(f"req_{number}", **columns))
    for order, wanted in (("asc", ascending), ("desc", ascending[::-1])):
        answer = admin("/spend/logs/v2", sort_by=sort_by, sort_order=order).json
        assert [one["request_id"] for one in answer["data"]] == wanted


def test_pages_say_how_many_there_are(admin: Ask, gateway_app: Flask) -> None:
    booked(gateway_app, *(row(f"req_{number}") for number in range(3)))
    answer = admin("/spend/logs/v2", page=2, page_size=2).json
    assert [one["request_id"] for one in answer.pop("data")] == ["req_2"]
    assert answer == {"total": 3, "page": 2, "page_size": 2, "total_pages": 2, "total_is_capped": False}


def test_counting_ends_somewhere_and_says_so(admin: Ask, gateway_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_COUNTED", 2)
    booked(gateway_app, *(row(f"req_{number}") for number in range(3)))
    page = admin("/spend/logs/v2").json
    assert (page["total"], page["total_is_capped"], len(page["data"])) == (2, True, 3)
    headers = admin("/spend/logs").headers
    assert (headers["x-total-count"], headers["x-total-is-capped"]) == ("2", "true")


def test_days_are_summarized_from_the_daily_totals(admin: Ask, gateway_app: Flask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    with gateway_app.app_context():
        book(replace(event("r1", tokens=7), key_id=key["key_id"]), replace(event("r2", tokens=5), user_id=None))
    answer = admin("/spend/logs", start_date="1970-01-01", end_date="1970-01-01", summarize="true").json
    assert answer == [
        {
            key["token"]: 7e-9,
            "k1": 5e-9,
            "startTime": "1970-01-01",
            "spend": 12e-9,
            "users": {"ada": 7e-9, "": 5e-9},
            "models": {"m": 12e-9},
        }
    ]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"end_date": "2026-11-23"}, "start_date"),
        ({"start_date": "2026-11-23T08:00:00Z", "end_date": "2026-11-23"}, "start_date"),
        ({"start_date": "2026-11-23", "end_date": "2026-11-23", "tag": "x"}, "tag"),
        ({"start_date": "0001-01-01", "end_date": "0001-01-01T00:00:00Z"}, "end_date"),
    ],
)
def test_days_cannot_be_summarized_by_what_they_do_not_know(admin: Ask, query: dict[str, Any], param: str) -> None:
    answer = admin("/spend/logs", summarize="true", **query)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("query", [{"sort_by": "key"}, {"status_filter": "bad"}, {"min_spend": "nan"}])
def test_a_filter_that_is_none_is_refused(admin: Ask, query: dict[str, Any]) -> None:
    answer = admin("/spend/logs", **query)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, next(iter(query)))


@pytest.mark.parametrize("path", ["/spend/logs/v2", "/spend/export", "/spend/logs"])
def test_a_virtual_key_cannot_ask_for_the_calls_of_others(admin: Ask, ask: Ask, path: str) -> None:
    key = admin("/user/new", {"user_id": "ada", "key_alias": "mine"}).json["key"]
    other = admin("/key/generate", {"user_id": "ada", "key_alias": "second"}).json
    asked = [{"user_id": "bob"}, {"api_key": other["key"]}, {"api_key": other["key_id"]}, {"key_alias": "second"}]
    assert [ask(key, path, **query).status_code for query in asked] == [403] * 4


def test_a_virtual_key_summarizes_its_own_calls(admin: Ask, ask: Ask, gateway_app: Flask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    with gateway_app.app_context():
        book(replace(event("r1", tokens=7), key_id=key["key_id"]), event("r2", tokens=5))
    query = {"start_date": "1970-01-01", "end_date": "1970-01-01", "summarize": "true"}
    assert [day["spend"] for day in ask(key["key"], "/spend/logs", **query).json] == [7e-9]


def test_what_a_call_was_corrected_by_stands_beside_it(admin: Ask, gateway_app: Flask) -> None:
    nothing = dict.fromkeys(AMOUNTS, 0)
    booked(
        gateway_app,
        row("req_1", tier="flex", web_searches=2),
        row("req_1", attempt=10_000, entry="reversal", **nothing | {"cost": -75_000}),
        row("req_1", attempt=10_001, entry="correction", **nothing | {"cost": 50_000}),
    )
    found = sorted(admin("/spend/logs", request_id="req_1").json, key=lambda one: one["attempt"])
    assert [(one["entry"], one["spend"], one["total_tokens"]) for one in found] == [
        ("call", 0.000075, 15),
        ("reversal", -0.000075, 0),
        ("correction", 0.00005, 0),
    ]
    assert (found[0]["service_tier"], found[0]["web_searches"]) == ("flex", 2)
