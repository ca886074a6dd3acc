"""The worker's part, called as a function: on both databases and a real Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from app.extensions import redis, write_transaction
from app.ledger import balances, rows
from app.limits.meters import EVENTS, UNREADABLE, budget_key
from app.models import Budget, Credit, User
from app.queue import SETTLE
from worker.booking import settle_batch
from worker.budgets import budgets, near_budget
from worker.settle import settle
from worker.sweep import sweep

HELLO = {"model": "mock-gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


@pytest.fixture(autouse=True)
def context(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


class Caller:
    """Someone with a key, through the real routes."""

    def __init__(self, app: Flask, **limits: Any) -> None:
        self.client: Any = app.test_client()
        self.master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
        made: Any = self.client.post("/user/new", json={"user_id": "ada"} | limits, headers=self.master)
        assert made.status_code == 200, made.text
        self.headers = {"Authorization": f"Bearer {made.json['key']}"}
        self.key = made.json["token"]

    def call(self, **fields: Any) -> Any:
        return self.client.post("/v1/chat/completions", json=HELLO | fields, headers=self.headers)

    def status(self) -> str:
        info = self.client.get("/key/info", query_string={"key": self.key}, headers=self.master).json["info"]
        return str(info["status"])


def test_a_call_is_booked_with_its_cost(gateway_app: Flask) -> None:
    answer = Caller(gateway_app).call()
    assert settle_batch(0) == 1
    (row,), _ = rows.find(user_id="ada")
    assert f"{row.cost / 1e9:.9f}" == answer.headers["x-tollgate-cost"]
    assert balances.spend([("user:ada", 0)])["user:ada", 0] == row.cost


def test_settling_empties_the_stream_and_tells_redis_the_balance(gateway_app: Flask) -> None:
    Caller(gateway_app, max_budget=1).call()
    settle()
    state = store().hgetall(budget_key("user:ada", 0))
    assert int(state[b"spend"]) == balances.spend([("user:ada", 0)])["user:ada", 0] > 0
    assert (state[b"held"], state[b"due"], store().xlen(EVENTS)) == (b"0", b"0", 0)


def test_an_event_that_is_read_again_after_a_crash_is_not_booked_twice(gateway_app: Flask) -> None:
    Caller(gateway_app).call()
    (_, fields), *_ = store().xrange(EVENTS)
    settle_batch(0)
    store().xadd(EVENTS, fields)
    settle_batch(0)
    assert rows.find(user_id="ada")[1] == 1


def test_an_unreadable_event_is_set_aside_and_holds_up_nothing(gateway_app: Flask) -> None:
    store().xadd(EVENTS, {"e": b"not an event"})
    Caller(gateway_app).call()
    settle_batch(0)
    assert (store().xlen(UNREADABLE), store().xlen(EVENTS), rows.find()[1]) == (1, 0, 1)


def test_spend_at_the_budget_revokes_the_users_keys(gateway_app: Flask) -> None:
    caller = Caller(gateway_app, max_budget=0.000001)
    caller.call()
    settle_batch(0)
    assert caller.status() == "revoked"


def test_a_revoked_key_is_told_the_numbers_that_user_info_shows(gateway_app: Flask) -> None:
    caller = Caller(gateway_app, max_budget=0.000001)
    caller.call()
    settle_batch(0)
    refused = caller.call()
    shown = caller.client.get("/user/info", headers=caller.headers).json["user_info"]
    error = refused.json["error"]
    assert (refused.status_code, error["code"]) == (429, "budget_exceeded")
    assert (error["current"], error["limit"]) == (shown["spend"], shown["max_budget"])


def test_a_raised_budget_opens_the_keys_on_the_next_call(gateway_app: Flask) -> None:
    caller = Caller(gateway_app, max_budget=0.000001)
    caller.call()
    settle_batch(0)
    caller.client.post("/user/update", json={"user_id": "ada", "max_budget": 5}, headers=caller.master)
    assert (caller.call().status_code, caller.status()) == (200, "active")


def test_a_block_by_hand_stays_when_the_budget_opens(gateway_app: Flask) -> None:
    caller = Caller(gateway_app, max_budget=0.000001)
    caller.call()
    settle_batch(0)
    caller.client.post("/key/block", json={"key": caller.key}, headers=caller.master)
    caller.client.post("/user/update", json={"user_id": "ada", "max_budget": 5}, headers=caller.master)
    assert caller.call().status_code == 401


def test_a_user_without_money_has_revoked_keys_once_the_worker_has_looked(gateway_app: Flask) -> None:
    caller = Caller(gateway_app, max_budget=0)
    budgets("ada")
    assert caller.status() == "revoked"


def test_a_call_of_a_dead_process_is_booked_from_its_hold(gateway_app: Flask) -> None:
    Caller(gateway_app, max_budget=1).call()
    (_, fields), *_ = store().xrange(EVENTS)
    store().xadd(EVENTS, {**fields, b"abandoned": b"123"})
    store().xdel(EVENTS, store().xrange(EVENTS)[0][0])
    settle_batch(0)
    (row,), _ = rows.find(user_id="ada")
    assert (row.outcome, row.cost) == ("abandoned", 123)


def test_sweeping_when_nobody_has_died_books_nothing(gateway_app: Flask) -> None:
    Caller(gateway_app).call()
    settle_batch(0)
    sweep()
    assert store().xlen(EVENTS) == 0


def test_deleting_a_user_keeps_what_was_spent_in_the_ledger(gateway_app: Flask) -> None:
    caller = Caller(gateway_app)
    caller.call()
    caller.client.post("/user/delete", json={"user_ids": ["ada"]}, headers=caller.master)
    settle_batch(0)
    assert rows.find(user_id="ada")[1] == 1


def test_the_worker_is_asked_by_a_name_that_it_knows(gateway_app: Flask) -> None:
    assert SETTLE in gateway_app.extensions["celery"].tasks


def test_an_event_that_cannot_be_booked_is_set_aside_alone(gateway_app: Flask) -> None:
    caller = Caller(gateway_app)
    for _ in range(5):
        caller.call()
    entries = store().xrange(EVENTS)
    broken = orjson.loads(entries[2][1][b"e"])
    broken["attempts"][0]["usage"][0] = -1
    for number, (place, fields) in enumerate(entries):
        store().xdel(EVENTS, place)
        store().xadd(EVENTS, {"e": orjson.dumps(broken)} if number == 2 else fields)
    settle_batch(0)
    assert (store().xlen(UNREADABLE), store().xlen(EVENTS), rows.find()[1]) == (1, 0, 4)


def test_only_users_whose_balance_reaches_their_budget_are_looked_at() -> None:
    with write_transaction() as session:
        session.add(Budget(budget_id="small", max_budget=100))
        session.add(User(user_id="free"))
        session.flush()
        session.add(User(user_id="own", max_budget=200, budget_id="small"))
        session.add(User(user_id="template", budget_id="small"))
        session.add(User(user_id="taken", max_budget=300))
        session.add(Credit(id="c1", meter="user:taken", window_start=0, amount=-150))
    users = ("free", "own", "template", "taken", "nobody")
    spends = {spend: {(f"user:{user}", 0): spend for user in users} for spend in (99, 100, 149, 150, 199, 200)}
    near = {spend: sorted(near_budget(of_users)) for spend, of_users in spends.items()}
    assert near == {
        99: [],
        100: ["template"],
        149: ["template"],
        150: ["taken", "template"],
        199: ["taken", "template"],
        200: ["own", "taken", "template"],
    }


def test_the_fullest_window_of_a_user_decides_whether_they_are_looked_at() -> None:
    with write_transaction() as session:
        session.add(User(user_id="ada", max_budget=100))
    assert near_budget({("user:ada", 0): 100, ("user:ada", 60): 1, ("key:k1", 0): 100}) == ["ada"]
