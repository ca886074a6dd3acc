from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Flask

from app.access.callers import hash_token
from app.extensions import write_transaction
from app.models import VirtualKey, now
from tests.api.conftest import Ask
from tests.api.test_users import revoke


def test_a_key_lives_as_long_as_its_duration_says(admin: Ask) -> None:
    key = admin("/key/generate", {"duration": "20m", "max_parallel_requests": 1}).json
    lifetime = datetime.fromisoformat(key["expires"]) - datetime.fromisoformat(key["created_at"])
    assert (lifetime.total_seconds(), key["max_parallel_requests"]) == (1200, 1)


def test_a_key_for_an_unknown_user_makes_the_user(admin: Ask) -> None:
    assert admin("/key/generate", {"models": ["azure-models"], "user_id": "krrish@berri.ai"}).status_code == 200
    info = admin("/user/info", user_id="krrish@berri.ai").json
    assert (info["user_info"]["max_budget"], len(info["keys"])) == (None, 1)


def test_a_key_for_a_known_user_leaves_the_user_as_it_is(admin: Ask) -> None:
    admin("/user/new", {"user_id": "ada", "max_budget": 5})
    admin("/key/generate", {"user_id": "ada", "max_budget": 1})
    info = admin("/user/info", user_id="ada").json
    assert (info["user_info"]["max_budget"], [key["max_budget"] for key in info["keys"]]) == (5.0, [None, 1.0])


def test_a_key_of_ones_own_is_kept_as_its_hash(admin: Ask, gateway_app: Flask) -> None:
    secret = "sk-my-own-key-0123456789"
    token = admin("/key/generate", {"key": secret}).json["token"]
    assert token == hash_token(secret)
    with gateway_app.app_context(), write_transaction() as session:
        row = session.query(VirtualKey).one()
        assert secret not in repr(row.__dict__)


def test_a_key_is_shown_once(admin: Ask) -> None:
    key = admin("/key/generate", {"user_id": "ada"}).json["key"]
    later = [
        admin("/key/info", key=key),
        admin("/key/list", return_full_object="true"),
        admin("/user/info", user_id="ada"),
        admin("/key/update", {"key": key, "max_budget": 1}),
        admin("/key/block", {"key": key}),
        admin("/key/delete", {"keys": [key]}),
        admin("/key/info", key=key),
    ]
    assert [key in answer.text for answer in later] == [False] * len(later)


def test_a_key_is_found_by_itself_and_by_its_hash(admin: Ask) -> None:
    made = admin("/key/generate", {"key_alias": "first"}).json
    for reference in (made["key"], made["token"]):
        info = admin("/key/info", key=reference).json
        assert (info["key"], info["info"]["key_alias"]) == (made["token"], "first")


def test_an_unknown_key_is_not_found(admin: Ask) -> None:
    unknown = "sk-nobody-knows-this-key"
    answers = [
        admin("/key/info", key=unknown),
        admin("/key/update", {"key": unknown}),
        admin("/key/block", {"key": unknown}),
        admin("/key/unblock", {"key": unknown}),
        admin("/key/delete", {"keys": [unknown]}),
    ]
    assert [(answer.status_code, unknown in answer.text) for answer in answers] == [(404, False)] * 5


def test_an_update_changes_what_is_sent_and_null_clears(admin: Ask) -> None:
    key = admin("/key/generate", {"max_budget": 5, "models": ["m"], "duration": "1h", "metadata": {"a": 1}}).json["key"]
    changed = admin("/key/update", {"key": key, "models": None, "duration": None, "max_parallel_requests": 3}).json
    assert (changed["max_budget"], changed["models"], changed["expires"], changed["max_parallel_requests"]) == (
        *(5.0, [], None),
        3,
    )
    assert changed["metadata"] == {"a": 1}


def test_limits_per_minute_are_shown_changed_and_cleared(admin: Ask) -> None:
    made = admin("/key/generate", {"rpm_limit": 0, "tpm_limit": 1000}).json
    changed = admin("/key/update", {"key": made["key"], "rpm_limit": 7, "tpm_limit": None}).json
    shown = admin("/key/info", key=made["key"]).json["info"]
    assert [(key["rpm_limit"], key["tpm_limit"]) for key in (made, changed, shown)] == [(0, 1000), (7, None), (7, None)]


def test_a_key_can_be_updated_by_its_alias(admin: Ask) -> None:
    made = admin("/key/generate", {"key_alias": "first"}).json
    assert admin("/key/update", {"key_alias": "first", "max_budget": 1}).json["token"] == made["token"]


def test_an_alias_of_another_key_is_a_conflict(admin: Ask) -> None:
    admin("/key/generate", {"key_alias": "first"})
    key = admin("/key/generate", {}).json["key"]
    answer = admin("/key/update", {"key": key, "key_alias": "first"})
    assert (answer.status_code, answer.json["error"]["param"]) == (409, "key_alias")


def test_a_key_moves_only_to_a_user_that_exists(admin: Ask) -> None:
    key = admin("/key/generate", {"user_id": "ada"}).json["key"]
    answer = admin("/key/update", {"key": key, "user_id": "nobody"})
    assert (answer.status_code, answer.json["error"]["param"]) == (404, "user_id")


def test_a_key_that_moves_is_no_longer_revoked_for_its_old_user(admin: Ask, gateway_app: Flask) -> None:
    key = admin("/key/generate", {"user_id": "ada"}).json["key"]
    admin("/user/new", {"user_id": "bob"})
    revoke(gateway_app, "ada")
    assert admin("/key/update", {"key": key, "user_id": "bob"}).json["status"] == "active"


def test_a_block_is_told_and_taken_back(admin: Ask) -> None:
    key = admin("/key/generate", {}).json["key"]
    assert admin("/key/block", {"key": key}).json["status"] == "blocked"
    assert admin("/key/unblock", {"key": key}).json["status"] == "active"


def test_unblocking_does_not_open_a_key_that_is_revoked_for_its_budget(admin: Ask, gateway_app: Flask) -> None:
    key = admin("/key/generate", {"user_id": "ada"}).json["key"]
    revoke(gateway_app, "ada")
    admin("/key/block", {"key": key})
    assert admin("/key/unblock", {"key": key}).json["status"] == "revoked"


def test_an_expired_key_is_shown_as_expired(admin: Ask, gateway_app: Flask) -> None:
    key = admin("/key/generate", {"duration": "20m"}).json["key"]
    with gateway_app.app_context(), write_transaction() as session:
        session.query(VirtualKey).update({"expires": now()})
    assert admin("/key/info", key=key).json["info"]["status"] == "expired"


def test_keys_are_deleted_by_themselves_hashes_and_aliases(admin: Ask) -> None:
    one, two = admin("/key/generate", {}).json, admin("/key/generate", {}).json
    three = admin("/key/generate", {"key_alias": "third"}).json
    gone = admin("/key/delete", {"keys": [one["key"], two["token"]], "key_aliases": ["third"]}).json
    assert gone == {"deleted_keys": [one["token"], two["token"], three["token"]]}
    assert admin("/key/list").json["total_count"] == 0


def test_keys_are_deleted_all_or_none(admin: Ask) -> None:
    key = admin("/key/generate", {}).json["key"]
    assert admin("/key/delete", {"keys": [key, "sk-unknown-key-of-nobody"]}).status_code == 404
    assert admin("/key/info", key=key).status_code == 200


def test_keys_are_listed_as_hashes_page_by_page(admin: Ask) -> None:
    tokens = [admin("/key/generate", {"user_id": "ada"}).json["token"] for _ in range(3)]
    page = admin("/key/list", user_id="ada", size=2, page=2).json
    assert page == {"keys": tokens[:1], "total_count": 3, "current_page": 2, "total_pages": 2}


def test_keys_are_listed_whole_where_that_is_asked_for(admin: Ask, spent: Callable[..., None]) -> None:
    key = admin("/key/generate", {"key_alias": "first"}).json
    spent(f"key:{key['key_id']}", 500_000_000)
    listed = admin("/key/list", key_alias="first", return_full_object="true").json["keys"]
    assert [(one["token"], one["spend"]) for one in listed] == [(key["token"], 0.5)]
