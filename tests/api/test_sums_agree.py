"""Over any ledger, in every report: the parts add up to the total, and the total is that of the rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.extensions import db, write_transaction
from app.ledger import post
from app.ledger.event import Attempt, CallEvent
from app.models import Balance, DailySpend, DailyTag, LedgerRow
from tests.api.conftest import Ask

FIRST_DAY = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 5
PERIOD = {"start_date": "2026-11-01", "end_date": "2026-11-05"}
KEYS = ["key_" + letter * 24 for letter in "ab"]

attempts = st.builds(
    lambda provider, outcome, tokens, cost: Attempt("d", provider, "m", outcome, 200, "provider", tokens, cost, "test"),
    st.sampled_from(["openai", "azure"]),
    st.sampled_from(["success", "failure", "cancelled"]),
    st.tuples(st.integers(20, 10**7), st.integers(0, 10**7), st.integers(0, 10), st.integers(0, 10)).map(
        lambda some: [*some, 0, 0, 0, 0]
    ),
    st.integers(0, 10**8),
)
# The last and the first milliseconds of days are where a day can go wrong.
moments = st.builds(
    lambda day, at: int((FIRST_DAY + timedelta(days=day)).timestamp() * 1000) + at,
    st.integers(0, DAYS - 1),
    st.sampled_from([0, 1, 43_200_000, 86_399_999]),
)
calls = st.builds(
    CallEvent,
    request_id=st.just(""),
    key_id=st.sampled_from(KEYS),
    token=st.just("0" * 64),
    user_id=st.sampled_from([None, "ada", "bob"]),
    end_user=st.sampled_from([None, "acme", "stranger"]),
    route=st.just("chat/completions"),
    model_name=st.sampled_from(["smart", "small", "other"]),
    stream=st.booleans(),
    started_ms=moments,
    hold=st.just(0),
    meters=st.just([]),
    attempts=st.lists(attempts, min_size=1, max_size=2),
    team_id=st.sampled_from([None, "red", "blue"]),
    customer_id=st.sampled_from([None, "acme"]),
    tags=st.lists(st.sampled_from(["x", "y", "z"]), max_size=3),
)
ledgers = st.lists(st.tuples(calls, st.none() | st.integers(0, 10**12)), max_size=25)


def nano(dollars: float) -> int:
    return round(dollars * 1e9)


def spent(parts: Iterable[Any], name: str = "spend") -> int:
    return sum(nano(part[name]) for part in parts)


def booked(app: Flask, ledger: Sequence[tuple[CallEvent, int | None]]) -> list[LedgerRow]:
    """A ledger with these calls and no others; its rows."""
    with app.app_context():
        with write_transaction() as session:
            for table in (LedgerRow, DailySpend, DailyTag, Balance):
                session.execute(sa.delete(table))
            post.post(
                session,
                [post.rows_of(replace(call, request_id=f"r{n}"), dead) for n, (call, dead) in enumerate(ledger)],
            )
        rows = list(db.session.scalars(sa.select(LedgerRow)))
        db.session.expunge_all()
        db.session.rollback()
    return rows


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ledger=ledgers, size=st.integers(1, DAYS + 1))
def test_in_every_report_parts_total_and_rows_agree(
    admin: Ask, gateway_app: Flask, ledger: list[tuple[CallEvent, int | None]], size: int
) -> None:
    rows = booked(gateway_app, ledger)
    cost = sum(row.cost for row in rows)
    assert nano(admin("/global/spend").json["spend"]) == cost
    check_lists(partial(admin, **PERIOD), cost)
    customers = admin("/global/spend/end_users", {"startTime": "2026-11-01", "endTime": "2026-11-05"}).json
    assert spent(customers, "total_spend") == cost
    check_days(partial(admin, **PERIOD), rows)
    check_tags(partial(admin, **PERIOD), rows)
    for path in ("/user/daily/activity", "/team/daily/activity", "/customer/daily/activity"):
        check_pages(partial(admin, path, **PERIOD, page_size=size), rows)
    one_page = admin("/user/daily/activity/aggregated", **PERIOD).json
    assert (len(one_page["results"]), spent([one_page["metadata"]], "total_spend")) == (len(days_of(rows)), cost)
    found = csv.DictReader(io.StringIO(admin("/spend/export").text))
    assert sum(round(float(row["cost"]) * 1e9) for row in found) == cost


def days_of(rows: Iterable[LedgerRow]) -> dict[str, list[LedgerRow]]:
    days: dict[str, list[LedgerRow]] = {}
    for row in rows:
        days.setdefault(row.started_at.date().isoformat(), []).append(row)
    return days


def check_lists(report: Callable[..., Any], cost: int) -> None:
    for path, name in {
        "/spend/keys": "spend",
        "/spend/users": "spend",
        "/global/spend/keys": "total_spend",
        "/global/spend/models": "total_spend",
        "/global/spend/provider": "spend",
    }.items():
        assert spent(report(path).json, name) == cost, path
    for group in ("api_key", "user", "model"):
        lines = report("/global/spend/report", group_by=group).json
        assert spent(lines, "total_cost") == cost
        assert all(spent(line["model_details"], "total_cost") == nano(line["total_cost"]) for line in lines)


def check_days(report: Callable[..., Any], rows: list[LedgerRow]) -> None:
    of_days = {day: sum(row.cost for row in its) for day, its in days_of(rows).items()}
    assert {day["date"]: nano(day["spend"]) for day in report("/global/spend/logs").json} == of_days
    summary = report("/spend/logs", summarize="true").json
    assert {day["startTime"]: nano(day["spend"]) for day in summary} == of_days
    for day in summary:
        parts = [day["users"], day["models"], {key: day[key] for key in KEYS if key in day}]
        assert [sum(map(nano, part.values())) for part in parts] == [nano(day["spend"])] * 3
    teams = report("/global/spend/teams").json
    assert spent(teams["total_spend_per_team"], "total_spend") == sum(of_days.values())
    by_team = {day["date"]: sum(nano(day.get(team, 0)) for team in teams["teams"]) for day in teams["daily_spend"]}
    assert by_team == of_days
    for group in ("team", "customer"):
        found = report("/global/spend/report", group_by=group).json
        assert {day["group_by_day"]: spent(day[f"{group}s"], "total_spend") for day in found} == of_days
        for part in (part for day in found for part in day[f"{group}s"]):
            assert spent(part["metadata"]) == nano(part["total_spend"])
    activity = report("/global/activity").json
    assert {day["date"]: day["api_requests"] for day in activity["daily_data"]} == {
        day: len(its) for day, its in days_of(rows).items()
    }
    of_models = report("/global/activity/model").json
    for name in ("sum_api_requests", "sum_total_tokens"):
        assert sum(model[name] for model in of_models) == activity[name]
    assert activity["sum_total_tokens"] == sum(row.input_tokens + row.output_tokens for row in rows)


def check_tags(report: Callable[..., Any], rows: list[LedgerRow]) -> None:
    by_tag: dict[str, int] = {}
    for row in rows:
        for tag in set(row.tags):
            by_tag[tag] = by_tag.get(tag, 0) + row.cost
    assert {tag["individual_request_tag"]: nano(tag["total_spend"]) for tag in report("/spend/tags").json} == by_tag
    assert {tag["name"]: nano(tag["spend"]) for tag in report("/global/spend/tags").json["spend_per_tag"]} == by_tag
    activity = report("/tag/daily/activity").json
    assert nano(activity["metadata"]["total_spend"]) == sum(by_tag.values())
    for tag, spend in by_tag.items():
        assert spent(report("/spend/logs/v2", tag=tag, page_size=1000).json["data"]) == spend


def check_pages(report: Callable[..., Any], rows: list[LedgerRow]) -> None:
    first = report().json
    pages = [first, *(report(page=number).json for number in range(2, first["metadata"]["total_pages"] + 1))]
    whole = {name: value for name, value in first["metadata"].items() if name.startswith("total_")}
    days = [day for page in pages for day in page["results"]]
    assert [day["date"] for day in days] == sorted(days_of(rows), reverse=True)
    assert nano(whole["total_spend"]) == spent(day["metrics"] for day in days) == sum(row.cost for row in rows)
    counted = {
        "total_api_requests": len(rows),
        "total_failed_requests": sum(row.outcome in post.FAILED for row in rows),
        "total_prompt_tokens": sum(row.input_tokens for row in rows),
        "total_completion_tokens": sum(row.output_tokens for row in rows),
        "total_cache_read_input_tokens": sum(row.cache_read_tokens for row in rows),
    }
    assert counted == {name: whole[name] for name in counted}
    for page in pages:
        assert whole == {name: page["metadata"][name] for name in whole}
    for day in days:
        for parts in day["breakdown"].values():
            assert spent(part["metrics"] for part in parts.values()) == nano(day["metrics"]["spend"])
            requests = sum(part["metrics"]["api_requests"] for part in parts.values())
            assert requests == day["metrics"]["api_requests"]
