from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask

from app import create_app, queue, webhooks
from app.extensions import db, redis, write_transaction
from app.models import Webhook, now
from app.settings import Settings
from tests.api.conftest import Ask, asking

FIELDS = {"id", "event", "occasion", "state", "message", "attempts", "last_error"} | {
    *("next_attempt_at", "delivered_at", "created_at")
}


@pytest.fixture
def telling_app(make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application with a receiver of webhooks, of which nobody is ever asked."""
    app = create_app(make_settings(webhook_url="http://127.0.0.1:1/path-secret", webhook_key=b"k" * 24))
    yield app
    app.extensions["tollgate"].close()
    redis.client.close()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def admin(telling_app: Flask) -> Ask:
    return partial(asking(telling_app.test_client()), telling_app.extensions["tollgate"].settings.master_key)


@pytest.fixture
def enqueued(telling_app: Flask) -> Callable[..., str]:
    """enqueued("a", event="test", delivered_at=now()) writes a message, with columns of its own."""

    def enqueue(occasion: str, event: str = "test", payload: dict[str, Any] | None = None, **columns: Any) -> str:
        with telling_app.app_context(), write_transaction() as session:
            message_id = webhooks.enqueue(session, event, occasion, payload or {})
            assert message_id is not None
            row = session.get_one(Webhook, message_id)
            for name, value in columns.items():
                setattr(row, name, value)
        return message_id

    return enqueue


def occasions(answer: Any) -> list[str]:
    return [message["occasion"] for message in answer.json["webhooks"]]


def test_a_message_is_shown_as_it_is_sent(admin: Ask, enqueued: Callable[..., str]) -> None:
    message_id = enqueued("a", "budget_threshold", {"scope": "user:ada", "spend": 0.5})
    (shown,) = admin("/webhooks").json["webhooks"]
    assert set(shown) == FIELDS
    assert (shown["id"], shown["state"], shown["attempts"], shown["delivered_at"]) == (message_id, "pending", 0, None)
    assert shown["message"] == {
        "id": message_id,
        "event": "budget_threshold",
        "created_at": shown["created_at"],
        "scope": "user:ada",
        "spend": 0.5,
    }


def test_messages_come_page_by_page_newest_first(admin: Ask, enqueued: Callable[..., str]) -> None:
    for occasion in "abc":
        enqueued(occasion)
    pages = [admin("/webhooks", page=page, page_size=2) for page in (1, 2, 3)]
    assert [occasions(page) for page in pages] == [["c", "b"], ["a"], []]
    assert (pages[0].json["total"], pages[0].json["total_pages"]) == (3, 2)


@pytest.mark.parametrize("state", ["pending", "delivered", "given_up"])
def test_messages_can_be_asked_for_by_their_state(admin: Ask, enqueued: Callable[..., str], state: str) -> None:
    enqueued("pending", last_error="the receiver answered 500", attempts=1)
    enqueued("delivered", next_attempt_at=None, delivered_at=now())
    enqueued("given_up", next_attempt_at=None, last_error="the receiver answered 500")
    answer = admin("/webhooks", state=state)
    assert (occasions(answer), answer.json["webhooks"][0]["state"], answer.json["total"]) == ([state], state, 1)


def test_messages_can_be_asked_for_by_their_event(admin: Ask, enqueued: Callable[..., str]) -> None:
    enqueued("a", "test")
    enqueued("b", "soft_budget")
    assert occasions(admin("/webhooks", event="soft_budget")) == ["b"]


@pytest.mark.parametrize(("name", "value"), [("state", "lost"), ("page", 0), ("page_size", 101), ("stat", "pending")])
def test_a_query_that_nobody_understands_is_refused(admin: Ask, name: str, value: object) -> None:
    answer = admin("/webhooks", **{name: value})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, name)


def test_a_test_message_is_enqueued_and_the_worker_is_woken(admin: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(queue, "send", woken.append)
    answer = admin("/webhooks/test", {})
    (shown,) = admin("/webhooks").json["webhooks"]
    assert (shown["id"], shown["event"], woken) == (answer.json["id"], "test", [queue.WEBHOOKS])


def test_each_test_message_is_one_of_its_own(admin: Ask) -> None:
    assert admin("/webhooks/test", {}).json["id"] != admin("/webhooks/test", {}).json["id"]


def test_a_test_message_says_nothing_of_the_caller_s(admin: Ask) -> None:
    answer = admin("/webhooks/test", {"url": "http://example.com"})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "unknown_field")


def test_without_a_receiver_there_is_no_test_message(ask: Ask, master: str) -> None:
    answer = ask(master, "/webhooks/test", {})
    assert answer.status_code == 400
    assert "webhook_url" in answer.json["error"]["message"]


def test_messages_are_the_master_key_s_business(admin: Ask, telling_app: Flask) -> None:
    key = admin("/key/generate", {}).json["key"]
    ask = asking(telling_app.test_client())
    assert [ask(key, "/webhooks").status_code, ask(key, "/webhooks/test", {}).status_code] == [403, 403]


def test_no_answer_has_the_receiver_s_address(admin: Ask) -> None:
    admin("/webhooks/test", {})
    assert "path-secret" not in admin("/webhooks").text
