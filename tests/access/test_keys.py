from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from app.access import callers, keys, people, policy
from app.errors import BadRequest, NotFound


def test_keys_for_a_new_user_made_at_once_share_one_user(gateway_app: Flask) -> None:
    def make(_: int) -> str:
        with gateway_app.app_context():
            return keys.generate({"user_id": "ada"}).secret

    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(make, range(4)))
    with gateway_app.app_context():
        assert {row.token for row in keys.of_user("ada")} == {callers.hash_token(secret) for secret in made}
        assert people.listed(people.Wanted(), page=1, size=10)[1] == 1


def test_a_new_key_is_known_at_once(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        made = keys.generate({"user_id": "ada", "models": ["m"]})
        caller = callers.identify(made.secret)
        assert (caller.key_id, caller.user_id, caller.model_lists) == (made.row.id, "ada", (("m",),))


def test_a_secret_is_not_in_what_is_printed_of_a_key(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        made = keys.generate({})
        assert made.secret not in repr(made)


@pytest.mark.parametrize(
    "secret", ["sk-123456789012", "pk-0123456789abcdef", "sk-with a space 0123", "sk-" + "x" * 198]
)
def test_a_custom_key_that_is_no_key_is_refused(gateway_app: Flask, secret: str) -> None:
    with gateway_app.app_context(), pytest.raises(BadRequest):
        keys.generate({"key": secret})


def test_a_change_of_a_key_changes_its_policy_version(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        row = keys.generate({}).row
        before = policy.versions([f"key:{row.id}"])
        keys.change(row, {"blocked": True})
        assert policy.versions([f"key:{row.id}"]) != before


def test_a_key_that_is_gone_cannot_be_changed_or_deleted_again(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        row = keys.generate({}).row
        keys.delete([row])
        with pytest.raises(NotFound):
            keys.change(row, {"blocked": True})
        with pytest.raises(NotFound):
            keys.delete([row])


def test_a_key_without_a_user_belongs_to_nobody(gateway_app: Flask) -> None:
    with gateway_app.app_context():
        assert keys.generate({}).row.user_id is None
