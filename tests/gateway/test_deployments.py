"""Deployments in SQL: what stands in the table, whose keys open it, and rows that cannot be used."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken
from flask import Flask

from app.errors import BadRequest
from app.extensions import db, write_transaction
from app.gateway.deployments import StoredDeployments
from app.model_list import Deployment
from app.models import StoredDeployment
from app.settings import Settings

KEY = "the-providers-secret"
OLD, NEW = "an-old-secret-of-16", "a-new-secret-of-16-"


def given(model_id: str, **params: Any) -> dict[str, Any]:
    params = {"model": "openai/gpt-4o", "api_key": KEY} | params
    return {"model_name": "stored", "litellm_params": params, "model_info": {"id": model_id, "access_groups": ["beta"]}}


@pytest.fixture
def stored(make_app: Callable[..., Flask]) -> Iterator[Callable[..., StoredDeployments]]:
    """stored(encryption_keys=(OLD,)) are the deployments as a process with these settings reads them."""
    app = make_app()
    with app.app_context():
        yield lambda **changed: StoredDeployments(_settings(app, **changed))


def _settings(app: Flask, **changed: Any) -> Settings:
    settings: Settings = app.extensions["tollgate"].settings
    names = ("master_key", "database_url", "redis_url", "deployments")
    return Settings(**({name: getattr(settings, name) for name in names} | changed))


@contextmanager
def row(model_id: str) -> Iterator[StoredDeployment]:
    with write_transaction() as session:
        found = session.get(StoredDeployment, model_id)
        assert found
        yield found


def the_only(deployments: StoredDeployments) -> Deployment:
    (found,) = deployments.all()
    return found


def in_the_table() -> str:
    rows = db.session.execute(sa.text("SELECT * FROM deployment")).all()
    db.session.rollback()
    return str(rows)


def test_the_table_has_no_key_in_clear(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    assert KEY not in in_the_table()
    assert the_only(stored()).api_key == KEY


def test_a_changed_and_a_cleared_key_leave_nothing_of_the_old_one(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    stored().change("one", {"litellm_params": {"api_key": "another"}, "model_info": {}})
    assert the_only(stored()).api_key == "another"
    stored().change("one", {"litellm_params": {"api_key": None}, "model_info": {}})
    assert the_only(stored()).off == "OPENAI_API_KEY is not set"
    with row("one") as found:
        assert found.credentials is None


def test_the_hash_of_the_master_key_which_the_ledger_shows_opens_nothing(
    stored: Callable[..., StoredDeployments], make_settings: Callable[..., Settings]
) -> None:
    stored().create(given("one"))
    with row("one") as found:
        sealed = found.credentials
    assert sealed
    shown = sha256(make_settings().master_key.encode()).digest()
    with pytest.raises(InvalidToken):
        Fernet(urlsafe_b64encode(shown)).decrypt(sealed)


# --- keys of the encryption


def test_any_of_the_secrets_opens_and_the_first_encrypts(stored: Callable[..., StoredDeployments]) -> None:
    stored(encryption_keys=(OLD,)).create(given("one"))
    both = stored(encryption_keys=(NEW, OLD))
    assert the_only(both).api_key == KEY
    both.change("one", {"litellm_params": {"api_key": "another"}, "model_info": {}})
    assert the_only(stored(encryption_keys=(NEW,))).api_key == "another"


def test_credentials_that_no_secret_opens_switch_their_deployment_off_and_no_other(
    stored: Callable[..., StoredDeployments],
) -> None:
    stored(encryption_keys=(OLD,)).create(given("one", model="azure/mine", api_base="https://one.example"))
    stored(encryption_keys=(NEW,)).create(given("two"))
    closed, opened = stored(encryption_keys=(NEW,)).all()
    assert closed.off == ("its credentials cannot be decrypted: no secret in TOLLGATE_ENCRYPTION_KEY opens them")
    assert (closed.api_key, closed.access_groups, opened.api_key, opened.off) == (None, ("beta",), KEY, None)


def test_without_encryption_keys_the_reason_names_the_master_key(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    assert the_only(stored(master_key="sk-another-master-key")).off == (
        "its credentials cannot be decrypted: TOLLGATE_ENCRYPTION_KEY is not set, and the master key does not open them"
    )


def test_closed_credentials_are_mended_by_a_new_key(stored: Callable[..., StoredDeployments]) -> None:
    stored(encryption_keys=(OLD,)).create(given("one"))
    later = stored(encryption_keys=(NEW,))
    with pytest.raises(Exception, match="Send api_key too"):
        later.change("one", {"litellm_params": {"timeout": 5}, "model_info": {}})
    assert later.change("one", {"litellm_params": {"api_key": "k"}, "model_info": {}}).off is None


def test_all_is_encrypted_again_with_the_first_secret(stored: Callable[..., StoredDeployments]) -> None:
    stored(encryption_keys=(OLD,)).create(given("one"))
    stored(encryption_keys=(OLD,)).create(given("two", api_key="another"))
    with row("one") as found:
        before = found.updated_at
    assert stored(encryption_keys=(NEW, OLD)).encrypt_again() == (2, [])
    later = stored(encryption_keys=(NEW,))
    assert [(one.id, one.api_key, one.off) for one in later.all()] == [("one", KEY, None), ("two", "another", None)]
    with row("one") as found:
        assert found.updated_at == before


def test_what_cannot_be_encrypted_again_is_left_as_it_is(stored: Callable[..., StoredDeployments]) -> None:
    stored(encryption_keys=(OLD,)).create(given("one"))
    stored(encryption_keys=(NEW,)).create(given("two"))
    assert stored(encryption_keys=(NEW,)).encrypt_again() == (1, ["one"])
    assert [one.api_key for one in stored(encryption_keys=(OLD,)).all()] == [KEY, None]


@pytest.mark.parametrize("garbage", ["", "not a token", "caf\u00e9 \u2028"])
def test_garbage_in_the_column_is_a_reason_and_no_error(stored: Callable[..., StoredDeployments], garbage: str) -> None:
    stored().create(given("one"))
    with row("one") as found:
        found.credentials = garbage
    assert "cannot be decrypted" in str(the_only(stored()).off)


# --- rows that cannot be used


def test_a_row_that_is_no_longer_right_is_off_with_its_reason(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    with row("one") as found:
        found.litellm_params = {"model": "gone/x"}
    assert str(the_only(stored()).off).startswith('it cannot be read: `litellm_params.model`: got "gone/x"')


def test_a_row_never_reads_the_environment(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    with row("one") as found:
        found.litellm_params = found.litellm_params | {"api_version": "os.environ/OPENAI_API_KEY"}
    assert "os.environ/ is read in config.yaml only" in str(
        the_only(stored(provider_keys={"OPENAI_API_KEY": "hidden"})).off
    )


def test_an_id_that_config_yaml_has_taken_since_is_off_and_can_be_deleted(
    stored: Callable[..., StoredDeployments],
) -> None:
    stored().create(given("one"))
    later = stored(deployments=(Deployment("one", "other", "openai", "gpt-4o"),))
    assert the_only(later).off == "config.yaml has a deployment with this id"
    later.delete("one")
    assert later.all() == []


BEDROCK = {"model": "bedrock/amazon.nova-pro-v1:0", "aws_region_name": "eu-west-1", "api_key": None}
AWS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": KEY}


def test_a_vendors_own_secrets_are_not_in_clear_either(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one", **BEDROCK, **AWS))
    assert (KEY in in_the_table(), "AKIA" in in_the_table()) == (False, False)
    assert dict(the_only(stored()).options) == AWS | {"aws_region_name": "eu-west-1"}


def test_a_secret_that_is_changed_is_the_new_one(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one", **BEDROCK, **AWS))
    stored().change("one", {"litellm_params": {"aws_secret_access_key": "another"}, "model_info": {}})
    assert dict(the_only(stored()).options) == AWS | {
        "aws_secret_access_key": "another",
        "aws_region_name": "eu-west-1",
    }


def test_secrets_do_not_follow_an_endpoint_that_changes(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one", **BEDROCK, **AWS))
    moved = {"aws_bedrock_runtime_endpoint": "https://elsewhere.example"}
    with pytest.raises(BadRequest, match="address changes"):
        stored().change("one", {"litellm_params": moved, "model_info": {}})


def test_new_secrets_may_move_and_leave_the_others_behind(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one", **BEDROCK, **AWS, aws_session_token="old"))
    moved = AWS | {"aws_bedrock_runtime_endpoint": "https://elsewhere.example"}
    stored().change("one", {"litellm_params": moved, "model_info": {}})
    assert "aws_session_token" not in dict(the_only(stored()).options)


def test_a_key_does_not_follow_a_model_to_another_vendor(stored: Callable[..., StoredDeployments]) -> None:
    stored().create(given("one"))
    stored().change("one", {"litellm_params": {"model": "gpt-4o-mini"}, "model_info": {}})
    with pytest.raises(BadRequest, match="address changes"):
        stored().change("one", {"litellm_params": {"model": "bedrock/openai.gpt-oss-20b-1:0"}, "model_info": {}})
