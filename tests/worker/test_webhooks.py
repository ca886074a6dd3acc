"""Webhooks on their way to a receiver over real HTTP."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app, webhooks
from app.extensions import db, redis, write_transaction
from app.models import Webhook, now
from app.settings import Settings
from tests.journeys.waiting import until
from tests.webhook_receiver import Receiver
from tests.worker.conftest import WEBHOOK_KEY
from worker import webhooks as task
from worker.webhooks import claim, deliver, signed

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def application(telling_app: Flask, receiver: Receiver) -> Iterator[Flask]:
    yield telling_app
    receiver.gate.set()
    until(lambda: not task.sender.is_running())


def enqueue(occasion: str = "test:1", event: str = "test", **payload: Any) -> str:
    with write_transaction() as session:
        message_id = webhooks.enqueue(session, event, occasion, payload)
    assert message_id is not None
    return message_id


def change(**columns: Any) -> None:
    """Sets columns of all messages."""
    with write_transaction() as session:
        session.execute(sa.update(Webhook).values(columns))


def states() -> dict[str, str]:
    """What has become of each occasion."""
    found = {row.occasion: webhooks.state(row) for row in db.session.scalars(sa.select(Webhook))}
    db.session.rollback()
    return found


def last_error() -> str | None:
    error = db.session.scalar(sa.select(Webhook.last_error))
    db.session.rollback()
    return error


def seconds_to_the_next_attempt() -> float:
    row = db.session.scalars(sa.select(Webhook)).one()
    at = row.next_attempt_at
    db.session.rollback()
    assert at is not None
    return (at - now()).total_seconds()


def deliver_again() -> None:
    """As if the pause were over."""
    change(next_attempt_at=now())
    deliver()


# --- the form


def test_the_signature_is_that_of_the_specification_s_own_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_is_signed(receiver: Receiver) -> None:
    enqueue(scope="user:ada")
    deliver()
    (received,) = receiver.received
    assert received.is_signed_with(WEBHOOK_KEY)
    assert not received.is_signed_with(b"another secret")


def test_a_message_has_its_id_event_moment_and_what_it_says(receiver: Receiver) -> None:
    message_id = enqueue(scope="user:ada", spend=0.1)
    deliver()
    body = receiver.received[0].body
    assert body.pop("created_at").endswith("Z")
    assert body == {"id": message_id, "event": "test", "scope": "user:ada", "spend": 0.1}


def test_the_headers_name_the_message_and_the_second_of_the_attempt(receiver: Receiver) -> None:
    before = int(time.time())
    message_id = enqueue()
    deliver()
    headers = receiver.received[0].headers
    assert headers["webhook-id"] == message_id
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    assert headers["content-type"] == "application/json"


def test_the_address_is_asked_as_it_was_configured(receiver: Receiver) -> None:
    enqueue()
    deliver()
    assert receiver.received[0].path == "/hook/path-secret"


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    enqueue()
    deliver()
    assert len(receiver.received) == 1


# --- what becomes of it


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_message_that_was_taken_is_not_sent_again(receiver: Receiver, status: int) -> None:
    receiver.script = [status]
    enqueue()
    deliver()
    deliver()
    assert (len(receiver.received), states()) == (1, {"test:1": "delivered"})


def test_all_that_is_due_is_sent_at_once(receiver: Receiver) -> None:
    ids = {enqueue(f"test:{number}") for number in range(task.AT_ONCE * 2 + 1)}
    deliver()
    assert {received.headers["webhook-id"] for received in receiver.received} == ids


def test_a_message_that_was_refused_is_sent_until_it_is_taken(receiver: Receiver) -> None:
    receiver.script = [500, 404]
    enqueue(scope="user:ada")
    deliver()
    deliver_again()
    deliver_again()
    assert states() == {"test:1": "delivered"}
    assert len({(received.headers["webhook-id"], received.raw) for received in receiver.received}) == 1
    assert all(received.is_signed_with(WEBHOOK_KEY) for received in receiver.received)
    assert len(receiver.received) == 3


def test_a_refused_message_waits(receiver: Receiver) -> None:
    receiver.script = [500]
    enqueue()
    deliver()
    deliver()
    assert (len(receiver.received), states()) == (1, {"test:1": "pending"})
    assert last_error() == "the receiver answered 500"


def test_a_receiver_that_is_down_gets_the_message_once_it_is_up(make_settings: Callable[..., Settings]) -> None:
    other = Receiver()
    with create_app(make_settings(webhook_url=other.url, webhook_key=WEBHOOK_KEY)).app_context():
        enqueue()
        deliver()
        assert last_error() == "the receiver cannot be reached"
        with other:
            deliver_again()
        assert (states(), len(other.received)) == ({"test:1": "delivered"}, 1)
        db.engine.dispose()
        db.engine.dispose()


def test_a_silent_receiver_is_not_waited_for_long(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "READ_SECONDS", 0.2)
    receiver.gate.clear()
    enqueue()
    deliver()
    assert states() == {"test:1": "pending"}
    assert (last_error() or "").startswith("the receiver did not answer within")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.script = [(307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})]
    enqueue()
    deliver()
    assert [received.path for received in receiver.received] == ["/hook/path-secret"]
    assert last_error() == "the receiver answered 307, and redirects are not followed"


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 5), (1, 10), (6, 320), (11, 3600), (500, 3600)])
def test_pauses_double_up_to_an_hour(receiver: Receiver, attempts: int, seconds: int) -> None:
    receiver.script = [500]
    enqueue()
    change(attempts=attempts)
    deliver()
    assert seconds - 2 < seconds_to_the_next_attempt() <= seconds * 1.1


@pytest.mark.parametrize(("asked", "seconds"), [("120", 120), ("1000000", 3600), ("soon", 5)])
def test_a_pause_is_as_long_as_the_receiver_asks_for_within_an_hour(
    receiver: Receiver, asked: str, seconds: int
) -> None:
    receiver.script = [(503, {"Retry-After": asked})]
    enqueue()
    deliver()
    assert seconds - 2 < seconds_to_the_next_attempt() <= seconds * 1.1


def test_after_a_day_a_message_is_given_up_with_an_error(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.script = [500]
    message_id = enqueue()
    change(created_at=now() - DAY, attempts=30)
    deliver()
    assert states() == {"test:1": "given_up"}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"the webhook {message_id} (test) is given up after 31 attempts: the receiver answered 500")
    ]


def test_no_secret_is_logged_or_kept(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.script = [500, (302, {"Location": "/"})]
    with caplog.at_level(logging.INFO):
        for number in range(3):
            enqueue(f"test:{number}")
        deliver()
        change(created_at=now() - DAY)
        receiver.script = [500] * 3
        deliver_again()
    everything = caplog.text + str(db.session.execute(sa.select(Webhook.__table__)).all())
    db.session.rollback()
    assert "given up" in everything
    assert [secret for secret in (WEBHOOK_KEY.decode(), "path-secret") if secret in everything] == []


# --- workers


def test_the_task_does_not_wait_for_a_slow_receiver(receiver: Receiver) -> None:
    receiver.gate.clear()
    enqueue()
    task.webhooks()
    task.webhooks()
    until(lambda: len(receiver.received) == 1)
    assert states() == {"test:1": "pending"}
    receiver.gate.set()
    until(lambda: states() == {"test:1": "delivered"})
    until(lambda: not task.sender.is_running())
    assert len(receiver.received) == 1


def test_one_worker_sends_at_a_time(receiver: Receiver) -> None:
    enqueue()
    with redis.client.lock("tollgate:lock:webhooks", timeout=10):
        deliver()
    assert receiver.received == []


def test_a_message_that_one_worker_has_claimed_is_not_sent_by_another() -> None:
    message_id = enqueue()
    assert [message.id for message in claim()] == [message_id]
    assert claim() == []


def test_a_message_whose_sender_died_is_sent_after_a_while(receiver: Receiver) -> None:
    enqueue()
    claim()
    assert seconds_to_the_next_attempt() <= task.CLAIM_SECONDS
    deliver_again()
    assert states() == {"test:1": "delivered"}
    assert len(receiver.received) == 1


def test_a_redis_that_is_down_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    monkeypatch.setattr(task, "once", lambda *_: False)
    task.webhooks()
    until(lambda: not task.sender.is_running())
    assert [(record.levelname, record.name) for record in caplog.records] == [("WARNING", "worker.webhooks")]


def test_without_a_receiver_nothing_is_sent(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(task.sender, "start", fail)
    with create_app(make_settings()).app_context():
        task.webhooks()


# --- old messages


def old() -> None:
    change(created_at=now() - 31 * DAY)
    task.webhooks()
    until(lambda: not task.sender.is_running())


def test_a_message_that_was_taken_goes_after_30_days() -> None:
    enqueue()
    deliver()
    old()
    assert states() == {}


def test_a_younger_message_stays() -> None:
    enqueue()
    deliver()
    task.webhooks()
    assert states() == {"test:1": "delivered"}


def test_a_message_that_is_still_to_be_sent_stays(receiver: Receiver) -> None:
    receiver.script = [500]
    enqueue()
    change(next_attempt_at=now() + DAY)
    old()
    assert states() == {"test:1": "pending"}


def test_messages_about_budgets_stay_as_long_as_their_windows_are_open() -> None:
    for name, ended in (("over", now() - 31 * DAY), ("open", now() + DAY), ("endless", None)):
        resets_at = None if ended is None else webhooks.iso(ended)
        enqueue(name, "budget_threshold", scope="user:ada", resets_at=resets_at)
    deliver()
    old()
    assert states() == {"open": "delivered", "endless": "delivered"}
