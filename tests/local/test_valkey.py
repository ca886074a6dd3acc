from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.local import valkey
from app.local.checks import redis_problem
from app.local.home import Home
from tests.services.process import Process


@contextmanager
def running(directory: Path) -> Iterator[valkey.Valkey]:
    server, command = valkey.prepare(Home(directory))
    with Process("valkey", command, directory / "out.log", environ={}, ready=lambda: redis_problem(server.url) is None):
        yield server


def client(server: valkey.Valkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / 'a "home" with a blank'


def test_data_password_and_port_are_there_after_a_restart(directory: Path) -> None:
    with running(directory) as first, client(first) as connection:
        connection.set("kept", "yes")
    with running(directory) as second, client(second) as connection:
        assert connection.get("kept") == "yes"
    assert second == first


def test_nobody_gets_in_without_the_password(directory: Path) -> None:
    with (
        running(directory) as server,
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_it_takes_another_port_when_its_own_is_taken(directory: Path) -> None:
    with running(directory) as first:
        server, _ = valkey.prepare(Home(directory))
    assert server.port != first.port


def test_it_forgets_nothing_for_want_of_memory_and_writes_every_second(directory: Path) -> None:
    with running(directory) as server, client(server) as connection:
        settings = connection.config_get("*")
    chosen = [settings[name] for name in ("maxmemory-policy", "appendonly", "appendfsync")]
    assert chosen == ["noeviction", "yes", "everysec"]


def test_what_was_written_survives_kill_9(directory: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running(directory))
        connection = stack.enter_context(client(server))
        connection.set("kept", "yes")
        os.kill(int(connection.info("server")["process_id"]), signal.SIGKILL)
    with running(directory) as again, client(again) as connection:
        assert connection.get("kept") == "yes"
