from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.extensions import write_transaction
from app.models import Balance
from app.settings import Settings

BARE_MASTER_KEY = "sk-master-of-a-bare-gateway"

# Any: what stands in an answer's JSON is for each test to say.
Ask = Callable[..., Any]


@pytest.fixture
def client(gateway_app: Flask) -> FlaskClient:
    return gateway_app.test_client()


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    """ask("sk-...", "/key/info") reads, ask("sk-...", "/user/new", {...}) posts."""
    return asking(client)


@pytest.fixture
def bare_app(redis_url: str) -> Flask:
    """A gateway without tables, for what is decided before any of them is read."""
    return create_app(Settings(master_key=BARE_MASTER_KEY, database_url="sqlite://", redis_url=redis_url))


@pytest.fixture
def bare_client(bare_app: Flask) -> FlaskClient:
    return bare_app.test_client()


@pytest.fixture
def bare_admin(bare_client: FlaskClient) -> Ask:
    """As `admin`, without tables."""
    return partial(asking(bare_client), BARE_MASTER_KEY)


def asking(client: FlaskClient) -> Ask:
    def send(secret: str, path: str, body: Any = None, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        if body is None:
            return client.get(path, query_string=query, headers=headers)
        return client.post(path, json=body, headers=headers)

    return send


@pytest.fixture
def master(gateway_app: Flask) -> str:
    key: str = gateway_app.extensions["tollgate"].settings.master_key
    return key


@pytest.fixture
def admin(ask: Ask, master: str) -> Ask:
    """As `ask`, with the master key."""
    return partial(ask, master)


@pytest.fixture
def spent(gateway_app: Flask) -> Callable[..., None]:
    """spent("user:ada", 1_000_000_000): what the worker would have booked."""

    def book(meter: str, nano: int, window_start: int = 0) -> None:
        with gateway_app.app_context(), write_transaction() as session:
            session.add(Balance(meter=meter, window_start=window_start, spend=nano, version=1))

    return book
