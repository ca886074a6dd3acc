from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from app import create_app
from app.extensions import db, redis
from app.settings import Settings
from tests.webhook_receiver import Receiver

WEBHOOK_KEY = b"a-secret-of-the-webhooks"


@pytest.fixture
def gateway_app(make_app: Callable[..., Flask]) -> Flask:
    """An application of the test's own: what the worker does shares nothing with other tests."""
    return make_app()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def telling_app(make_settings: Callable[..., Settings], receiver: Receiver) -> Iterator[Flask]:
    """An application with a receiver of webhooks, in its context."""
    app = create_app(make_settings(webhook_url=receiver.url, webhook_key=WEBHOOK_KEY))
    with app.app_context():
        yield app
        db.session.rollback()
        db.engine.dispose()
    app.extensions["tollgate"].close()
    redis.client.close()
