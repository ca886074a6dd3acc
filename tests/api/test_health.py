from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app.api.health import DatabaseProbe
from app.extensions import db, redis


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness"])
def test_a_living_process_says_so(bare_client: FlaskClient, path: str) -> None:
    assert bare_client.get(path).json == "I'm alive!"


def test_a_ready_gateway_says_so(client: FlaskClient) -> None:
    answer: Any = client.get("/health/readiness")
    assert (answer.status_code, answer.json) == (200, {"status": "healthy", "db": "connected", "cache": "connected"})


def test_a_gateway_without_redis_says_so(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(redis, "client", type(redis.client).from_url("redis://127.0.0.1:1", retry=None))
        answer = client.get("/health/readiness")
    assert (answer.status_code, answer.json) == (
        503,
        {"status": "unhealthy", "db": "connected", "cache": "disconnected"},
    )


class FrozenEngine:
    """A database that answers nothing until it wakes up."""

    def __init__(self) -> None:
        self.asked = 0
        self.awake = threading.Event()

    def connect(self) -> None:
        self.asked += 1
        self.awake.wait(10)
        raise sa.exc.DisconnectionError


def test_a_frozen_database_is_told_in_time_and_asked_once() -> None:
    probe, engine = DatabaseProbe(), FrozenEngine()
    began = time.monotonic()
    assert [probe.answers(engine, 0.05) for _ in range(3)] == [False] * 3  # type: ignore[arg-type]
    assert (time.monotonic() - began < 1, engine.asked) == (True, 1)
    engine.awake.set()


def test_a_database_that_woke_up_is_asked_again(bare_app: Flask) -> None:
    probe, engine = DatabaseProbe(), FrozenEngine()
    engine.awake.set()
    assert probe.answers(engine, 1) is False  # type: ignore[arg-type]
    with bare_app.app_context():
        assert probe.answers(db.engine, 1)
