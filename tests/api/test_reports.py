"""Reports under /spend and /global, whose sums tests/api/test_sums_agree.py holds together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from app.extensions import write_transaction
from app.ledger.event import CallEvent
from app.models import Team
from tests.api.conftest import Ask
from tests.ledger.test_post import book, event

EPOCH = {"start_date": "1970-01-01", "end_date": "1970-01-01"}
Book = Callable[..., None]


@pytest.fixture
def booked(gateway_app: Flask) -> Book:
    """booked(event(...), ...): in the ledger and its totals."""

    def write(*events: CallEvent) -> None:
        with gateway_app.app_context():
            book(*events)

    return write


def just_now(request_id: str, days_ago: int = 0, **changes: Any) -> CallEvent:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    return replace(event(request_id), started_ms=int(at.timestamp() * 1000), **changes)


def test_keys_are_listed_with_their_names_the_dearest_first(admin: Ask, booked: Book) -> None:
    key = admin("/user/new", {"user_id": "ada", "key_alias": "build"}).json
    booked(replace(event("r1", tokens=7), key_id=key["key_id"]), event("r2", tokens=5))
    answer = admin("/spend/keys")
    assert answer.json == [
        {
            "api_key": key["token"],
            "key_id": key["key_id"],
            "key_name": key["key_name"],
            "key_alias": "build",
            "user_id": "ada",
            "spend": 7e-9,
            "prompt_tokens": 7,
            "completion_tokens": 0,
            "total_tokens": 7,
            "api_requests": 1,
            "successful_requests": 1,
            "failed_requests": 0,
        },
        answer.json[1],
    ]
    assert (answer.json[1]["api_key"], answer.json[1]["key_id"], answer.json[1]["spend"]) == (None, "k1", 5e-9)


def test_a_list_that_is_cut_says_how_many_there_are(admin: Ask, booked: Book) -> None:
    booked(event("r1", tokens=1), event("r2", "bob", tokens=9))
    answer = admin("/spend/users", limit=1)
    assert ([one["user_id"] for one in answer.json], answer.headers["x-total-count"]) == (["bob"], "2")


def test_lists_can_be_of_some_days(admin: Ask, booked: Book) -> None:
    booked(event("r1"), just_now("r2", user_id="bob"))
    assert [one["user_id"] for one in admin("/spend/users", **EPOCH).json] == ["ada"]


def test_a_virtual_key_sees_what_its_user_spent(admin: Ask, ask: Ask, booked: Book) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    second = admin("/key/generate", {"user_id": "ada"}).json
    booked(
        replace(event("r1", tokens=7), key_id=key["key_id"]),
        replace(event("r2", tokens=5), key_id=second["key_id"]),
        event("r3", "bob"),
    )
    assert [one["spend"] for one in ask(key["key"], "/spend/users").json] == [12e-9]
    assert [one["spend"] for one in ask(key["key"], "/spend/keys").json] == [7e-9, 5e-9]
    assert [one["spend"] for one in ask(key["key"], "/spend/keys", api_key=second["key_id"]).json] == [5e-9]


def test_a_key_that_is_nobodys_sees_its_own_and_no_other_keys_that_are_nobodys(
    admin: Ask, ask: Ask, booked: Book
) -> None:
    key = admin("/key/generate", {}).json
    booked(replace(event("r1", tokens=7), user_id=None, key_id=key["key_id"]), replace(event("r2"), user_id=None))
    assert [one["spend"] for one in ask(key["key"], "/spend/users").json] == [7e-9]


@pytest.mark.parametrize("path", ["/spend/keys", "/spend/users", "/user/daily/activity"])
def test_a_virtual_key_cannot_ask_what_others_spent(admin: Ask, ask: Ask, path: str) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    other = admin("/user/new", {"user_id": "bob", "key_alias": "bobs"}).json
    asked = [
        *({"user_id": "bob"}, {"api_key": other["token"]}, {"api_key": "key_" + "0" * 24}),
        *({"key_alias": "bobs"}, {"key_alias": "nobody"}, {"api_key": "sk-nobody-has-this-key"}),
    ]
    assert [ask(key, path, **query).status_code for query in asked] == [403] * 6


@pytest.mark.parametrize(
    "path",
    [
        *("/spend/tags", "/global/spend", "/global/spend/logs", "/global/spend/keys", "/global/spend/teams"),
        *("/global/spend/models", "/global/spend/provider", "/global/spend/tags", "/global/spend/all_tag_names"),
        *("/global/spend/report", "/global/activity", "/global/activity/model", "/team/daily/activity"),
        *("/customer/daily/activity", "/tag/daily/activity"),
    ],
)
def test_reports_on_everybody_are_for_the_master_key(admin: Ask, ask: Ask, path: str) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    assert (ask(key, path).status_code, admin(path).status_code) == (403, 200)


def test_an_unknown_key_has_no_report(admin: Ask) -> None:
    answer = admin("/global/spend/logs", api_key="sk-nobody-has-this-key")
    assert (answer.status_code, answer.json["error"]["param"]) == (404, "api_key")


def test_global_reports_are_of_the_last_thirty_days(admin: Ask, booked: Book) -> None:
    booked(just_now("r1", 31), just_now("r2", 29, user_id="bob"), just_now("r3"))
    assert len(admin("/global/spend/logs").json) == 2
    assert admin("/global/spend").json == {"spend": 30e-9, "max_budget": None}


def test_a_moment_stands_for_its_day(admin: Ask, booked: Book) -> None:
    booked(event("r1"))
    days = {"start_date": "1970-01-01T23:00:00Z", "end_date": "1970-01-02T01:00:00+02:00"}
    assert admin("/global/spend/logs", **days).json == [{"date": "1970-01-01", "spend": 10e-9}]


@pytest.mark.parametrize("day", ["today", "2026-13-01", ""])
def test_a_day_that_is_none_is_refused(admin: Ask, day: str) -> None:
    answer = admin("/global/activity", start_date=day)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "start_date")


def test_tags_are_told_by_name_and_by_what_was_spent_under_them(admin: Ask, booked: Book) -> None:
    booked(replace(event("r1", tokens=7), tags=["b", "a"]), replace(event("r2", tokens=5), tags=["b"]))
    assert admin("/spend/tags").json == [
        {"individual_request_tag": "b", "log_count": 2, "total_spend": 12e-9},
        {"individual_request_tag": "a", "log_count": 1, "total_spend": 7e-9},
    ]
    assert admin("/global/spend/all_tag_names").json == {"tag_names": ["a", "b"]}


def test_customers_are_listed_and_so_is_nobody(admin: Ask, booked: Book) -> None:
    key = "key_" + "0" * 24
    booked(just_now("r1", customer_id="acme", end_user="acme"), just_now("r2", key_id=key))
    listed = [(one["end_user"], one["total_count"]) for one in admin("/global/spend/end_users", {}).json]
    assert sorted(listed, key=str) == [("acme", 1), (None, 1)]
    of_key = admin("/global/spend/end_users", {"api_key": key, "startTime": None}).json
    assert of_key == [{"end_user": None, "total_count": 1, "total_spend": 10e-9}]


def test_teams_have_their_aliases(admin: Ask, gateway_app: Flask, booked: Book) -> None:
    with gateway_app.app_context(), write_transaction() as session:
        session.add(Team(team_id="t1", team_alias="Red"))
    booked(replace(event("r1", tokens=7), team_id="t1"), event("r2", tokens=5))
    assert admin("/global/spend/teams", **EPOCH).json == {
        "daily_spend": [{"": 5e-9, "t1": 7e-9, "date": "1970-01-01"}],
        "teams": ["t1", ""],
        "total_spend_per_team": [
            {"team_id": "t1", "team_alias": "Red", "total_spend": 7e-9},
            {"team_id": None, "team_alias": None, "total_spend": 5e-9},
        ],
    }
    (day,) = admin("/global/spend/report", **EPOCH).json
    assert day["group_by_day"] == "1970-01-01"
    assert day["teams"][0] == {
        "team_id": "t1",
        "team_name": "Red",
        "total_spend": 7e-9,
        "metadata": [{"model": "m", "spend": 7e-9, "total_tokens": 7, "api_key": "k1"}],
    }


def test_the_report_by_key_names_it_by_its_hash(admin: Ask, booked: Book) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json
    booked(replace(event("r1", tokens=7), key_id=key["key_id"]))
    assert admin("/global/spend/report", **EPOCH, group_by="api_key").json == [
        {
            "api_key": key["token"],
            "total_cost": 7e-9,
            "total_input_tokens": 7,
            "total_output_tokens": 0,
            "model_details": [{"model": "m", "total_cost": 7e-9, "total_input_tokens": 7, "total_output_tokens": 0}],
        }
    ]


def test_the_report_can_be_of_one_team_or_customer(admin: Ask, booked: Book) -> None:
    booked(replace(event("r1", tokens=7), team_id="t1"), replace(event("r2", tokens=5), customer_id="c"))
    for query, cost in (({"team_id": "t1"}, 7e-9), ({"customer_id": "c"}, 5e-9)):
        lines = admin("/global/spend/report", **EPOCH, group_by="user", **query).json
        assert [(line["user_id"], line["total_cost"]) for line in lines] == [("ada", cost)]


def test_activity_counts_requests_and_tokens(admin: Ask, booked: Book) -> None:
    booked(event("r1", tokens=7), replace(event("r2", tokens=5), model_name="n"), event("r3", tokens=1))
    day = {"date": "1970-01-01", "api_requests": 3, "total_tokens": 13}
    whole = {"daily_data": [day], "sum_api_requests": 3, "sum_total_tokens": 13}
    assert admin("/global/activity", **EPOCH).json == whole
    found = admin("/global/activity/model", **EPOCH).json
    assert [(one["model"], one["sum_api_requests"]) for one in found] == [("m", 2), ("n", 1)]
