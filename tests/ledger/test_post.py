"""Posting usage events: rows once, balances as their sums, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from app.extensions import db, write_transaction
from app.ledger import balances, post, rows
from app.ledger.event import UNPRICED, Attempt, CallEvent
from app.ledger.usage import Usage
from app.ledger.writing import AMOUNTS
from app.models import Balance, LedgerRow

NO_USAGE = [0] * 8


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def event(request_id: str, user: str = "ada", tokens: int = 10, window: int = 0) -> CallEvent:
    attempt = Attempt("d1", "openai", "gpt", "success", 200, "provider", [tokens, 0, 0, 0, 0, 0, 0, 0], tokens, "test")
    meters: list[list[object]] = [["key:k1", 0, 0], [f"user:{user}", 0, 1]]
    if window:
        meters.append([f"user:{user}", window, 1])
    return CallEvent(
        request_id=request_id,
        key_id="k1",
        token="0" * 64,
        user_id=user,
        end_user=None,
        route="chat/completions",
        model_name="m",
        stream=False,
        started_ms=1_000,
        hold=500,
        meters=meters,
        attempts=[attempt],
        ended_ms=2_000,
    )


def book(*events: CallEvent, abandoned: int | None = None) -> None:
    with write_transaction() as session:
        post.post(session, [post.rows_of(one, abandoned) for one in events])


def spent(meter: str, window: int = 0) -> int:
    return balances.spend([(meter, window)])[meter, window]


def test_a_row_costs_its_usage_at_its_price() -> None:
    book(event("r1", tokens=7))
    (row,), _ = rows.find(request_id="r1")
    assert (row.cost, row.input_tokens, row.price) == (7, 7, "test")


def test_a_cost_is_part_of_every_balance_that_the_event_names() -> None:
    book(event("r1", tokens=7, window=60))
    assert (spent("user:ada"), spent("user:ada", 60), spent("key:k1")) == (7, 7, 7)


def test_posting_again_changes_nothing() -> None:
    for _ in range(3):
        book(event("r1"), event("r2"))
    assert (spent("user:ada"), rows.find()[1]) == (20, 2)


def test_only_what_is_new_in_a_batch_is_added() -> None:
    book(event("r1"))
    book(event("r1"), event("r2"))
    assert spent("user:ada") == 20


def test_the_same_request_twice_in_one_batch_counts_once() -> None:
    book(event("r1"), event("r1"))
    assert spent("user:ada") == 10


def test_an_abandoned_call_costs_what_was_held() -> None:
    book(event("r1"), abandoned=123)
    (row,), _ = rows.find(request_id="r1")
    assert (row.outcome, row.usage_source, row.cost, spent("user:ada")) == ("abandoned", "held", 123, 123)


def test_every_posting_gives_the_balance_a_new_version() -> None:
    for number in range(3):
        book(event(f"r{number}"))
    assert balances.settled([("user:ada", 0)])["user:ada", 0].version == 3


def test_an_attempt_that_failed_has_a_row_and_costs_nothing() -> None:
    failed = Attempt("d0", "openai", "gpt", "failure", 500, "none", NO_USAGE, 0, "test")
    one = event("r1", tokens=7)
    one.attempts.insert(0, failed)
    book(one)
    found, _ = rows.find(request_id="r1")
    assert [(row.attempt, row.outcome, row.cost) for row in found] == [(0, "failure", 0), (1, "success", 7)]


def test_a_row_has_what_was_no_token_and_its_service_tier() -> None:
    one = event("r1")
    usage = Usage(0, 0, web_searches=1, images=2, audio_ms=3, characters=4, requests=5, pages=6)
    one.attempts[0] = replace(one.attempts[0], usage=usage.to_wire(), tier="fl\0ex" + "x" * 40)
    book(one)
    (row,), _ = rows.find(request_id="r1")
    assert [getattr(row, name) for name in AMOUNTS] == usage.to_wire()
    assert (row.tier, row.entry) == ("flex" + "x" * 28, "call")


def test_a_row_knows_the_balances_that_its_cost_is_part_of() -> None:
    book(event("r1", window=60))
    (row,), _ = rows.find(request_id="r1")
    assert row.meters == [["key:k1", 0], ["user:ada", 0], ["user:ada", 60]]


def test_a_call_without_a_price_is_booked_and_says_so() -> None:
    one = event("r1")
    one.attempts[0] = Attempt("d1", "openai", "gpt", "success", 200, "provider", [9, 9, 0, 0, 0, 0, 0, 0], 0, UNPRICED)
    book(one)
    (row,), _ = rows.find(request_id="r1")
    assert (row.cost, row.price, row.input_tokens) == (0, "unpriced", 9)


def test_four_writers_posting_the_same_events_in_any_order_neither_deadlock_nor_count_twice(
    gateway_app: Flask,
) -> None:
    events = [event(f"r{number}", user=f"user{number % 7}") for number in range(60)]
    failures: list[BaseException] = []

    def write(step: int) -> None:
        try:
            with gateway_app.app_context():
                for first in range(0, 60, 10):
                    at = (first * step) % 60
                    book(*events[at : at + 10])
                book(*reversed(events))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to see it
            failures.append(error)

    writers = [threading.Thread(target=write, args=(step,)) for step in (1, 7, 11, 13)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    total = db.session.scalar(sa.select(sa.func.sum(LedgerRow.cost)))
    of_users = sa.select(sa.func.sum(Balance.spend)).where(Balance.meter.like("user:%"))
    assert (total, db.session.scalar(of_users)) == (600, 600)


def test_a_call_that_was_given_up_for_dead_is_not_booked_again_when_it_ends_after_all() -> None:
    one = event("r1", tokens=7)
    one.attempts.insert(0, Attempt("d2", "openai", "gpt", "failure", 500, "none", NO_USAGE, 0, "test"))
    book(event("r1"), abandoned=123)
    book(one)
    assert ([row.outcome for row in rows.find()[0]], spent("user:ada")) == (["abandoned"], 123)
