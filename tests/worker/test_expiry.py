"""The periodic deletion of keys and secrets whose time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app, queue
from app.access import keys, policy, rotation
from app.access.expiry import delete_keys
from app.extensions import db, redis, write_transaction
from app.ledger import balances
from app.models import Balance, FormerToken, VirtualKey, now
from app.settings import Settings
from worker import expiry
from worker.expiry import expiry as run

DAY = 86_400


@pytest.fixture
def start(make_settings: Callable[..., Settings]) -> Iterator[Callable[[int | None], Flask]]:
    """start(DAY) begins an application that keeps expired keys for a day, in its context."""
    contexts = []

    def make(seconds: int | None) -> Flask:
        app = create_app(make_settings(expired_keys_retention=seconds))
        contexts.append(app.app_context())
        contexts[-1].push()
        return app

    yield make
    for context in contexts:
        db.session.rollback()
        db.engine.dispose()
        context.pop()
    redis.client.close()


def key(alias: str, expired_days: float | None) -> VirtualKey:
    row = keys.generate({"key_alias": alias}).row
    ended = None if expired_days is None else now() - timedelta(days=expired_days)
    with write_transaction() as session:
        session.execute(sa.update(VirtualKey).where(VirtualKey.id == row.id).values(expires=ended))
    return row


def left() -> list[str | None]:
    found = list(db.session.scalars(sa.select(VirtualKey.key_alias).order_by(VirtualKey.key_alias)))
    db.session.rollback()
    return found


def tick() -> None:
    redis.client.delete(*redis.client.keys(f"tollgate:once:{queue.EXPIRY}:*") or ["none"])
    run()


def ages(start: Callable[[int | None], Flask], seconds: int | None) -> None:
    start(seconds)
    for alias, days in (("three days", 3), ("an hour", 0.04), ("open", None), ("to come", -1)):
        key(alias, days)
    tick()


def test_keys_that_expired_long_ago_go(start: Callable[[int | None], Flask]) -> None:
    ages(start, DAY)
    assert left() == ["an hour", "open", "to come"]


def test_without_a_retention_all_keys_stay(start: Callable[[int | None], Flask]) -> None:
    ages(start, None)
    assert left() == ["an hour", "open", "three days", "to come"]


def test_any_number_of_keys_goes(start: Callable[[int | None], Flask], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "AT_ONCE", 2)
    start(DAY)
    for number in range(5):
        key(str(number), 3)
    tick()
    assert left() == []


def test_processes_hear_of_a_key_that_goes_and_its_spend_stays(start: Callable[[int | None], Flask]) -> None:
    start(DAY)
    row = key("old", 3)
    with write_transaction() as session:
        session.add(Balance(meter=f"key:{row.id}", window_start=0, spend=7, version=1))
    before = policy.versions([f"key:{row.id}"])
    tick()
    assert policy.versions([f"key:{row.id}"]) != before
    assert balances.spend([(f"key:{row.id}", 0)]) == {(f"key:{row.id}", 0): 7}


def test_a_key_that_is_prolonged_in_the_same_moment_stays(
    start: Callable[[int | None], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(DAY)
    row = key("old", 3)
    editing = policy.editing

    def prolong_first(subjects: Any) -> Any:
        monkeypatch.setattr(policy, "editing", editing)
        keys.change(row, {"duration": "1h"})
        return editing(subjects)

    monkeypatch.setattr(policy, "editing", prolong_first)
    assert delete_keys(now() - timedelta(days=1), 10) == 0
    assert left() == ["old"]


def test_former_secrets_go_a_day_after_their_end(start: Callable[[int | None], Flask]) -> None:
    start(DAY)
    row = keys.generate({}).row
    tokens = []
    for _ in range(3):
        tokens.append(row.token)
        row = rotation.regenerate(row, rotation.Wish(grace=3600), {}).row
    for token, hours in zip(tokens, (25, 23, -1), strict=True):
        with write_transaction() as session:
            ended = now() - timedelta(hours=hours)
            session.execute(sa.update(FormerToken).where(FormerToken.token == token).values(valid_until=ended))
    tick()
    assert set(db.session.scalars(sa.select(FormerToken.token))) == set(tokens[1:])
