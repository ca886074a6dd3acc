"""/team over HTTP: members, keys, blocking, and what a team's limits do to calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.people import HELLO

Ask = Callable[..., Any]


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    """ask("/team/info", team_id="blue") reads, ask("/team/new", {...}) posts; with a status it checks that."""
    client = gateway_app.test_client()
    master = {"Authorization": f"Bearer {gateway_app.extensions['tollgate'].settings.master_key}"}

    def send(path: str, body: Any = None, status: int = 200, method: str = "POST", **query: str) -> Any:
        if body is None:
            answer = client.get(path, query_string=query, headers=master)
        else:
            answer = client.open(path, method=method, json=body, headers=master)
        assert answer.status_code == status, answer.text
        return answer.json

    return send


@pytest.fixture
def call(gateway_app: Flask) -> Callable[[str], Any]:
    client = gateway_app.test_client()
    return lambda key: client.post("/v1/chat/completions", json=HELLO, headers={"Authorization": f"Bearer {key}"})


def refused(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json.get("error", {})
    return answer.status_code, error.get("code", ""), error.get("scope")


def test_a_team_shows_its_members_and_keys(ask: Ask) -> None:
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada", "role": "admin"}]})
    ask("/team/member_add", {"team_id": "blue", "member": [{"user_id": "bob"}], "max_budget_in_team": 3})
    key = ask("/key/generate", {"team_id": "blue"})
    info = ask("/team/info", team_id="blue")
    assert info["team_info"]["members_with_roles"] == [
        {"user_id": "ada", "user_email": None, "role": "admin"},
        {"user_id": "bob", "user_email": None, "role": "user"},
    ]
    assert [one["token"] for one in info["keys"]] == [key["token"]]
    assert [one["max_budget"] for one in info["team_memberships"]] == [None, 3.0]


def test_a_member_can_be_named_by_an_address(ask: Ask) -> None:
    ask("/user/new", {"user_id": "ada", "user_email": "ada@example.com"})
    ask("/team/new", {"team_id": "blue"})
    added = ask("/team/member_add", {"team_id": "blue", "member": {"user_email": "ada@example.com"}})
    assert added["updated_team_memberships"][0]["user_id"] == "ada"


@pytest.mark.parametrize(
    ("member", "param"),
    [
        ({}, "user_id"),
        ({"user_email": "nobody@example.com"}, "user_email"),
        ({"user_idd": "ada"}, "member"),
        (5, "member"),
    ],
)
def test_somebody_who_cannot_be_found_does_not_join(ask: Ask, member: Any, param: str) -> None:
    ask("/team/new", {"team_id": "blue"})
    status = 404 if param == "user_email" else 400
    answer = ask("/team/member_add", {"team_id": "blue", "member": member}, status)
    assert answer["error"]["param"] == param


def test_a_slash_in_a_team_id_is_refused(ask: Ask) -> None:
    assert ask("/team/new", {"team_id": "a/b"}, 400)["error"]["param"] == "team_id"


def test_a_blocked_team_refuses_its_keys_until_it_is_opened(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/team/new", {"team_id": "blue"})
    key = ask("/key/generate", {"team_id": "blue"})["key"]
    before = call(key).status_code
    ask("/team/block", {"team_id": "blue"})
    blocked = refused(call(key))
    ask("/team/unblock", {"team_id": "blue"})
    assert (before, blocked, call(key).status_code) == (200, (401, "blocked_key", None), 200)


def test_deleting_a_team_ends_its_keys_on_their_next_call(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/team/new", {"team_id": "blue"})
    key = ask("/key/generate", {"team_id": "blue"})["key"]
    call(key)
    assert ask("/team/delete", {"team_ids": ["blue"]}) == {"deleted_teams": ["blue"]}
    assert refused(call(key)) == (401, "invalid_api_key", None)


def test_of_several_teams_all_are_deleted_or_none(ask: Ask) -> None:
    ask("/team/new", {"team_id": "blue"})
    ask("/team/delete", {"team_ids": ["blue", "red"]}, 404)
    assert ask("/team/info", team_id="blue")["team_id"] == "blue"


def test_a_member_who_leaves_leaves_no_key_behind(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    of_team = ask("/key/generate", {"team_id": "blue", "user_id": "ada"})["key"]
    own = ask("/key/generate", {"user_id": "ada"})["key"]
    ask("/team/member_delete", {"team_id": "blue", "user_id": "ada"})
    assert (call(of_team).status_code, call(own).status_code) == (401, 200)


@pytest.mark.parametrize("fields", [{"team_member_budget": 0}, {"member_limits": {"max_budget": 0}}])
def test_members_without_limits_of_their_own_have_those_of_the_team(
    ask: Ask, call: Callable[[str], Any], fields: dict[str, Any]
) -> None:
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}, {"user_id": "bob"}], **fields})
    ask("/team/member_update", {"team_id": "blue", "user_id": "bob", "max_budget_in_team": 5})
    keys = {who: ask("/key/generate", {"team_id": "blue", "user_id": who})["key"] for who in ("ada", "bob")}
    assert refused(call(keys["ada"])) == (429, "budget_exceeded", "team_member:blue/ada")
    assert call(keys["bob"]).status_code == 200


def test_an_edit_of_a_team_or_member_acts_on_the_next_call(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    key = ask("/key/generate", {"team_id": "blue", "user_id": "ada"})["key"]
    scopes = [refused(call(key))[2]]
    ask("/team/update", {"team_id": "blue", "rpm_limit": 0})
    scopes.append(refused(call(key))[2])
    ask("/team/blue", {"rpm_limit": None}, method="PATCH")
    ask("/team/member_update", {"team_id": "blue", "user_id": "ada", "rpm_limit": 0})
    scopes.append(refused(call(key))[2])
    assert scopes == [None, "team:blue", "team_member:blue/ada"]


def test_a_users_budget_counts_under_a_team_too(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/user/new", {"user_id": "ada", "max_budget": 0})
    ask("/team/new", {"team_id": "blue", "max_budget": 100})
    key = ask("/key/generate", {"team_id": "blue", "user_id": "ada"})["key"]
    assert refused(call(key)) == (429, "budget_exceeded", "user:ada")


def test_a_teams_models_limit_its_keys(ask: Ask, call: Callable[[str], Any]) -> None:
    ask("/team/new", {"team_id": "blue", "models": ["other"]})
    key = ask("/key/generate", {"team_id": "blue", "models": ["all-team-models"]})["key"]
    before = refused(call(key))[:2]
    ask("/team/model/add", {"team_id": "blue", "models": ["mock-gpt-4o"]})
    assert (before, call(key).status_code) == ((403, "model_not_allowed"), 200)


def test_the_last_model_of_a_team_cannot_be_taken_away(ask: Ask) -> None:
    ask("/team/new", {"team_id": "blue", "models": ["a"]})
    assert ask("/team/model/delete", {"team_id": "blue", "models": ["a"]}, 400)["error"]["param"] == "models"


def test_teams_are_listed_page_by_page_and_by_member(ask: Ask) -> None:
    for name in ("a", "b", "c"):
        ask("/team/new", {"team_id": name, "members_with_roles": [{"user_id": f"of-{name}"}]})
    page = ask("/v2/team/list", page="2", page_size="2", sort_by="team_id", sort_order="desc")
    assert ([team["team_id"] for team in page["teams"]], page["total"], page["total_pages"]) == (["a"], 3, 2)
    assert [team["team_id"] for team in ask("/team/list", user_id="of-b")] == ["b"]
