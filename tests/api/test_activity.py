"""Days with their parts, whose sums tests/api/test_sums_agree.py holds together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import Ask
from tests.ledger.test_post import book, event

DAY_MS = 86_400_000
EPOCH = {"start_date": "1970-01-01", "end_date": "1970-01-31"}


@pytest.fixture
def three_days(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        for day in range(3):
            one = replace(event(f"r{day}", tokens=day + 1), started_ms=day * DAY_MS, team_id="red", tags=["a", "b"])
            book(one, replace(event(f"s{day}", "bob", tokens=10), started_ms=day * DAY_MS, customer_id="acme"))


@pytest.mark.usefixtures("three_days")
def test_a_day_is_told_whole_and_by_its_parts(admin: Ask) -> None:
    day = admin("/user/daily/activity", **EPOCH).json["results"][0]
    metrics = {
        "spend": 13e-9,
        "prompt_tokens": 13,
        "completion_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "total_tokens": 13,
        "successful_requests": 2,
        "failed_requests": 0,
        "api_requests": 2,
    }
    assert (day["date"], day["metrics"]) == ("1970-01-03", metrics)
    of_key = {"metrics": metrics, "metadata": {"key_alias": None, "team_id": None, "key_id": "k1"}}
    assert day["breakdown"]["api_keys"] == {"k1": of_key}
    assert day["breakdown"]["models"] == {"m": {"metrics": metrics, "metadata": {}}}
    assert day["breakdown"]["providers"] == {"openai": {"metrics": metrics, "metadata": {}}}
    entities = day["breakdown"]["entities"]
    assert {name: part["metrics"]["spend"] for name, part in entities.items()} == {"ada": 3e-9, "bob": 10e-9}


@pytest.mark.usefixtures("three_days")
def test_the_sum_is_that_of_all_pages_on_every_page(admin: Ask) -> None:
    for page, dates in ((1, ["1970-01-03", "1970-01-02"]), (2, ["1970-01-01"]), (3, [])):
        answer = admin("/user/daily/activity", **EPOCH, page=page, page_size=2).json
        assert [day["date"] for day in answer["results"]] == dates
        metadata = answer["metadata"]
        assert (metadata["total_spend"], metadata["total_api_requests"]) == (36e-9, 6)
        assert (metadata["page"], metadata["total_pages"], metadata["has_more"]) == (page, 2, page < 2)


@pytest.mark.parametrize(
    ("path", "query", "spend"),
    [
        ("/user/daily/activity", {"user_id": "ada"}, 6e-9),
        ("/user/daily/activity", {"model": "none"}, 0),
        ("/user/daily/activity/aggregated", {"user_id": "bob"}, 30e-9),
        ("/team/daily/activity", {"team_ids": "red,blue"}, 6e-9),
        ("/customer/daily/activity", {"end_user_ids": "acme"}, 30e-9),
        ("/tag/daily/activity", {"tags": "a"}, 6e-9),
        ("/tag/daily/activity", {}, 12e-9),
    ],
)
@pytest.mark.usefixtures("three_days")
def test_activity_can_be_of_some(admin: Ask, path: str, query: dict[str, Any], spend: float) -> None:
    assert admin(path, **EPOCH, **query).json["metadata"]["total_spend"] == spend


@pytest.mark.usefixtures("three_days")
def test_what_is_not_known_of_tags_is_left_out(admin: Ask) -> None:
    answer = admin("/tag/daily/activity", **EPOCH).json
    day = answer["results"][0]
    assert set(day["breakdown"]) == {"entities"}
    assert "cache_read_input_tokens" not in day["metrics"]
    assert "total_cache_read_input_tokens" not in answer["metadata"]


def test_nothing_has_no_pages(admin: Ask) -> None:
    answer = admin("/user/daily/activity").json
    assert (answer["results"], answer["metadata"]["total_pages"], answer["metadata"]["has_more"]) == ([], 0, False)


@pytest.mark.usefixtures("three_days")
def test_a_virtual_key_sees_its_users_days(admin: Ask, ask: Ask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    for path in ("/user/daily/activity", "/user/daily/activity/aggregated"):
        assert ask(key, path, **EPOCH).json["metadata"]["total_spend"] == 6e-9


@pytest.mark.parametrize("query", [{"timezone": 420}, {"page_size": 0}])
def test_a_page_that_cannot_be_made_is_refused(admin: Ask, query: dict[str, int]) -> None:
    answer = admin("/user/daily/activity", **query)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, next(iter(query)))


def test_days_begin_in_utc_and_asking_for_that_is_no_error(admin: Ask) -> None:
    assert admin("/user/daily/activity", timezone=0).status_code == 200
