"""New secrets by schedule, told by webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app, queue
from app.extensions import db, redis, write_transaction
from app.models import FormerToken, VirtualKey, Webhook, now
from app.settings import Settings
from tests.people import HELLO
from tests.webhook_receiver import Receiver
from tests.worker.conftest import WEBHOOK_KEY
from worker import rotation as task
from worker.rotation import rotation
from worker.webhooks import deliver

HOUR = timedelta(hours=1)


class Admin:
    """Somebody with the master key."""

    def __init__(self, app: Flask) -> None:
        self._client: Any = app.test_client()
        self._master = app.extensions["tollgate"].settings.master_key

    def ask(self, path: str, body: Any) -> Any:
        return self._client.post(path, json=body, headers={"Authorization": f"Bearer {self._master}"})

    def key(self, **fields: Any) -> dict[str, Any]:
        answer = self.ask("/key/generate", {"auto_rotate": True, "rotation_interval": "30d"} | fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def works(self, secret: str) -> bool:
        headers = {"Authorization": f"Bearer {secret}"}
        return bool(self._client.post("/v1/chat/completions", json=HELLO, headers=headers).status_code == 200)


@pytest.fixture
def admin(telling_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Admin:
    monkeypatch.setattr(task, "send", lambda _: None)
    return Admin(telling_app)


def rotate() -> None:
    """One tick of the schedule."""
    redis.client.delete(*redis.client.keys(f"tollgate:once:{queue.ROTATION}:*") or ["none"])
    rotation()


def change(table: Any, **columns: Any) -> None:
    with write_transaction() as session:
        session.execute(sa.update(table).values(columns))


def rotate_when_due() -> None:
    change(VirtualKey, rotate_at=now())
    rotate()


def test_a_key_that_is_due_gets_a_new_secret_which_the_receiver_is_told(admin: Admin, receiver: Receiver) -> None:
    made = admin.key(key_alias="nightly", rotation_grace="1h")
    rotate_when_due()
    deliver()
    (received,) = receiver.received
    assert received.is_signed_with(WEBHOOK_KEY)
    told = received.body
    assert (told["event"], told["key_id"], told["key_alias"], told["rotation_count"]) == (
        *("key.rotated", made["key_id"], "nightly", 1),
    )
    assert told["key"] != made["key"]
    assert [admin.works(secret) for secret in (made["key"], told["key"])] == [True, True]


def test_the_old_secret_ends_with_its_grace(admin: Admin, receiver: Receiver) -> None:
    made = admin.key(rotation_grace="1h")
    rotate_when_due()
    deliver()
    former = db.session.scalars(sa.select(FormerToken)).one()
    assert HOUR - timedelta(minutes=1) < former.valid_until - now() <= HOUR
    change(FormerToken, valid_until=now())
    assert [admin.works(secret) for secret in (made["key"], receiver.received[0].body["key"])] == [False, True]


def test_a_key_that_is_not_due_keeps_its_secret(admin: Admin) -> None:
    token = admin.key()["token"]
    rotate()
    assert db.session.scalars(sa.select(VirtualKey.token)).one() == token


def test_the_next_secret_is_due_after_the_interval(admin: Admin) -> None:
    admin.key(rotation_interval="1h")
    rotate_when_due()
    rotate()
    row = db.session.scalars(sa.select(VirtualKey)).one()
    assert row.rotation_count == 1
    assert row.rotate_at is not None
    assert HOUR - timedelta(minutes=1) < row.rotate_at - now() <= HOUR


@pytest.mark.parametrize("state", [{"blocked": True}, {"expires": now()}, {"auto_rotate": False}])
def test_a_key_that_nobody_uses_waits(admin: Admin, state: dict[str, Any]) -> None:
    admin.key()
    change(VirtualKey, **state)
    rotate_when_due()
    assert db.session.scalars(sa.select(VirtualKey.rotation_count)).one() == 0


def test_no_message_is_stored_with_its_secret(admin: Admin, receiver: Receiver) -> None:
    admin.key()
    rotate_when_due()
    deliver()
    secret = receiver.received[0].body["key"]
    row = db.session.scalars(sa.select(Webhook)).one()
    assert secret.startswith("sk-")
    assert secret not in str({**row.__dict__})


def test_a_secret_that_has_ended_before_its_message_was_sent_is_not_told(admin: Admin, receiver: Receiver) -> None:
    made = admin.key()
    rotate_when_due()
    admin.ask("/key/regenerate", {"key": made["key"]})
    deliver()
    assert receiver.received[0].body["key"] is None


def test_repeating_what_rotation_asks_for_does_not_put_it_off(admin: Admin) -> None:
    made = admin.key(rotation_interval="1h")
    later = admin.ask("/key/update", {"key": made["key"], "auto_rotate": True, "rotation_interval": "1h"}).json
    sooner = admin.ask("/key/update", {"key": made["key"], "rotation_interval": "1m"}).json
    off = admin.ask("/key/update", {"key": made["key"], "auto_rotate": None}).json
    assert later["rotate_at"] == made["rotate_at"] > sooner["rotate_at"]
    assert (off["auto_rotate"], off["rotate_at"]) == (False, None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"auto_rotate": True}, "rotation_interval"),
        ({"auto_rotate": True, "rotation_interval": "59s"}, "rotation_interval"),
        ({"rotation_grace": "soon"}, "rotation_grace"),
    ],
)
def test_a_rotation_that_cannot_be_is_refused(admin: Admin, fields: dict[str, Any], param: str) -> None:
    answer = admin.ask("/key/generate", fields)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)


@pytest.fixture
def silent_app(make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    app = create_app(make_settings())
    with app.app_context():
        yield app
        db.session.rollback()
        db.engine.dispose()
    app.extensions["tollgate"].close()
    redis.client.close()


def test_where_nobody_would_be_told_rotation_is_refused(silent_app: Flask) -> None:
    answer = Admin(silent_app).ask("/key/generate", {"auto_rotate": True, "rotation_interval": "30d"})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "auto_rotate")
    assert "webhook_url" in answer.json["error"]["message"]


def test_where_nobody_is_told_any_more_keys_wait_and_the_log_says_so(
    silent_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    Admin(silent_app).ask("/key/generate", {})
    change(VirtualKey, auto_rotate=True, rotation_interval="1h")
    rotate_when_due()
    assert db.session.scalars(sa.select(VirtualKey.rotation_count)).one() == 0
    assert "webhook_url is not set" in caplog.text
