"""Any one part may die in the middle of traffic: what callers see meanwhile, and that the books are right after it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import redis as redis_py
import requests
import sqlalchemy as sa

from tests.journeys.conftest import Person, config_for, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services import short_lease
from tests.services.postgres import Postgres
from tests.services.stack import Stack, migrate
from tests.services.valkey import Valkey

# Ours that say "not now, come again", and a connection that broke.
HONEST = {200, 429, 503, 0}
LONGEST_ANSWER_SECONDS = 12
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gateway'"


class Crowd:
    """Callers who do not stop calling, and what they were told."""

    def __init__(self, callers: list[Person]) -> None:
        self.told: Counter[int] = Counter()
        self.errors: list[str] = []
        self.slowest = 0.0
        self._calm = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(caller,)) for caller in callers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._calm.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: Person) -> None:
        while not self._calm.is_set():
            started = time.monotonic()
            try:
                answer = caller.chat("dime", max_tokens=100)
                status, text = answer.status_code, answer.text
            except requests.RequestException:
                status, text = 0, ""
            with self._lock:
                self.told[status] += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                if status not in HONEST:
                    self.errors.append(f"{status} {text[:300]}")
            time.sleep(0.02 if status == 200 else 0.2)


@pytest.fixture
def parts(
    database_url: str,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
    tmp_path: Path,
) -> Iterator[tuple[Stack, Valkey]]:
    """A stack over a Valkey of its own, which writes everything down before it answers."""
    with (
        Valkey(tmp_path, durable=True) as valkey,
        Stack(
            database_url, valkey.url, config_for(scripted), web=2, workers=1, application=short_lease.APPLICATION
        ) as stack,
    ):
        yield stack, valkey


def books_are_right(stack: Stack, provider: ScriptedProvider, user_id: str) -> None:
    """Calls that the provider served = rows; their cost = every balance shown."""
    admin = Person(stack.master_key, stack.urls[0])

    def page(number: int) -> Any:
        return admin.get("/spend/logs", user_id=user_id, page_size=1000, page=number)

    def booked() -> int:
        # A part that has just come back may still say 503.
        return int(page(1).headers.get("x-total-count", -1))

    until(lambda: booked() >= len(provider.calls), seconds=45)
    rows = [row for number in range(1, booked() // 1000 + 2) for row in page(number).json()]
    # A process that is killed between admission and provider leaves a row of a call that the provider never saw.
    on_their_way = sum(row["status"] == "abandoned" for row in rows)
    assert len(provider.calls) <= len(rows) <= len(provider.calls) + on_their_way
    total = round(sum(row["spend"] for row in rows), 9)
    until(lambda: admin.get("/user/info", user_id=user_id).json()["user_info"]["spend"] == total)


@contextmanager
def traffic(stack: Stack, user_id: str, web: Callable[[int], int] = lambda number: number % 2) -> Iterator[Crowd]:
    """Six callers of one user at both web processes."""
    caller = user_of(stack, Person(stack.master_key, stack.urls[0]), user_id=user_id, max_budget=1000)
    with Crowd([caller.at(stack.urls[web(number)]) for number in range(6)]) as crowd:
        until(lambda: crowd.told[200] >= 10)
        yield crowd
        served = crowd.told[200]
        until(lambda: crowd.told[200] >= served + 20, seconds=40)


def check(crowd: Crowd) -> None:
    assert crowd.errors == []
    assert crowd.slowest < LONGEST_ANSWER_SECONDS


def test_valkey_frozen(parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str) -> None:
    stack, valkey = parts
    with traffic(stack, ada) as crowd:
        valkey.stop()
        time.sleep(2)
        valkey.cont()
    check(crowd)
    assert crowd.told[503] > 0
    books_are_right(stack, provider, ada)


def test_valkey_killed_and_back_with_its_data(
    parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str
) -> None:
    stack, valkey = parts
    with traffic(stack, ada) as crowd:
        valkey.kill()
        time.sleep(1)
        valkey.start()
    check(crowd)
    books_are_right(stack, provider, ada)


def test_valkey_emptied(parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str) -> None:
    stack, valkey = parts
    with traffic(stack, ada) as crowd, redis_py.Redis.from_url(valkey.url) as client:
        client.flushall()
    check(crowd)
    books_are_right(stack, provider, ada)


def test_a_worker_killed(parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str) -> None:
    stack, _ = parts
    with traffic(stack, ada) as crowd:
        stack.workers[0].kill()
        time.sleep(1)
        stack.workers[0].start()
    check(crowd)
    books_are_right(stack, provider, ada)


def test_a_web_process_killed(parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str) -> None:
    stack, _ = parts
    with traffic(stack, ada) as crowd:
        stack.kill(1)
        time.sleep(0.5)
        stack.web[1].start()
    check(crowd)
    books_are_right(stack, provider, ada)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def parts_on_postgres(
    own_postgres: Postgres,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
    tmp_path: Path,
) -> Iterator[Stack]:
    url = own_postgres.create("gateway")
    migrate(url)
    with Valkey(tmp_path) as valkey, Stack(url, valkey.url, config_for(scripted), web=2, workers=1) as stack:
        yield stack


@pytest.mark.parametrize("fault", ["frozen", "killed", "cut"])
def test_postgresql(
    parts_on_postgres: Stack, own_postgres: Postgres, provider: ScriptedProvider, ada: str, fault: str
) -> None:
    stack = parts_on_postgres
    with traffic(stack, ada) as crowd:
        if fault == "frozen":
            own_postgres.process.stop()
            time.sleep(6)
            own_postgres.process.cont()
        elif fault == "killed":
            own_postgres.process.kill()
            time.sleep(1)
            own_postgres.process.start()
        else:
            own_postgres.execute(CUT)
    check(crowd)
    # Known callers are answered without SQL.
    assert set(crowd.told) == {200}
    books_are_right(stack, provider, ada)


def test_an_unknown_key_is_told_503_and_not_401_while_sql_is_down(
    parts_on_postgres: Stack, own_postgres: Postgres
) -> None:
    stack = parts_on_postgres
    caller = user_of(stack, Person(stack.master_key, stack.urls[0]))
    own_postgres.process.stop()
    started = time.monotonic()
    answer = caller.chat("dime")
    took = time.monotonic() - started
    own_postgres.process.cont()
    assert (answer.status_code, answer.headers["Retry-After"], took < 8) == (503, "2", True)
    until(lambda: caller.chat("dime").status_code == 200)


def test_a_call_that_ends_while_valkey_is_gone_is_in_sql_before_it_returns(
    parts: tuple[Stack, Valkey], provider: ScriptedProvider, database_url: str, ada: str
) -> None:
    stack, valkey = parts
    caller = user_of(stack, Person(stack.master_key, stack.urls[0]), user_id=ada, max_budget=1)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(caller.chat, "slow-dime", max_tokens=100)
        until(lambda: provider.in_flight == 1)
        valkey.kill()
        assert answer.result().status_code == 200
    until(lambda: rows_in_sql(database_url, ada) == 1)
    stack.kill(0)
    valkey.start()
    admin = Person(stack.master_key, stack.urls[1])
    until(lambda: admin.get("/user/info", user_id=ada).json()["user_info"]["spend"] == 0.1)


def rows_in_sql(url: str, user_id: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = sa.text("SELECT count(*) FROM ledger WHERE user_id = :user_id")
        found = int(connection.execute(query, {"user_id": user_id}).scalar_one())
    engine.dispose()
    return found


def test_an_emptied_valkey_lets_nobody_past_a_budget(
    parts: tuple[Stack, Valkey], provider: ScriptedProvider, ada: str
) -> None:
    stack, valkey = parts
    admin = Person(stack.master_key, stack.urls[0])
    caller = user_of(stack, admin, user_id=ada, max_budget=1)
    caller.chat("dime", max_tokens=100)
    until(lambda: admin.get("/user/info", user_id=ada).json()["user_info"]["spend"] == 0.1)
    with Crowd([caller.at(stack.urls[number % 2]) for number in range(12)]) as crowd:
        until(lambda: len(provider.calls) >= 4)
        with redis_py.Redis.from_url(valkey.url) as client:
            client.flushall()
        until(lambda: admin.get("/user/info", user_id=ada).json()["user_info"]["spend"] >= 1)
    check(crowd)
    time.sleep(2)
    spend = admin.get("/user/info", user_id=ada).json()["user_info"]["spend"]
    assert (spend, len(provider.calls)) == (1.0, 10)
