"""The catalog that a process keeps: when it looks again, and what goes on when it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.access import policy
from app.errors import DatabaseUnavailable
from app.extensions import redis
from app.gateway.deployments import TAKEN, StoredDeployments
from app.gateway.models import Models
from app.model_list import Deployment
from app.settings import Settings
from tests.journeys.waiting import until
from tests.people import Someone

GIVEN = {
    "model_name": "stored",
    "litellm_params": {"model": "gpt-4o", "mock_response": "Hi"},
    "model_info": {"id": "a"},
}


def models_of(app: Flask) -> Models:
    models: Models = app.extensions["tollgate"].models
    return models


@contextmanager
def database_down() -> Iterator[list[None]]:
    """Gives a list that grows with every attempt to read."""
    attempts: list[None] = []

    def fail(_self: StoredDeployments) -> list[Any]:
        attempts.append(None)
        raise DatabaseUnavailable("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredDeployments, "all", fail)
        yield attempts


@pytest.fixture
def app(gateway_app: Flask) -> Iterator[Flask]:
    with gateway_app.app_context():
        yield gateway_app


@pytest.fixture
def models(app: Flask) -> Models:
    """Knows one stored deployment, "stored"."""
    models = models_of(app)
    models.stored.create(GIVEN)
    models.look()
    return models


def edited() -> None:
    with policy.editing(["models"]):
        pass


def ask(app: Flask, model: str, secret: str | None = None) -> Any:
    headers = {"x-api-key": secret or app.extensions["tollgate"].settings.master_key}
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return app.test_client().post("/v1/chat/completions", json=body, headers=headers)


def test_nothing_is_read_while_nothing_changes(models: Models) -> None:
    kept = models.kept()
    with database_down() as attempts:
        assert models.look() is kept
    assert attempts == []


def test_another_process_sees_a_change_on_its_next_call(make_app: Callable[..., Flask]) -> None:
    one, other = make_app(), make_app()
    assert ask(other, "stored").status_code == 404
    with one.app_context():
        models_of(one).stored.create(GIVEN)
    assert ask(other, "stored").status_code == 200
    with one.app_context():
        models_of(one).stored.delete("a")
    assert ask(other, "stored").status_code == 404


def test_what_was_read_during_an_edit_is_not_kept(models: Models) -> None:
    with policy.editing(["models"]):
        assert models.look() is not models.look()
    assert models.look() is models.look()


def test_with_the_database_down_what_is_kept_goes_on(app: Flask, models: Models) -> None:
    edited()
    with database_down() as attempts:
        assert ask(app, "stored").status_code == 200
    assert len(attempts) == 1
    assert models.look().catalog.names() == ("mock-gpt-4o", "stored")


def test_a_known_caller_goes_on_with_the_database_down(app: Flask) -> None:
    ada = Someone(app)
    assert ada.call().status_code == 200
    with database_down():
        assert ada.call().status_code == 200


@pytest.mark.usefixtures("models")
def test_nobody_is_told_that_a_model_does_not_exist_by_a_process_that_cannot_know(app: Flask) -> None:
    assert ask(app, "nope").status_code == 404
    edited()
    with database_down():
        assert ask(app, "nope").status_code == 503


def test_a_process_that_never_read_the_database_has_the_models_of_config_yaml(app: Flask) -> None:
    with database_down():
        assert ask(app, "mock-gpt-4o").status_code == 200
        assert models_of(app).listed().names() == ("mock-gpt-4o",)


def test_a_process_that_could_not_read_reads_as_soon_as_it_can(app: Flask) -> None:
    models_of(app).stored.create(GIVEN)
    with database_down():
        assert ask(app, "stored").status_code == 503
    assert ask(app, "stored").status_code == 200


def test_with_redis_down_what_is_kept_is_listed(models: Models) -> None:
    edited()
    redis.init_app("redis://127.0.0.1:1/0")
    assert models.listed().names() == ("mock-gpt-4o", "stored")


def test_of_many_calls_that_see_an_edit_one_reads(app: Flask, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    edited()
    read, may_go, readings = StoredDeployments.all, threading.Event(), list[None]()

    def slowly(self: StoredDeployments) -> list[Any]:
        readings.append(None)
        assert may_go.wait(10)
        return read(self)

    monkeypatch.setattr(StoredDeployments, "all", slowly)

    def look() -> tuple[str, ...]:
        with app.app_context():
            return models.look().catalog.names()

    with ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(look) for _ in range(8)]
        until(lambda: readings != [])
        may_go.set()
        assert {one.result() for one in looks} == {("mock-gpt-4o", "stored")}
    assert len(readings) == 1


class Door:
    """A lock that knows how many have come to it."""

    def __init__(self) -> None:
        self.came: list[None] = []
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.came.append(None)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_of_many_calls_that_wait_for_a_dead_database_one_asks_it(
    app: Flask, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited()
    door, may_go, attempts = Door(), threading.Event(), list[None]()

    def fail(_self: StoredDeployments) -> list[Any]:
        attempts.append(None)
        assert may_go.wait(10)
        raise DatabaseUnavailable("down")

    def again() -> tuple[str, ...]:
        with app.app_context():
            return models.again().catalog.names()

    monkeypatch.setattr(models, "_reading", door)
    monkeypatch.setattr(StoredDeployments, "all", fail)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(again) for _ in range(8)]
        until(lambda: len(door.came) == 8)
        may_go.set()
        assert {one.result() for one in waiting} == {("mock-gpt-4o", "stored")}
    assert len(attempts) == 1


# --- under other settings


def with_model(app: Flask, identity: str) -> Settings:
    """The application's settings with a deployment more in config.yaml."""
    settings: Settings = app.extensions["tollgate"].settings
    more = Deployment(identity, "of-the-file", "mock", "gpt-4o", mock_response="Hi")
    return replace(settings, deployments=(*settings.deployments, more))


def test_other_settings_leave_the_stored_ones_known_without_asking_the_database(app: Flask, models: Models) -> None:
    with database_down() as attempts:
        after = Models(with_model(app, "b"), models.known)
        assert after.kept().catalog.names() == ("mock-gpt-4o", "of-the-file", "stored")
    assert attempts == []


def test_another_default_price_is_that_of_stored_ones_too(app: Flask, models: Models) -> None:
    settings = replace(app.extensions["tollgate"].settings, default_price=(("input", Decimal("0.001")),))
    after, at_start = Models(settings, models.known).kept(), Models(settings).look()
    assert after.catalog.all() == at_start.catalog.all() != models.known.catalog.all()


def test_a_stored_one_whose_id_the_file_takes_is_off_as_at_a_start(app: Flask, models: Models) -> None:
    settings = with_model(app, "a")
    after, at_start = Models(settings, models.known).kept(), Models(settings).look()
    assert after.catalog.all() == at_start.catalog.all()
    assert after.catalog.off_reason("stored") == TAKEN


def test_a_stored_one_whose_id_the_file_gives_back_is_called_again(app: Flask, models: Models) -> None:
    settings: Settings = app.extensions["tollgate"].settings
    taken = Models(with_model(app, "a"), models.known)
    assert Models(settings, taken.known).kept().catalog.names() == ("mock-gpt-4o", "stored")
