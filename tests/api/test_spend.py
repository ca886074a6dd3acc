from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from app.extensions import write_transaction
from app.models import LedgerRow
from tests.api.conftest import Ask

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(request_id: str, **columns: Any) -> LedgerRow:
    nothing = dict.fromkeys(
        [
            *("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens"),
            *("audio_input_tokens", "audio_output_tokens"),
        ],
        0,
    )
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


def booked(app: Flask, *rows: LedgerRow) -> None:
    with app.app_context(), write_transaction() as session:
        session.add_all(rows)


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
