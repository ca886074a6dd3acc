"""A key's model aliases and the tags of calls, from the request to the reports."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import Ask
from tests.people import HELLO
from worker.booking import settle_batch


def settle(app: Flask) -> None:
    with app.app_context():
        settle_batch(0)


def call(app: Flask, key: str, body: dict[str, Any], **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().post("/v1/chat/completions", json=body, headers=named | {"Authorization": f"Bearer {key}"})


def test_an_alias_is_called_checked_and_booked_as_what_it_stands_for(gateway_app: Flask, admin: Ask) -> None:
    key = admin("/key/generate", {"aliases": {"gpt-9": "mock-gpt-4o"}, "models": ["mock-gpt-4o"]}).json["key"]
    assert call(gateway_app, key, HELLO | {"model": "gpt-9"}).status_code == 200
    settle(gateway_app)
    assert [row["model_group"] for row in admin("/spend/logs").json] == ["mock-gpt-4o"]


def test_an_alias_gives_no_model_that_the_key_may_not_use(gateway_app: Flask, admin: Ask) -> None:
    key = admin("/key/generate", {"aliases": {"cheap": "mock-gpt-4o"}, "models": ["cheap"]}).json["key"]
    assert call(gateway_app, key, HELLO | {"model": "cheap"}).status_code == 403


def test_tags_of_key_body_and_header_stand_in_the_ledger_and_in_the_reports(gateway_app: Flask, admin: Ask) -> None:
    key = admin("/key/generate", {"tags": ["web"]}).json["key"]
    answer = call(gateway_app, key, HELLO | {"metadata": {"tags": ["a", "web"]}}, x_litellm_tags="b, a")
    assert answer.status_code == 200
    settle(gateway_app)
    (row,) = admin("/spend/logs").json
    assert row["request_tags"] == ["web", "b", "a"]
    assert {tag["individual_request_tag"] for tag in admin("/spend/tags").json} == {"web", "b", "a"}


@pytest.mark.parametrize("tags", ["a", [1], [""], ["x" * 256], ["t"] * 21])
def test_tags_that_are_none_are_refused(gateway_app: Flask, admin: Ask, tags: Any) -> None:
    key = admin("/key/generate", {}).json["key"]
    answer = call(gateway_app, key, HELLO | {"metadata": {"tags": tags}})
    assert (answer.status_code, answer.json["error"]["param"]) in {(400, "metadata.tags"), (400, "tags")}
