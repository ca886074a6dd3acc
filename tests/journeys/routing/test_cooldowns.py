"""A deployment that fails is left alone for a while, by every process; callers' own mistakes do that to none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.conftest import Person, user_of
from tests.journeys.routing.models import FINE, Models, asked
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

BEHIND = {"model": FINE, "order": 2}


def config_for(provider: ScriptedProvider) -> dict[str, Any]:
    models = Models(provider)
    models.add("half-broken", {"model": "status-500", "order": 1}, BEHIND)
    models.add("half-lost", {"model": "drop", "order": 1}, BEHIND)
    models.add("half-locked", {"model": "status-403", "order": 1}, BEHIND)
    models.add("half-stuck", {"model": "hang", "order": 1, "timeout": 0.2}, BEHIND)
    models.add("quarrelsome", "status-400", "status-404", "status-422")
    models.add("all-broken", "status-500", "status-502")
    models.add("soon-back", {"model": "status-500-once", "order": 1, "cooldown_time": 0.3}, BEHIND)
    settings = {"cooldown_time": 60, "allowed_fails": 1, "allowed_fails_policy": {"AuthenticationErrorAllowedFails": 0}}
    return {"model_list": models.entries, "router_settings": settings | {"num_retries": 1}}


@pytest.fixture(scope="module")
def cooling(
    scripted: ScriptedProvider, migrated_sqlite: Any, tmp_path_factory: pytest.TempPathFactory, valkey: Any
) -> Iterator[Stack]:
    """Cooldowns stand in Redis alone, so one database is enough."""
    path = tmp_path_factory.mktemp("cooling") / "tollgate.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    with Stack(f"sqlite:///{path}", valkey.url, config_for(scripted), web=2, workers=0) as running:
        yield running


@pytest.fixture
def stack(cooling: Stack) -> Stack:
    return cooling


@pytest.fixture
def caller(stack: Stack, admin: Person) -> Person:
    return user_of(stack, admin)


@pytest.fixture
def other(caller: Person, stack: Stack) -> Person:
    return caller.at(stack.urls[1])


def cooldown(admin: Person, deployment: str) -> Any:
    (found,) = admin.get("/model/info", litellm_model_id=deployment).json()["data"]
    return found["model_info"]["cooldown"]


@pytest.mark.parametrize("model", ["half-broken", "half-lost", "half-stuck"])
def test_one_failure_more_than_is_allowed_and_no_process_asks_any_more(
    caller: Person, other: Person, provider: ScriptedProvider, model: str
) -> None:
    answers = [person.chat(model) for person in (caller, other) * 4]
    assert {answer.status_code for answer in answers} == {200}
    assert [asked(provider, f"{model}-{number}") for number in (1, 2)] == [2, 8]


def test_a_kind_of_failure_may_have_a_number_of_its_own(
    caller: Person, other: Person, provider: ScriptedProvider
) -> None:
    assert {person.chat("half-locked").status_code for person in (caller, other) * 2} == {200}
    assert asked(provider, "half-locked-1") == 1


def test_callers_own_mistakes_leave_every_deployment_where_it_is(
    caller: Person, admin: Person, provider: ScriptedProvider
) -> None:
    for _ in range(20):
        assert caller.chat("quarrelsome").status_code in {400, 404, 422}
    assert [cooldown(admin, f"quarrelsome-{number}") for number in (1, 2, 3)] == [None] * 3
    assert len(provider.calls) == 20


def test_when_all_are_left_alone_one_is_asked_all_the_same(caller: Person, provider: ScriptedProvider) -> None:
    for _ in range(5):
        assert caller.chat("all-broken").status_code in {500, 502}
    assert len(provider.calls) == 10


def test_a_deployment_is_asked_again_when_its_time_is_over(caller: Person, provider: ScriptedProvider) -> None:
    for _ in range(3):
        caller.chat("soon-back")
    provider.reset()
    assert caller.chat("soon-back").status_code == 200
    assert asked(provider, "soon-back-1") == 1


def test_an_admin_sees_which_deployments_are_left_alone_why_and_for_how_long(
    caller: Person, other: Person, admin: Person
) -> None:
    for person in (caller, other) * 2:
        person.chat("half-broken")
    told = cooldown(admin, "half-broken-1")
    assert told["reason"] == "internal"
    assert 0 < told["seconds"] <= 60
    assert cooldown(admin, "half-broken-2") is None
