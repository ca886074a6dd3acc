"""A worker that keeps up lets others go first; one that is behind reads, books and tells Redis all at once."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from flask import Flask

from app.errors import LimitsUnavailable
from app.ledger import balances, rows
from app.limits import admission
from app.limits.meters import EVENTS, UNREADABLE, budget_key
from tests.worker.test_settle import Caller, store
from worker import booking
from worker import settle as settling
from worker.settle import settle

FULL = 3
PATIENCE_SECONDS = 10


@pytest.fixture(autouse=True)
def small_batches(gateway_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(booking, "BATCH", FULL)
    # Nothing comes any more in these tests.
    monkeypatch.setattr(settling, "LINGER_SECONDS", 0)
    with gateway_app.app_context():
        yield


def calls(app: Flask, number: int) -> None:
    """So many calls of a user with a budget, none of them settled."""
    caller = Caller(app, max_budget=1)
    for _ in range(number):
        assert caller.call().status_code == 200


def assert_settled(number: int) -> None:
    found, _ = rows.find(user_id="ada")
    assert len(found) == number
    spend = sum(row.cost for row in found)
    state = store().hgetall(budget_key("user:ada", 0))
    assert (int(state[b"spend"]), state[b"held"], state[b"due"], store().xlen(EVENTS)) == (spend, b"0", b"0", 0)
    assert balances.spend([("user:ada", 0)])["user:ada", 0] == spend > 0


@pytest.mark.parametrize("number", [FULL - 1, FULL, FULL + 1, 3 * FULL, 3 * FULL + 2])
def test_however_many_there_are_each_is_booked_once_and_redis_is_told(gateway_app: Flask, number: int) -> None:
    calls(gateway_app, number)
    settle()
    assert_settled(number)


def test_the_next_batch_is_read_while_one_is_booked(gateway_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    calls(gateway_app, 3 * FULL)
    ahead, seen = threading.Event(), list[bool]()

    def read(block_ms: int, after: bytes = b"0") -> list[booking.Entry]:
        entries = booking.read(block_ms, after)
        if after != b"0" and entries:
            ahead.set()
        return entries

    def write(entries: Sequence[booking.Entry]) -> list[booking.Booked]:
        if len(entries) == FULL:
            seen.append(ahead.wait(PATIENCE_SECONDS))
        return booking.write(entries)

    monkeypatch.setattr(settling, "read", read)
    monkeypatch.setattr(settling, "write", write)
    settle()
    assert seen == [True, True]


def test_redis_is_told_of_a_batch_while_the_next_is_booked(gateway_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    calls(gateway_app, 4 * FULL)
    writing, second, seen = list[int](), threading.Event(), list[bool]()
    really = admission.settled

    def write(entries: Sequence[booking.Entry]) -> list[booking.Booked]:
        writing.append(len(entries))
        if len(writing) == 2:
            second.set()
        return booking.write(entries)

    def settled(*told: Any) -> None:
        if threading.current_thread().name.startswith("beside"):
            seen.append(second.wait(PATIENCE_SECONDS))
        really(*told)

    monkeypatch.setattr(settling, "write", write)
    monkeypatch.setattr(admission, "settled", settled)
    settle()
    assert seen == [True] * 3
    assert_settled(4 * FULL)


def test_a_batch_that_redis_was_not_told_of_is_taken_up_again(
    gateway_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls(gateway_app, 4 * FULL)
    told = list[int]()
    really = admission.settled

    def settled(*what: Any) -> None:
        told.append(len(what[2]))
        if len(told) == 2:
            raise LimitsUnavailable("Redis does not answer.")
        really(*what)

    with monkeypatch.context() as patched:
        patched.setattr(admission, "settled", settled)
        with pytest.raises(LimitsUnavailable):
            settle()
    assert store().xlen(EVENTS) > 0
    settle()
    assert_settled(4 * FULL)


@pytest.mark.parametrize("place", range(3 * FULL))
def test_an_unreadable_event_holds_up_nothing_wherever_it_stands(gateway_app: Flask, place: int) -> None:
    calls(gateway_app, 3 * FULL)
    entries = store().xrange(EVENTS)
    store().delete(EVENTS)
    for number, (_, fields) in enumerate(entries):
        if number == place:
            store().xadd(EVENTS, {"e": b"not an event"})
        store().xadd(EVENTS, fields)
    settle()
    assert store().xlen(UNREADABLE) == 1
    assert_settled(3 * FULL)


@pytest.mark.skipif(sys.platform != "linux", reason="Only on Linux has a thread a niceness of its own.")
@pytest.mark.parametrize(("number", "patient"), [(FULL - 1, {True}), (3 * FULL, {True, False})])
def test_only_a_worker_that_keeps_up_lets_others_go_first(
    gateway_app: Flask, monkeypatch: pytest.MonkeyPatch, number: int, patient: set[bool]
) -> None:
    calls(gateway_app, number)
    nice = set[bool]()
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    really = booking.write

    def write(entries: Sequence[booking.Entry]) -> list[booking.Booked]:
        if entries:
            nice.add(os.getpriority(os.PRIO_PROCESS, 0) > usual)
        return really(entries)

    monkeypatch.setattr(booking, "write", write)
    monkeypatch.setattr(settling, "write", write)
    settle()
    assert nice == patient
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual
