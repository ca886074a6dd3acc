from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app.local import checks
from app.local.valkey import free_port


def test_a_free_port_is_no_problem() -> None:
    assert checks.port_problem("127.0.0.1", str(free_port())) is None


@pytest.mark.parametrize("listener", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_with_the_way_out(listener: str) -> None:
    with socket.create_server((listener, 0)) as server:
        port = server.getsockname()[1]
        assert checks.port_problem("127.0.0.1", str(port)) == f"port {port} is taken; choose another with PORT=…"


@pytest.mark.parametrize("port", ["", "http", "-1", "0", "65536", "4000.0"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    assert checks.port_problem("127.0.0.1", port) == f"PORT: got {port!r}, expected a number from 1 to 65535"


def test_a_redis_that_answers_is_no_problem(redis_url: str) -> None:
    assert checks.redis_problem(redis_url) is None


def test_a_redis_that_does_not_answer_is_named_without_its_password() -> None:
    problem = checks.redis_problem(f"redis://:hush@127.0.0.1:{free_port()}/0")
    assert problem
    assert problem.startswith("REDIS_URL: redis://127.0.0.1:")
    assert "does not answer" in problem
    assert "hush" not in problem
    assert "\n" not in problem


def test_a_database_that_answers_is_no_problem(database_url: str) -> None:
    assert checks.database_problem(database_url) is None


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    problem = checks.database_problem(f"postgresql+psycopg://ada:hush@127.0.0.1:{free_port()}/gateway")
    assert problem
    assert problem.startswith("DATABASE_URL: postgresql+psycopg://127.0.0.1:")
    assert "hush" not in problem
    assert "\n" not in problem


def test_a_database_file_in_no_directory_is_named(tmp_path: Path) -> None:
    problem = checks.database_problem(f"sqlite:///{tmp_path}/missing/tollgate.db")
    assert problem
    assert "unable to open database file" in problem


def test_nobody_answers_at_a_free_port() -> None:
    assert not checks.answers("127.0.0.1", free_port(), "/health/readiness")


@pytest.mark.parametrize(
    ("bind", "host"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("10.0.0.7", "10.0.0.7")]
)
def test_a_server_is_reached_where_it_listens(bind: str, host: str) -> None:
    assert checks.own_host(bind) == host
