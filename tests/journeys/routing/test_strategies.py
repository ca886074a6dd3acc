"""Where calls go, by strategies that all processes have to agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.journeys.conftest import Person, user_of
from tests.journeys.routing.models import FINE, Models, asked
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def config_for(provider: ScriptedProvider, strategy: str) -> dict[str, Any]:
    models = Models(provider)
    models.add("weighted", {"model": FINE, "weight": 1}, {"model": FINE, "weight": 0})
    models.add("twins", f"{FINE}-slow-0.5", f"{FINE}-slow-0.5")
    models.add("unequal", f"{FINE}-slow-0.3", FINE)
    models.add(
        "priced", {"model": FINE, "output_cost_per_token": 0.002}, {"model": FINE, "output_cost_per_token": 0.001}
    )
    models.add("hungry", "tokens-500-500", FINE)
    return {"model_list": models.entries, "router_settings": {"routing_strategy": strategy}}


@pytest.fixture
def stack(
    request: pytest.FixtureRequest,
    scripted: ScriptedProvider,
    migrated_sqlite: Any,
    tmp_path: Any,
    redis_url: str,
) -> Iterator[Stack]:
    """Two processes that agree through Redis; SQL has no part in this."""
    path = tmp_path / "tollgate.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    with Stack(f"sqlite:///{path}", redis_url, config_for(scripted, request.param), web=2, workers=0) as running:
        yield running


@pytest.fixture
def everywhere(stack: Stack, admin: Person) -> list[Person]:
    """A caller at each process."""
    caller = user_of(stack, admin)
    return [caller.at(url) for url in stack.urls]


def shares(provider: ScriptedProvider, model: str) -> list[int]:
    return [asked(provider, f"{model}-{number}") for number in (1, 2)]


def call(people: list[Person], model: str, times: int) -> Counter[int]:
    """One after the other, at the processes by turns."""
    return Counter(people[number % 2].chat(model, max_tokens=10).status_code for number in range(times))


@pytest.mark.parametrize("stack", ["simple-shuffle"], indirect=True)
def test_a_deployment_without_weight_gets_no_calls_of_one_that_answers(
    everywhere: list[Person], provider: ScriptedProvider
) -> None:
    assert call(everywhere, "weighted", 20) == {200: 20}
    assert shares(provider, "weighted") == [20, 0]


@pytest.mark.parametrize("stack", ["least-busy"], indirect=True)
def test_the_least_busy_is_the_same_for_all_processes(everywhere: list[Person], provider: ScriptedProvider) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: everywhere[number % 2].chat("twins").status_code, range(8)))
    assert told == [200] * 8
    assert shares(provider, "twins") == [4, 4]


@pytest.mark.parametrize("stack", ["latency-based-routing"], indirect=True)
def test_the_fastest_is_the_same_for_all_processes(everywhere: list[Person], provider: ScriptedProvider) -> None:
    # The first two calls make both known, whichever process makes them.
    assert call(everywhere, "unequal", 12) == {200: 12}
    assert shares(provider, "unequal") == [1, 11]


@pytest.mark.parametrize("stack", ["cost-based-routing"], indirect=True)
def test_the_cheapest_is_called(everywhere: list[Person], provider: ScriptedProvider) -> None:
    assert call(everywhere, "priced", 10) == {200: 10}
    assert shares(provider, "priced") == [0, 10]


@pytest.mark.parametrize("stack", ["usage-based-routing-v2"], indirect=True)
def test_the_least_used_is_the_same_for_all_processes(everywhere: list[Person], provider: ScriptedProvider) -> None:
    assert call(everywhere, "hungry", 12) == {200: 12}
    # One answer of the first uses more tokens than all of the second's.
    assert shares(provider, "hungry")[0] == 1
