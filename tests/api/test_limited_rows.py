"""What can be limited takes the same limits everywhere: sent, shown, changed and cleared alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

Ask = Callable[..., Any]
LIMITS: dict[str, Any] = {
    "max_budget": 5.0,
    "soft_budget": 4.0,
    "strict": True,
    "budget_duration": "1mo",
    "timezone": "Europe/Berlin",
    "week_start": "sunday",
    "rollover": True,
    "max_parallel_requests": 3,
    "queue_timeout": 2.5,
    "rpm_limit": 60,
    "tpm_limit": 1000,
    "alert_thresholds": [50, 90],
}
CLEARED = dict.fromkeys(LIMITS) | {"strict": False, "rollover": False}


class Kind:
    """How one kind is made, changed and read."""

    def __init__(self, new: str, update: str, read: Callable[[Any], Any], reference: dict[str, Any]) -> None:
        self.new, self.update, self.read, self.reference = new, update, read, reference


KINDS = {
    "user": Kind("/user/new", "/user/update", lambda answer: answer.get("data", answer), {"user_id": "ada"}),
    "key": Kind("/key/generate", "/key/update", lambda answer: answer, {"key": "sk-of-somebody-0123"}),
    "team": Kind("/team/new", "/team/update", lambda answer: answer.get("data", answer), {"team_id": "blue"}),
    "customer": Kind("/customer/new", "/customer/update", lambda answer: answer, {"user_id": "c"}),
    "budget": Kind("/budget/new", "/budget/update", lambda answer: answer, {"budget_id": "free"}),
    "member": Kind(
        "/team/member_add",
        "/team/member_update",
        lambda answer: answer.get("updated_team_memberships", [answer])[0],
        {"team_id": "blue", "user_id": "ada"},
    ),
}


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    client = gateway_app.test_client()
    master = {"Authorization": f"Bearer {gateway_app.extensions['tollgate'].settings.master_key}"}
    return lambda path, body: client.post(path, json=body, headers=master)


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, ask: Ask) -> tuple[Kind, dict[str, Any]]:
    """A kind, and the body that makes one of it."""
    found = KINDS[request.param]
    if request.param != "member":
        return found, found.reference
    assert ask("/team/new", {"team_id": "blue"}).status_code == 200
    return found, {"team_id": "blue", "member": {"user_id": "ada"}}


def limits_in(kind: Kind, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {name: kind.read(answer.json)[name] for name in LIMITS}


def test_every_limit_can_be_given_from_the_start(kind: tuple[Kind, dict[str, Any]], ask: Ask) -> None:
    found, new = kind
    assert limits_in(found, ask(found.new, new | LIMITS)) == LIMITS


def test_every_limit_can_be_set_later_and_taken_away_with_null(kind: tuple[Kind, dict[str, Any]], ask: Ask) -> None:
    found, new = kind
    assert limits_in(found, ask(found.new, new)) == CLEARED
    assert limits_in(found, ask(found.update, found.reference | LIMITS)) == LIMITS
    assert limits_in(found, ask(found.update, found.reference | dict.fromkeys(LIMITS))) == CLEARED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_budget", -1),
        ("budget_duration", "2y"),
        ("timezone", "Europe/Berlinn"),
        ("week_start", "moonday"),
        ("queue_timeout", -1),
        ("queue_timeout", 601),
        ("alert_thresholds", [0]),
        ("rpm_limit", 1.5),
        ("max_budgett", 1),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(
    kind: tuple[Kind, dict[str, Any]], ask: Ask, field: str, value: Any
) -> None:
    found, new = kind
    answer = ask(found.new, new | {field: value})
    assert (answer.status_code, answer.json["error"]["param"].partition("[")[0]) == (400, field)


def test_changing_what_does_not_exist_is_not_found(kind: tuple[Kind, dict[str, Any]], ask: Ask) -> None:
    found, _ = kind
    assert ask(found.update, found.reference | {"max_budget": 1}).status_code == 404


def test_making_it_twice_is_refused(kind: tuple[Kind, dict[str, Any]], ask: Ask) -> None:
    found, new = kind
    ask(found.new, new)
    # LiteLLM's clients expect 400 for a member who is there already.
    assert ask(found.new, new).status_code == (400 if "member" in new else 409)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "budget"])
def test_a_template_that_does_not_exist_is_not_found(ask: Ask, name: str) -> None:
    ask("/team/new", {"team_id": "red"})
    found = KINDS[name]
    new = {"team_id": "red", "member": {"user_id": "ada"}} if name == "member" else found.reference
    answer = ask(found.new, new | {"budget_id": "nobody's"})
    assert (answer.status_code, answer.json["error"]["param"]) == (404, "budget_id")


def test_a_raise_without_an_end_is_refused(kind: tuple[Kind, dict[str, Any]], ask: Ask) -> None:
    found, new = kind
    answer = ask(found.new, new | {"temp_budget_increase": 5})
    field = "temp_budget_increase" if found is KINDS["budget"] else "temp_budget_expiry"
    assert (answer.status_code, answer.json["error"]["param"]) == (400, field)
