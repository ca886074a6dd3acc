"""All that the load needs and the faults break: a database, a durable Valkey, a provider, two webs, two workers."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.local.checks import answers
from app.local.valkey import free_port
from tests.chaos.models import config
from tests.services import short_lease
from tests.services.postgres import Postgres
from tests.services.process import Process
from tests.services.stack import Stack, migrate
from tests.services.valkey import Valkey


@dataclass
class World:
    """`postgres` is None where the database is SQLite."""

    database_url: str
    postgres: Postgres | None
    valkey: Valkey
    stack: Stack
    provider_url: str


@contextmanager
def world(database: str) -> Iterator[World]:
    """A running one over "sqlite" or "postgresql"; afterwards all of it is gone."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="tollgate-chaos-"))
        stack.callback(shutil.rmtree, directory)
        postgres = stack.enter_context(Postgres()) if database == "postgresql" else None
        url = postgres.create("chaos") if postgres else f"sqlite:///{directory}/tollgate.db"
        migrate(url)
        valkey = stack.enter_context(Valkey(directory, durable=True))
        provider_url = stack.enter_context(provider(directory))
        gateway = stack.enter_context(
            Stack(url, valkey.url, config(provider_url), web=2, workers=2, application=short_lease.APPLICATION)
        )
        yield World(url, postgres, valkey, gateway, provider_url)


@contextmanager
def provider(directory: Path) -> Iterator[str]:
    """The scripted provider in a process of its own; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tests.scripted_provider", "--port", str(port)]
    with Process(
        "provider",
        command,
        directory / "provider.log",
        environ=os.environ,
        ready=lambda: answers("127.0.0.1", port, "/__stats"),
    ):
        yield f"http://127.0.0.1:{port}"
