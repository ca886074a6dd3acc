from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.extensions import write_transaction
from app.models import VirtualKey, now
from tests.api.conftest import Ask
from tests.api.test_users import revoke

DOLLAR = 1_000_000_000


def aliases(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [key["key_alias"] for key in answer.json["keys"]]


@pytest.fixture
def keys(admin: Ask) -> Callable[..., list[str]]:
    """keys(status="active") gives the aliases of the keys that are listed, oldest first."""

    def listed(**query: Any) -> list[str]:
        return aliases(admin("/key/list", **{"return_full_object": "true", "sort_order": "asc"} | query))

    return listed


def expire(app: Flask, alias: str) -> None:
    with app.app_context(), write_transaction() as session:
        session.query(VirtualKey).filter_by(key_alias=alias).update({"expires": now()})


def test_keys_are_found_by_status_as_it_is_shown(
    admin: Ask, gateway_app: Flask, keys: Callable[..., list[str]]
) -> None:
    for alias, owner in (("open", "ada"), ("spent", "bob"), ("blocked", "bob"), ("late", "bob")):
        admin("/key/generate", {"key_alias": alias, "user_id": owner})
    revoke(gateway_app, "bob")
    admin("/key/update", {"key_alias": "blocked", "blocked": True})
    for alias in ("late", "blocked"):
        expire(gateway_app, alias)
    found = {status: keys(status=status) for status in ("active", "revoked", "blocked", "expired")}
    assert found == {"active": ["open"], "revoked": ["spent"], "blocked": ["blocked"], "expired": ["late"]}
    shown = admin("/key/list", return_full_object="true", sort_order="asc").json["keys"]
    assert [key["status"] for key in shown] == ["active", "revoked", "blocked", "expired"]


def test_keys_are_found_by_team_and_by_any_part_of_their_names(admin: Ask, keys: Callable[..., list[str]]) -> None:
    admin("/team/new", {"team_id": "blue"})
    admin("/key/generate", {"key_alias": "Nightly_job", "team_id": "blue"})
    admin("/key/generate", {"key_alias": "web", "user_id": "ada@night.ly"})
    found = [keys(team_id="blue"), keys(search="night"), keys(search="LY_"), keys(search="%")]
    assert found == [["Nightly_job"], ["Nightly_job", "web"], ["Nightly_job"], []]


def test_keys_of_teams_and_keys_made_for_others_come_along_where_that_is_asked_for(
    admin: Ask, gateway_app: Flask, keys: Callable[..., list[str]]
) -> None:
    admin("/user/new", {"user_id": "ada", "auto_create_key": False})
    for team_id, role in (("blue", "admin"), ("red", "user")):
        members = [{"user_id": "ada", "role": role}]
        assert admin("/team/new", {"team_id": team_id, "members_with_roles": members}).status_code == 200
        admin("/key/generate", {"key_alias": team_id, "team_id": team_id})
    admin("/key/generate", {"key_alias": "own", "user_id": "ada"})
    admin("/key/generate", {"key_alias": "made", "user_id": "bob"})
    with gateway_app.app_context(), write_transaction() as session:
        session.query(VirtualKey).filter_by(key_alias="made").update({"created_by": "ada"})
    assert keys(user_id="ada") == ["own"]
    assert keys(user_id="ada", include_team_keys="true") == ["blue", "own"]
    assert keys(user_id="ada", include_created_by_keys="true") == ["own", "made"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_keys_are_sorted_and_those_without_a_value_stand_last(
    admin: Ask, keys: Callable[..., list[str]], order: str
) -> None:
    for alias, budget in (("b", 2), ("none", None), ("a", 3), ("c", 1)):
        admin("/key/generate", {"key_alias": alias, "max_budget": budget})
    by_budget = ["c", "b", "a"] if order == "asc" else ["a", "b", "c"]
    assert keys(sort_by="max_budget", sort_order=order) == [*by_budget, "none"]
    by_alias = sorted(["a", "b", "c", "none"], reverse=order == "desc")
    assert keys(sort_by="key_alias", sort_order=order) == by_alias


def test_keys_are_sorted_by_what_they_ever_spent(
    admin: Ask, spent: Callable[..., None], keys: Callable[..., list[str]]
) -> None:
    for alias, nano in (("little", 1), ("nothing", 0), ("much", DOLLAR)):
        key_id = admin("/key/generate", {"key_alias": alias}).json["key_id"]
        if nano:
            spent(f"key:{key_id}", nano)
            spent(f"key:{key_id}", nano, 1_000)
    assert keys(sort_by="spend", sort_order="desc") == ["much", "little", "nothing"]


def test_a_page_is_cut_after_filtering_and_sorting(admin: Ask) -> None:
    for alias in ("c", "a", "d", "b"):
        admin("/key/generate", {"key_alias": alias, "user_id": "ada"})
    admin("/key/generate", {"key_alias": "0"})
    page = admin(
        *("/key/list",), user_id="ada", sort_by="key_alias", sort_order="asc", size=2, page=2, return_full_object="true"
    )
    assert (aliases(page), page.json["total_count"], page.json["total_pages"]) == (["c", "d"], 4, 2)


def test_keys_are_shown_with_their_users_where_that_is_asked_for(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_email": "a@b.c", "user_alias": "Ada"})
    admin("/key/generate", {})
    nobodys, hers = admin("/key/list", expand="user").json["keys"]
    user = {"user_id": "ada", "user_email": "a@b.c", "user_alias": "Ada", "user_role": "internal_user"}
    assert (nobodys["user"], hers["user"]) == (None, user)


@pytest.mark.parametrize("query", [{"status": "gone"}, {"sort_by": "token"}, {"sort_order": "up"}, {"expand": "team"}])
def test_a_filter_that_is_none_is_refused(admin: Ask, query: dict[str, str]) -> None:
    answer = admin("/key/list", **query)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, next(iter(query)))


def test_a_virtual_key_lists_its_users_keys_whatever_it_asks_for(admin: Ask, ask: Ask) -> None:
    admin("/team/new", {"team_id": "red", "members_with_roles": [{"user_id": "ada", "role": "user"}]})
    admin("/key/generate", {"key_alias": "other", "team_id": "red"})
    key = admin("/key/generate", {"key_alias": "own", "user_id": "ada"}).json["key"]
    query = {"return_full_object": "true", "include_team_keys": "true"}
    assert aliases(ask(key, "/key/list", **query)) == ["own"]
    assert aliases(ask(key, "/key/list", **query, team_id="red")) == []
    assert ask(key, "/key/aliases").json["aliases"] == ["own"]
    assert ask(key, "/key/list", include_created_by_keys="true").status_code == 403


def test_aliases_are_listed_in_order_page_by_page(admin: Ask) -> None:
    for alias in ("c", "a", None, "b"):
        admin("/key/generate", {"key_alias": alias})
    page = admin("/key/aliases", size=2, page=2).json
    assert page == {"aliases": ["c"], "total_count": 3, "current_page": 2, "total_pages": 2, "size": 2}
    assert admin("/key/aliases", search="B").json["aliases"] == ["b"]


def test_a_key_that_works_is_healthy_and_one_that_does_not_is_refused(admin: Ask, ask: Ask) -> None:
    key = admin("/key/generate", {"key_type": "read_only"}).json["key"]
    assert ask(key, "/key/health", {}).json == {"key": "healthy", "logging_callbacks": None}
    admin("/key/block", {"key": key})
    assert ask(key, "/key/health", {}).status_code == 401


def users(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [user["user_id"] for user in answer.json["users"]]


def test_users_are_found_by_role_team_and_any_part_of_their_names(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_alias": "Lovelace"})
    admin("/user/new", {"user_id": "bob", "user_role": "proxy_admin", "user_email": "bob@love.org"})
    admin("/user/new", {"user_id": "cyd"})
    admin("/team/new", {"team_id": "blue", "members_with_roles": [{"user_id": "cyd", "role": "user"}]})
    assert users(admin("/user/list", role="proxy_admin")) == ["bob"]
    assert users(admin("/user/list", team="blue")) == ["cyd"]
    assert users(admin("/user/list", search="LOVE")) == ["ada", "bob"]
    assert users(admin("/user/list", search="love", role="internal_user")) == ["ada"]


def test_users_are_sorted(admin: Ask, spent: Callable[..., None]) -> None:
    for name, alias in (("bob", "x"), ("ada", None), ("cyd", "y")):
        admin("/user/new", {"user_id": name, "user_alias": alias})
    spent("user:ada", DOLLAR)
    assert users(admin("/user/list")) == ["bob", "ada", "cyd"]
    assert users(admin("/user/list", sort_by="user_id", sort_order="desc")) == ["cyd", "bob", "ada"]
    assert users(admin("/user/list", sort_by="user_alias", sort_order="desc")) == ["cyd", "bob", "ada"]
    assert users(admin("/user/list", sort_by="spend", sort_order="desc"))[0] == "ada"


def test_every_role_that_is_listed_is_one_that_a_user_can_have(admin: Ask) -> None:
    roles = admin("/user/available_roles").json
    made = [admin("/user/new", {"user_id": role, "user_role": role}).json["user_role"] for role in roles]
    assert made == list(roles)
    assert len(roles) == 4
