"""What a process keeps in memory: the modules that it has loaded once it is ready, in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from tempfile import TemporaryDirectory

import pytest

from tests.services.stack import REPOSITORY

WEB = "import app; app.create_app()"
WORKER = "import worker.child, celery.apps.worker, celery.worker.consumer, celery.concurrency.solo"
KEEPER = "import worker.__main__"
SUPERVISOR = "import app.local.__main__"


@cache
def loaded(program: str) -> set[str]:
    """The names of all modules after that program."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "DATABASE_URL": "sqlite:///tollgate.db",
        "PYTHONPATH": str(REPOSITORY),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "TOLLGATE_MASTER_KEY": "sk-never-used-in-any-test",
    }
    command = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"]
    with TemporaryDirectory() as directory:
        shown = subprocess.run(command, cwd=directory, env=environ, capture_output=True, check=True, timeout=60)
    return set(shown.stdout.decode().split())


@pytest.mark.parametrize("name", ["app.api", "app.gateway", "app.providers", "flask_smorest", "gevent"])
def test_the_worker_has_loaded_nothing_that_only_answers_calls(name: str) -> None:
    assert "worker.settle" in loaded(WORKER)
    assert name not in loaded(WORKER)


@pytest.mark.parametrize("program", [WEB, WORKER])
def test_nobody_has_loaded_parquet_before_it_is_asked_for(program: str) -> None:
    assert "app.ledger.post" in loaded(program)
    assert "pyarrow" not in loaded(program)


@pytest.mark.parametrize("name", ["genai_prices", "pydantic", "pydantic_core"])
def test_the_web_server_has_a_price_list_and_has_not_loaded_what_it_is_made_of(name: str) -> None:
    assert "app.ledger.listed.find" in loaded(WEB)
    assert name not in loaded(WEB)


def test_the_web_server_has_not_loaded_cryptography_before_there_is_a_secret_to_seal_or_open() -> None:
    assert "app.gateway.credentials" in loaded(WEB)
    assert "app.providers.google_tokens" in loaded(WEB)
    assert "cryptography.hazmat" not in loaded(WEB)


@pytest.mark.parametrize("program", [WEB, WORKER])
def test_who_has_sqlite_has_not_loaded_what_only_postgresql_needs(program: str) -> None:
    assert "sqlite3" in loaded(program)
    assert not {"psycopg", "sqlalchemy.dialects.postgresql"} & loaded(program)


def test_the_worker_has_loaded_nothing_of_celery_s_prompts() -> None:
    assert "celery.worker.consumer" in loaded(WORKER)
    assert "prompt_toolkit" not in loaded(WORKER)


def test_who_watches_over_the_worker_has_loaded_next_to_nothing() -> None:
    ours = {name for name in loaded(KEEPER) if name.partition(".")[0] in {"app", "worker"}}
    assert ours == {"app", "app.local", "app.local.endings", "worker", "worker.__main__", "worker.keeper"}
    large = {"celery", "ctypes", "flask", "logging", "pathlib", "redis", "sqlalchemy", "subprocess", "threading"}
    assert not large & loaded(KEEPER)


def test_nothing_of_celery_s_pool_of_processes_is_loaded_into_the_worker() -> None:
    assert not {"celery.concurrency.prefork", "celery.concurrency.asynpool"} & loaded(WORKER)


@pytest.mark.parametrize(
    "name", ["sqlalchemy", "psycopg", "redis", "flask", "celery", "gevent", "http.client", "yaml", "app.settings"]
)
def test_the_supervisor_has_loaded_nothing_but_what_it_takes_to_start_and_watch(name: str) -> None:
    assert "app.local.supervisor" in loaded(SUPERVISOR)
    assert name not in loaded(SUPERVISOR)
