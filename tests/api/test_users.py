from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Flask

from app.access import revoking
from app.extensions import write_transaction
from tests.api.conftest import Ask

DOLLAR = 1_000_000_000


def revoke(app: Flask, user_id: str) -> None:
    with app.app_context(), write_transaction() as session:
        revoking.revoke_keys(session, user_id, None)


def test_a_new_user_comes_with_a_key_as_on_the_page(admin: Ask) -> None:
    given = {"models": ["azure-models"], "max_budget": 0, "user_id": "krrish3@berri.ai"}
    made = admin("/user/new", given).json
    assert made["key"].startswith("sk-")
    assert made["key_name"] == "sk-..." + made["key"][-4:]
    assert {name: made[name] for name in (*given, "expires", "max_parallel_requests")} == given | {
        "expires": None,
        "max_parallel_requests": None,
    }


def test_limits_go_to_the_user_and_the_lifetime_to_the_key(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5, "models": ["m"], "duration": "20m", "key_alias": "first"})
    info = admin("/user/info", user_id="ada").json
    assert (info["user_info"]["max_budget"], info["user_info"]["models"]) == (5.0, ["m"])
    key = info["keys"][0]
    lifetime = datetime.fromisoformat(key["expires"]) - datetime.fromisoformat(key["created_at"])
    assert (key["max_budget"], key["models"], key["key_alias"], lifetime.seconds) == (None, [], "first", 1200)


def test_limits_per_minute_are_the_users_and_not_those_of_the_key(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "rpm_limit": 5, "tpm_limit": 1000})
    admin("/user/update", {"user_id": "ada", "tpm_limit": 0})
    info = admin("/user/info", user_id="ada").json
    limits = [(limited["rpm_limit"], limited["tpm_limit"]) for limited in (info["user_info"], info["keys"][0])]
    assert limits == [(5, 0), (None, None)]


def test_a_user_can_be_made_without_a_key(admin: Ask) -> None:
    made = admin("/user/new", {"user_id": "ada", "auto_create_key": False}).json
    assert made["key"] == ""
    assert admin("/user/info", user_id="ada").json["keys"] == []


def test_a_name_that_is_taken_is_a_conflict_and_changes_nothing(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_email": "a@b.c", "key_alias": "first", "key": "sk-0123456789abcdef"})
    taken = [
        {"user_id": "ada"},
        {"user_id": "bob", "user_email": "a@b.c"},
        {"user_id": "bob", "key_alias": "first"},
        {"user_id": "bob", "key": "sk-0123456789abcdef"},
    ]
    answers = [admin("/user/new", fields) for fields in taken]
    assert [(answer.status_code, answer.json["error"]["param"]) for answer in answers] == [
        (409, "user_id"),
        (409, "user_email"),
        (409, "key_alias"),
        (409, "key"),
    ]
    assert admin("/user/list").json["total"] == 1


def test_the_master_key_cannot_become_a_virtual_key(admin: Ask, master: str) -> None:
    assert admin("/user/new", {"key": master}).status_code == 409


def test_an_update_changes_what_is_sent_and_null_clears(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5, "models": ["m"], "user_alias": "Ada", "strict": True})
    changed = admin("/user/update", {"user_id": "ada", "max_budget": None, "models": None}).json
    assert changed["user_id"] == "ada"
    data = changed["data"]
    assert (data["max_budget"], data["models"], data["user_alias"], data["strict"]) == (None, [], "Ada", True)


def test_a_user_can_be_updated_by_email(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "user_email": "a@b.c"})
    assert admin("/user/update", {"user_email": "a@b.c", "max_budget": 1}).json["user_id"] == "ada"


def test_an_unknown_user_is_not_created_by_an_update(admin: Ask) -> None:
    assert admin("/user/update", {"user_id": "ada", "max_budget": 1}).status_code == 404
    assert admin("/user/list").json["total"] == 0


def test_an_update_that_names_nobody_is_a_bad_request(admin: Ask) -> None:
    assert admin("/user/update", {"max_budget": 1}).json["error"]["param"] == "user_id"


def test_an_unknown_user_has_no_info(admin: Ask) -> None:
    assert admin("/user/info", user_id="nobody").status_code == 404


def test_spend_is_what_the_balance_says(admin: Ask, spent: Callable[..., None]) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5})
    spent("user:ada", DOLLAR // 4)
    user = admin("/user/info", user_id="ada").json["user_info"]
    assert (user["spend"], user["total_spend"], user["budget_reset_at"]) == (0.25, 0.25, None)


def test_spend_counts_in_the_present_window_and_total_spend_ever(admin: Ask, spent: Callable[..., None]) -> None:
    created = admin("/user/new", {"user_id": "ada", "max_budget": 5, "budget_duration": "30d"}).json["created_at"]
    start = int(datetime.fromisoformat(created).timestamp())
    spent("user:ada", 3 * DOLLAR)
    spent("user:ada", DOLLAR, start)
    user = admin("/user/info", user_id="ada").json["user_info"]
    assert (user["spend"], user["total_spend"]) == (1.0, 3.0)
    assert datetime.fromisoformat(user["budget_reset_at"]).timestamp() == start + 30 * 86400


def test_a_raised_budget_opens_the_keys_that_were_revoked_for_it(
    admin: Ask, gateway_app: Flask, spent: Callable[..., None]
) -> None:
    key = admin("/user/new", {"user_id": "ada", "max_budget": 1}).json["key"]
    spent("user:ada", DOLLAR)
    revoke(gateway_app, "ada")
    info = admin("/key/info", key=key).json["info"]
    assert (info["status"], info["revoked_reason"]) == ("revoked", "budget_exceeded")
    admin("/user/update", {"user_id": "ada", "max_budget": 2})
    info = admin("/key/info", key=key).json["info"]
    assert (info["status"], info["revoked_reason"]) == ("active", None)


def test_a_raise_that_is_too_small_opens_nothing(admin: Ask, gateway_app: Flask, spent: Callable[..., None]) -> None:
    key = admin("/user/new", {"user_id": "ada", "max_budget": 1}).json["key"]
    spent("user:ada", 2 * DOLLAR)
    revoke(gateway_app, "ada")
    admin("/user/update", {"user_id": "ada", "max_budget": 2})
    assert admin("/key/info", key=key).json["info"]["status"] == "revoked"


def test_a_deleted_user_is_gone_with_all_keys(admin: Ask, ask: Ask) -> None:
    key = admin("/user/new", {"user_id": "ada"}).json["key"]
    assert admin("/user/delete", {"user_ids": ["ada"]}).json == 1
    assert admin("/user/info", user_id="ada").status_code == 404
    assert ask(key, "/key/info").status_code == 401


def test_users_are_deleted_all_or_none(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada"})
    assert admin("/user/delete", {"user_ids": ["ada", "nobody"]}).status_code == 404
    assert admin("/user/info", user_id="ada").status_code == 200


def test_users_are_listed_page_by_page(admin: Ask) -> None:
    for name in ("ada", "bob", "cyd"):
        admin("/user/new", {"user_id": name, "user_email": f"{name}@x_y.z"})
    page = admin("/user/list", page=2, page_size=2).json
    assert [(user["user_id"], user["key_count"]) for user in page.pop("users")] == [("cyd", 1)]
    assert page == {"total": 3, "page": 2, "page_size": 2, "total_pages": 2}


def test_users_are_found_by_ids_and_by_part_of_an_email(admin: Ask) -> None:
    for name in ("ada", "bob", "cyd"):
        admin("/user/new", {"user_id": name, "user_email": f"{name}@x.z"})
    assert [user["user_id"] for user in admin("/user/list", user_ids="cyd,ada").json["users"]] == ["ada", "cyd"]
    assert [user["user_id"] for user in admin("/user/list", user_email="BOB@").json["users"]] == ["bob"]
    assert admin("/user/list", user_email="_").json["total"] == 0
