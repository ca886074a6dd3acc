"""Who may do what over HTTP: admins with their own keys, users with theirs, admins of teams with their team's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

Ask = Callable[..., Any]


@pytest.fixture
def ask(gateway_app: Flask) -> Ask:
    """ask("/key/generate", {...}, key) posts, ask("/key/info", None, key) reads; without a key the master key asks."""
    client = gateway_app.test_client()
    master = gateway_app.extensions["tollgate"].settings.master_key

    def send(path: str, body: Any = None, by: str = master, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {by}"}
        if body is None:
            return client.get(path, query_string=query, headers=headers)
        return client.post(path, json=body, headers=headers)

    return send


def somebody(ask: Ask, user_id: str = "ada", role: str = "internal_user", **key: Any) -> str:
    """A user with this role, by a key of theirs."""
    ask("/user/new", {"user_id": user_id, "user_role": role, "auto_create_key": False})
    secret: str = ask("/key/generate", {"user_id": user_id} | key).json["key"]
    return secret


def refusal(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json["error"]["param"]


def test_an_admin_administrates_with_a_key_of_their_own(ask: Ask) -> None:
    admin = somebody(ask, role="proxy_admin")
    assert ask("/user/new", {"user_id": "bob", "user_role": "proxy_admin"}, admin).status_code == 200
    assert ask("/key/generate", {"user_id": "bob", "max_budget": 5}, admin).json["created_by"] == "ada"
    assert ask("/team/new", {"team_id": "blue"}, admin).status_code == 200


def test_an_admin_who_only_reads_changes_nothing(ask: Ask) -> None:
    viewer = somebody(ask, role="proxy_admin_viewer")
    reads = [ask(path, None, viewer).status_code for path in ("/user/list", "/key/list", "/model/info")]
    writes = [ask(path, {}, viewer).status_code for path in ("/user/new", "/key/generate", "/team/new")]
    assert (reads, writes) == ([200] * 3, [403] * 3)


def test_who_is_no_admin_any_more_is_none_on_the_next_request(ask: Ask) -> None:
    admin = somebody(ask, role="proxy_admin")
    before = ask("/user/list", None, admin).status_code
    ask("/user/update", {"user_id": "ada", "user_role": "internal_user"})
    assert (before, ask("/user/list", None, admin).status_code) == (200, 403)


def test_a_user_makes_changes_and_deletes_own_keys(ask: Ask) -> None:
    ada = somebody(ask)
    made = ask("/key/generate", {"key_alias": "a"}, ada).json
    assert made["user_id"] == "ada"
    assert ask("/key/update", {"key": made["key"], "rpm_limit": 3}, ada).json["rpm_limit"] == 3
    new = ask("/key/regenerate", {"key": made["key"]}, ada).json["key"]
    assert ask("/key/block", {"key": new}, ada).json["status"] == "blocked"
    assert ask("/key/delete", {"keys": [new]}, ada).json["deleted_keys"]


def test_a_users_key_makes_nobody_an_admin(ask: Ask) -> None:
    ada = somebody(ask)
    answers = [
        ask("/user/update", {"user_id": "ada", "user_role": "proxy_admin"}, ada),
        ask("/user/new", {"user_role": "proxy_admin"}, ada),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]


def test_a_user_touches_no_key_of_others(ask: Ask) -> None:
    ada = somebody(ask)
    others = ask("/key/generate", {"user_id": "bob"}).json["key"]
    answers = [
        ask("/key/generate", {"user_id": "bob"}, ada),
        ask("/key/update", {"key": others, "user_id": "ada"}, ada),
        ask("/key/regenerate", {"key": others}, ada),
        ask("/key/block", {"key": others}, ada),
        ask("/key/delete", {"keys": [others]}, ada),
        ask("/key/info", None, ada, key=others),
        ask("/key/list", None, ada, user_id="bob"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 7


def test_a_list_of_keys_is_the_users_own(ask: Ask) -> None:
    ada = somebody(ask)
    ask("/key/generate", {"user_id": "bob"})
    assert ask("/key/list", None, ada).json["total_count"] == 1


@pytest.mark.parametrize("budget", [0, 1])
def test_a_key_with_limits_of_its_own_makes_no_others_and_cannot_loosen_them(ask: Ask, budget: int) -> None:
    ada = somebody(ask, max_budget=budget)
    assert ask("/key/generate", {"max_budget": budget}, ada).status_code == 403
    assert refusal(ask("/key/update", {"key": ada, "max_budget": 2}, ada)) == (403, "max_budget")


@pytest.mark.parametrize(
    ("own", "wanted", "param"),
    [
        ({"models": ["a"]}, {}, "models"),
        ({"models": ["a"]}, {"models": ["a", "b"]}, "models"),
        ({"allowed_routes": ["/key/*"]}, {}, "allowed_routes"),
        ({"allowed_routes": ["/key/*"]}, {"allowed_routes": ["/user/*"]}, "allowed_routes"),
        ({"key_type": "management"}, {"key_type": "default"}, "key_type"),
        ({"duration": "1h"}, {}, "duration"),
        ({"duration": "1h"}, {"duration": "2h"}, "duration"),
        ({}, {"team_id": "blue"}, "team_id"),
    ],
)
def test_a_new_key_gets_no_more_than_the_one_that_makes_it(
    ask: Ask, own: dict[str, Any], wanted: dict[str, Any], param: str
) -> None:
    ask("/team/new", {"team_id": "blue"})
    assert refusal(ask("/key/generate", wanted, somebody(ask, **own))) == (403, param)


def test_a_user_cannot_open_what_an_admin_has_blocked(ask: Ask) -> None:
    ada = somebody(ask)
    other = ask("/key/generate", {}, ada).json["key"]
    ask("/key/block", {"key": other})
    assert ask("/key/unblock", {"key": other}, ada).status_code == 403
    assert refusal(ask("/key/update", {"key": other, "blocked": False}, ada)) == (403, "blocked")


def test_a_key_that_may_not_use_all_routes_uses_no_others_and_hands_out_no_more(ask: Ask) -> None:
    admin = somebody(ask, role="proxy_admin", allowed_routes=["/key/*", "/user/new"])
    refused = ask("/team/new", {}, admin)
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "route_not_allowed")
    assert refusal(ask("/key/generate", {"user_id": "ada"}, admin)) == (403, "allowed_routes")
    assert refusal(ask("/user/new", {"user_role": "proxy_admin"}, admin)) == (403, "allowed_routes")
    assert ask("/key/generate", {"user_id": "bob"}, admin).status_code == 200


def test_a_teams_admin_manages_its_members_and_keys_and_no_others(ask: Ask) -> None:
    ada = somebody(ask)
    for team in ("blue", "red"):
        ask("/team/new", {"team_id": team, "members_with_roles": [{"user_id": "bob"}]})
    ask("/team/member_add", {"team_id": "blue", "member": {"user_id": "ada", "role": "admin"}})
    assert ask("/team/member_add", {"team_id": "blue", "member": {"user_id": "cy"}}, ada).status_code == 200
    bobs = ask("/key/generate", {"team_id": "blue", "user_id": "bob"}, ada).json["key"]
    assert ask("/key/update", {"key": bobs, "rpm_limit": 1}, ada).status_code == 200
    assert ask("/team/member_add", {"team_id": "red", "member": {"user_id": "cy"}}, ada).status_code == 403
    assert ask("/key/generate", {"team_id": "red", "user_id": "bob"}, ada).status_code == 403
    assert ask("/team/info", None, ada, team_id="red").status_code == 403
    assert refusal(ask("/key/generate", {"team_id": "blue", "user_id": "dan"}, ada)) == (403, "user_id")


def test_a_member_who_is_no_admin_manages_no_members(ask: Ask) -> None:
    ada = somebody(ask)
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    assert ask("/team/info", None, ada, team_id="blue").status_code == 200
    assert ask("/team/member_update", {"team_id": "blue", "user_id": "ada", "role": "admin"}, ada).status_code == 403


def test_a_key_of_a_team_makes_no_key_outside_of_it(ask: Ask) -> None:
    ask("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "ada"}]})
    ada = somebody(ask, team_id="blue")
    assert ask("/key/generate", {}, ada).json["team_id"] == "blue"
    assert refusal(ask("/key/generate", {"team_id": None}, ada)) == (403, "team_id")
