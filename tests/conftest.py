"""A real Valkey, both databases and an application over them. Each xdist worker has servers of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import redis as redis_py
from flask import Flask

from app import create_app
from app.extensions import db, redis
from app.gateway import pipeline
from app.settings import Settings
from tests.services.postgres import Postgres
from tests.services.process import running
from tests.services.settings import settings_for
from tests.services.stack import migrate
from tests.services.valkey import Valkey

DATABASE = "gateway"

# No test may reach the Redis or the database that the developer's own environment names.
os.environ |= {
    "TOLLGATE_MASTER_KEY": "sk-never-used-in-any-test",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere",
}


# Stories that wait more than they work.
SLOW = ("tests/chaos", "tests/journeys", "tests/clients", "tests/local", "tests/server", "tests/limits/test_stateful")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow stories come first, so that no process has a long one left when the others have done all of theirs."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What every process of ours printed last stands below a failure."""
    report = yield
    if report.failed:
        report.sections += [(f"{process.name} (its last lines)", process.tail()) for process in running]
    return report


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """A Valkey, emptied for this test."""
    with redis_py.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    url = postgres.create(DATABASE)
    migrate(url)
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "tollgate.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def usual_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each test finds a SQLite database of its own."""
    return tmp_path_factory.mktemp("usual") / "tollgate.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, usual_sqlite: Path) -> str:
    """A migrated database without rows, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        for file in usual_sqlite.parent.iterdir():
            file.unlink()
        shutil.copy(request.getfixturevalue("migrated_sqlite"), usual_sqlite)
        return f"sqlite:///{usual_sqlite}"
    url: str = request.getfixturevalue("migrated_postgres")
    request.getfixturevalue("postgres").empty(DATABASE)
    return url


@pytest.fixture
def make_settings(database_url: str, redis_url: str) -> Callable[..., Settings]:
    """make_settings(budget_wait=0) gives Settings over this test's database and Valkey."""

    def make(**overrides: object) -> Settings:
        return settings_for(database_url, redis_url, **overrides)

    return make


@pytest.fixture
def make_app(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Flask]]:
    """make_app(budget_wait=0) gives an application over this test's database and Valkey; each stands for a process."""
    apps = []

    def make(**overrides: object) -> Flask:
        apps.append(create_app(make_settings(**overrides)))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["tollgate"].close()
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()
    if apps:
        redis.client.close()


@pytest.fixture(scope="session")
def usual_apps() -> dict[str, Flask]:
    """Applications by database: to make one takes longer than most tests."""
    return {}


@pytest.fixture
def gateway_app(make_settings: Callable[..., Settings], usual_apps: dict[str, Flask]) -> Iterator[Flask]:
    """The application, with the model mock-gpt-4o; what it keeps of callers and calls begins anew with each test."""
    settings = make_settings()
    app = usual_apps.get(settings.database_url)
    if app is None:
        app = usual_apps[settings.database_url] = create_app(settings)
    else:
        pool = app.extensions["tollgate"]._pool
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "Pool", lambda: pool)
            app.extensions["tollgate"] = pipeline.Gateway(settings, app.app_context)
        redis.init_app(settings.redis_url)
        app.extensions["celery"].set_default()
    yield app
    app.extensions["tollgate"].close()
    redis.client.close()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
