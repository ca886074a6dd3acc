"""Calls that share one connection to Redis each get their own answer, whatever happens to the others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis as redis_py
from redis.exceptions import RedisError, ResponseError

from app.extensions import redis
from app.limits.line import IDLE_SECONDS, Line
from tests.services.valkey import Valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that a test may freeze."""
    with Valkey(tmp_path) as running:
        yield running
        redis.client.close()


@pytest.fixture
def line(server: Valkey) -> Line:
    redis.init_app(server.url)
    return Line()


def test_everybody_gets_the_own_answer(line: Line) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: line.ask("ECHO", str(number)), range(2000)))
    assert answers == [str(number).encode() for number in range(2000)]


def test_commands_that_come_together_share_a_connection(line: Line, server: Valkey) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: line.ask("ECHO", str(number)), range(200)))
    with redis_py.Redis.from_url(server.url) as other:
        assert len(other.client_list()) == 2


def test_an_error_belongs_to_its_command(line: Line) -> None:
    def ask(number: int) -> object:
        try:
            return line.ask("ECHO", str(number)) if number % 2 else line.ask("NONSENSE")
        except ResponseError:
            return "refused"

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(400)))
    assert answers == [str(number).encode() if number % 2 else "refused" for number in range(400)]


def test_a_connection_that_was_closed_in_silence_is_made_anew(line: Line, server: Valkey) -> None:
    line.ask("PING")
    with redis_py.Redis.from_url(server.url) as other:
        other.client_kill_filter(_type="normal", skipme=True)
    time.sleep(IDLE_SECONDS + 0.1)
    assert line.ask("PING") == b"PONG"


def test_nobody_hangs_while_redis_is_frozen(line: Line, server: Valkey) -> None:
    line.ask("PING")
    server.stop()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(line.ask, "PING") for _ in range(16)]
    server.cont()
    assert all(isinstance(one.exception(), RedisError) for one in asked)
    assert line.ask("PING") == b"PONG"


def test_a_late_answer_is_never_taken_for_the_next_ones(line: Line, server: Valkey) -> None:
    line.ask("PING")
    server.stop()
    with pytest.raises(RedisError):
        line.ask("ECHO", "late")
    server.cont()
    assert line.ask("ECHO", "new") == b"new"


def test_another_pool_means_another_connection(line: Line, server: Valkey) -> None:
    line.ask("PING")
    redis.client.close()
    redis.init_app(server.url)
    assert line.ask("PING") == b"PONG"


KILLED_WHILE_THEY_WAIT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from app.extensions import redis
from app.limits.line import Line
redis.init_app(sys.argv[1], 5)
line = Line()
line.ask("PING")
for _ in range(50):
    asking = [gevent.spawn(line.ask, "EVAL", "for i = 1, 20000 do end return 1", 0) for _ in range(8)]
    gevent.sleep(0)
    gevent.killall(asking[::2], block=False)
    gevent.joinall(asking, timeout=10)
    assert all(one.ready() for one in asking), "somebody waits for one who is gone"
assert line.ask("PING") == b"PONG"
"""


def test_nobody_waits_for_a_call_that_was_ended(server: Valkey) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_THEY_WAIT, server.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["threads", "gevent"])
def test_a_line_over_tls_gives_everybody_the_own_answer(server: Valkey, way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.limits.over_tls", way, server.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout) == (0, "16 of 16"), done.stderr
