from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from app.access import callers, keys, people, policy
from app.errors import Conflict, NotAuthenticated, NotFound


def test_a_user_made_twice_at_once_is_made_once(gateway_app: Flask) -> None:
    def make(_: int) -> str:
        with gateway_app.app_context():
            try:
                people.create({"user_id": "ada"})
            except Conflict:
                return "conflict"
            return "made"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, range(4))) == ["conflict", "conflict", "conflict", "made"]


def test_a_user_without_an_id_gets_one(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        user, _ = people.create({})
        assert people.find(user.user_id).user_id == user.user_id


def test_a_change_of_a_user_changes_the_policy_version(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        user, _ = people.create({"user_id": "ada"})
        before = policy.versions(["user:ada"])
        people.change(user, {"models": ["m"]}, lambda _session, _user: True)
        assert policy.versions(["user:ada"]) != before


def test_a_user_that_is_gone_cannot_be_changed(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        user, _ = people.create({"user_id": "ada"})
        people.delete(["ada"])
        with pytest.raises(NotFound):
            people.change(user, {"max_budget": 1}, lambda _session, _user: True)


def test_a_deleted_user_takes_the_keys_along(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        _, new = people.create({"user_id": "ada"})
        assert new is not None
        people.delete(["ada"])
        assert keys.of_user("ada") == []
        with pytest.raises(NotAuthenticated):
            callers.identify(new.secret)
