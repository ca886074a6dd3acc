from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Ask


def test_keys_are_changed_each_by_itself(admin: Ask) -> None:
    one, two = (admin("/key/generate", {"key_alias": alias}).json for alias in ("one", "two"))
    changes: list[dict[str, Any]] = [
        {"key": one["key"], "max_budget": 5},
        {"key": "sk-nobody-knows-this-key", "max_budget": 5},
        {"key": two["token"], "key_alias": "one", "max_budget": 5},
        {"key_alias": "two", "tags": ["a"]},
    ]
    done = admin("/key/bulk_update", {"keys": changes}).json
    assert done["total_requested"] == 4
    assert [change["key"] for change in done["successful_updates"]] == [one["token"], two["token"]]
    assert [change["key"] for change in done["failed_updates"]][1:] == [two["token"]]
    assert "alias" in done["failed_updates"][1]["failed_reason"]
    shown = [admin("/key/info", key=key["key"]).json["info"] for key in (one, two)]
    assert [(key["max_budget"], key["tags"]) for key in shown] == [(5.0, []), (None, ["a"])]


def test_no_key_that_was_sent_comes_back(admin: Ask) -> None:
    known, unknown = admin("/key/generate", {}).json["key"], "sk-nobody-knows-this-key"
    text = admin("/key/bulk_update", {"keys": [{"key": known}, {"key": unknown}]}).text
    assert [secret in text for secret in (known, unknown)] == [False, False]


@pytest.mark.parametrize("wrong", [{"max_budgett": 1}, {"max_budget": -1}, {"spend": 1}])
def test_a_body_that_is_wrong_anywhere_changes_no_key(admin: Ask, wrong: dict[str, Any]) -> None:
    key = admin("/key/generate", {}).json["key"]
    answer = admin("/key/bulk_update", {"keys": [{"key": key, "max_budget": 5}, {"key": key} | wrong]})
    assert answer.status_code == 400
    assert admin("/key/info", key=key).json["info"]["max_budget"] is None


def test_a_virtual_key_changes_its_users_keys_and_no_others(admin: Ask, ask: Ask) -> None:
    mine, other = (admin("/key/generate", {"user_id": name}).json["key"] for name in ("ada", "bob"))
    changes = [{"key": key, "tags": ["a"]} for key in (mine, other)]
    done = ask(mine, "/key/bulk_update", {"keys": changes}).json
    assert (len(done["successful_updates"]), len(done["failed_updates"])) == (1, 1)
    assert admin("/key/info", key=other).json["info"]["tags"] == []


def test_users_are_changed_each_by_themselves(admin: Ask) -> None:
    for name in ("ada", "bob"):
        admin("/user/new", {"user_id": name, "user_email": f"{name}@x.z"})
    changes = [
        {"user_id": "ada", "max_budget": 5},
        {"user_id": "nobody", "max_budget": 5},
        {"user_id": "bob", "user_email": "ada@x.z", "max_budget": 5},
    ]
    done = admin("/user/bulk_update", {"users": changes}).json
    assert [(one["user_id"], one["success"]) for one in done["results"]] == [
        *(("ada", True), ("nobody", False), ("bob", False)),
    ]
    assert (done["total_requested"], done["successful_updates"], done["failed_updates"]) == (3, 1, 2)
    assert done["results"][0]["updated_user"]["max_budget"] == 5.0
    assert admin("/user/info", user_id="bob").json["user_info"]["max_budget"] is None


def test_all_users_are_changed_at_once(admin: Ask) -> None:
    for name in ("ada", "bob"):
        admin("/user/new", {"user_id": name})
    done = admin("/user/bulk_update", {"all_users": True, "user_updates": {"max_budget": 7}}).json
    assert (done["successful_updates"], done["failed_updates"]) == (2, 0)
    assert [user["max_budget"] for user in admin("/user/list").json["users"]] == [7.0, 7.0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all_users": True},
        {"all_users": True, "user_updates": {}},
        {"user_updates": {"max_budget": 1}},
        {"all_users": True, "users": [{"user_id": "ada"}], "user_updates": {"max_budget": 1}},
        {"all_users": True, "user_updates": {"user_email": "a@b.c"}},
        {"users": [{"user_id": "ada", "max_budget": 1}, {"user_id": "ada", "max_budgett": 1}]},
    ],
)
def test_a_request_that_does_not_say_who_or_what_changes_nobody(admin: Ask, body: dict[str, Any]) -> None:
    admin("/user/new", {"user_id": "ada"})
    assert admin("/user/bulk_update", body).status_code == 400
    assert admin("/user/info", user_id="ada").json["user_info"]["max_budget"] is None
