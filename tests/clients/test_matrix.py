"""Every cell of the client matrix: a real client sees through the gateway what it sees at the provider itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.asked import CASES, Case, of_the_other_vendor
from tests.clients.conftest import OPENAI_KEY, Running
from tests.clients.matrix import CLIENTS, README, Client, cells, with_table
from tests.journeys.conftest import Person
from tests.journeys.waiting import until
from tests.scripted_answers import Call
from tests.scripted_provider import ScriptedProvider

# These have tests of their own, in test_refusals.py.
CELLS = [pytest.param(*cell, id=f"{cell[0].name}: {cell[1]}") for cell in cells("errors", "retries")]
every_cell = pytest.mark.parametrize(("client", "capability"), CELLS)
Start = Callable[[Client], Running]


def expected(case: Case, seen: dict[str, Any]) -> dict[str, Any]:
    """Of what is to be seen, that which the client lets its callers see."""
    return {name: value for name, value in case.seen.items() if name in seen}


def body(call: Call) -> bytes:
    """As it came; each form has its own words between its parts."""
    boundary = re.search("boundary=(.+)", call.headers.get("content-type", ""))
    return call.raw.replace(boundary[1].encode(), b"boundary") if boundary else call.raw


@every_cell
def test_the_scripted_provider_speaks_as_the_client_understands_it(
    client: Client, capability: str, running: Start, provider: ScriptedProvider
) -> None:
    case = CASES[capability]
    answer = running(client).ask(capability, provider.url, OPENAI_KEY, case.model)
    assert answer.get("seen") == expected(case, answer.get("seen", case.seen)), answer
    assert len(provider.calls) == case.calls


@every_cell
def test_the_client_and_the_provider_see_no_difference_and_every_call_is_booked(
    client: Client, capability: str, running: Start, provider: ScriptedProvider, person: Callable[..., Person]
) -> None:
    case, caller = CASES[capability], person()
    direct = running(client).ask(capability, provider.url, OPENAI_KEY, case.model)
    bodies = [body(call) for call in provider.calls]
    provider.reset()
    answer = running(client).ask(capability, caller.url, caller.secret, case.model)
    assert answer.get("seen") == direct["seen"], answer
    assert [body(call) for call in provider.calls] == bodies
    until(lambda: len(caller.get("/spend/logs").json()) >= case.calls)
    assert [row["status"] for row in caller.get("/spend/logs").json()] == ["success"] * case.calls


def test_usage_is_asked_for_and_hidden_from_a_client_that_did_not_ask(
    running: Start, provider: ScriptedProvider, person: Callable[..., Person]
) -> None:
    (sdk, caller) = (running(CLIENTS[0]), person())
    sdk.ask("quiet stream", provider.url, OPENAI_KEY, "gpt-4o-mini")
    answer = sdk.ask("quiet stream", caller.url, caller.secret, "gpt-4o-mini")
    assert answer["seen"] == {"choices": True, "usage": False}
    plain, asking = (json.loads(call.raw) for call in provider.calls)
    assert asking == plain | {"stream_options": {"include_usage": True}}


def test_a_client_lists_the_models_that_its_key_may_use(running: Start, person: Callable[..., Person]) -> None:
    caller = person(models=["sonnet"])
    assert running(CLIENTS[0]).ask("models", caller.url, caller.secret, "")["seen"] == ["sonnet"]


@pytest.mark.parametrize(
    ("client", "capability"),
    [
        pytest.param(client, capability, id=f"{client.name}: {capability}")
        for client in CLIENTS
        for capability in client.crosses
    ],
)
def test_the_client_sees_no_difference_when_the_model_is_the_other_vendors(
    client: Client, capability: str, running: Start, provider: ScriptedProvider, person: Callable[..., Person]
) -> None:
    case, caller = CASES[capability], person()
    answer = running(client).ask(capability, caller.url, caller.secret, of_the_other_vendor(case.model))
    assert answer.get("seen") == expected(case, answer.get("seen", case.seen)), answer
    theirs = "chat/completions" if case.model.startswith("claude") else "messages"
    assert {call.route for call in provider.calls} == {theirs}


def test_the_readme_has_the_table_that_these_tests_make() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme == with_table(readme), "python -m tests.clients.matrix writes it anew"
