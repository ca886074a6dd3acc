"""Somebody is told when a budget is nearly spent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.conftest import Person, config_for, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack
from tests.webhook_receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECONDS = 40.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def telling_stack(database_url: str, redis_url: str, provider: ScriptedProvider, receiver: Receiver) -> Iterator[Stack]:
    """Two web processes, two workers, and somebody whom they tell."""
    general = {"webhook_url": receiver.url, "webhook_secret": SECRET, "alert_thresholds": [50, 100]}
    config = config_for(provider) | {"general_settings": general}
    config["model_list"] = [entry for entry in config["model_list"] if entry["model_name"] == "dime"]
    with Stack(database_url, redis_url, config, web=2, workers=2) as running:
        yield running


def told(receiver: Receiver) -> list[tuple[str, int]]:
    return sorted((received.body["scope"], received.body["threshold"]) for received in receiver.received)


def test_each_threshold_is_told_once_by_all_workers_together(telling_stack: Stack, receiver: Receiver) -> None:
    admin = Person(telling_stack.master_key, telling_stack.urls[0])
    ada, bob = (user_of(telling_stack, admin, user_id=name, max_budget=0.2) for name in ("ada", "bob"))
    assert [ada.chat("dime", max_tokens=100).status_code for _ in range(2)] == [200, 200]
    assert bob.at(telling_stack.urls[1]).chat("dime", max_tokens=100).status_code == 200
    until(lambda: admin.get("/webhooks", state="delivered").json()["total"] == 3, SECONDS)
    assert told(receiver) == [("user:ada", 50), ("user:ada", 100), ("user:bob", 50)]


def pending_scopes(admin: Person) -> set[str]:
    return {message["message"]["scope"] for message in admin.get("/webhooks", state="pending").json()["webhooks"]}


def test_a_receiver_that_hangs_does_not_hold_up_the_books(telling_stack: Stack, receiver: Receiver) -> None:
    telling_stack.workers[1].kill()
    receiver.gate.clear()
    admin = Person(telling_stack.master_key, telling_stack.urls[0])
    ada, bob = (user_of(telling_stack, admin, user_id=name, max_budget=0.1) for name in ("ada", "bob"))
    ada.chat("dime", max_tokens=100)
    until(lambda: len(receiver.received) == 2, SECONDS)
    bob.chat("dime", max_tokens=100)
    until(lambda: len(admin.get("/spend/logs", user_id="bob").json()) == 1, SECONDS)
    until(lambda: pending_scopes(admin) == {"user:ada", "user:bob"}, SECONDS)
    receiver.gate.set()
    until(lambda: admin.get("/webhooks", state="delivered").json()["total"] == 4, SECONDS)
