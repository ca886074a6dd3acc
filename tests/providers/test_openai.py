"""Calls to OpenAI carry our key and nobody else's, and streams end with their usage."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.providers.base import Outgoing, Target
from app.providers.openai import OpenAI

TARGET = Target(model="gpt-4o", api_key="sk-ours")


def prepared(
    body: dict[str, Any],
    *,
    target: Target = TARGET,
    route: str = "chat/completions",
    incoming: dict[str, str] | None = None,
) -> Outgoing:
    return OpenAI().prepare(target, route, body, incoming or {})


def test_a_call_goes_to_openai_with_our_key() -> None:
    outgoing = prepared({"model": "gpt-4o"})
    assert outgoing.url == "https://api.openai.com/v1/chat/completions"
    assert outgoing.headers["Authorization"] == "Bearer sk-ours"


@pytest.mark.parametrize("base", ["http://10.0.0.1:8000/v1", "http://10.0.0.1:8000/v1/"])
def test_api_base_says_where_a_call_goes(base: str) -> None:
    outgoing = prepared({}, target=Target(model="m", api_base=base), route="embeddings")
    assert outgoing.url == "http://10.0.0.1:8000/v1/embeddings"


def test_without_a_key_no_authorization_is_sent() -> None:
    assert "Authorization" not in prepared({}, target=Target(model="m", api_base="http://10.0.0.1/v1")).headers


def test_of_the_clients_headers_only_the_models_business_passes() -> None:
    incoming = {
        "Authorization": "Bearer sk-clients",
        "Cookie": "session=1",
        "OpenAI-Organization": "org-clients",
        "X-Forwarded-For": "10.1.2.3",
        "OpenAI-Beta": "assistants=v2",
    }
    assert prepared({}, incoming=incoming).headers == {
        "OpenAI-Beta": "assistants=v2",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer sk-ours",
    }


def test_the_body_is_passed_on_with_every_field() -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "π"}], "some_new_field": {"a": [1, None]}}
    assert orjson.loads(prepared(body).body) == body


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
@pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
def test_a_stream_is_asked_for_its_usage(route: str, options: dict[str, Any]) -> None:
    sent = orjson.loads(prepared({"stream": True, **options}, route=route).body)
    assert sent["stream_options"] == {"include_usage": True}


def test_other_stream_options_are_kept() -> None:
    sent = orjson.loads(prepared({"stream": True, "stream_options": {"include_obfuscation": False}}).body)
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("body", [{}, {"stream": False}, {"stream": True, "stream_options": "wrong"}])
def test_nothing_is_added_where_no_stream_is_asked_for_rightly(body: dict[str, Any]) -> None:
    assert orjson.loads(prepared(body).body) == body


def test_the_callers_request_stays_as_it_was() -> None:
    body: dict[str, Any] = {"stream": True, "stream_options": {}}
    prepared(body)
    assert body == {"stream": True, "stream_options": {}}


def test_no_key_shows_when_a_target_or_a_call_is_printed() -> None:
    assert "sk-ours" not in repr(TARGET) + repr(prepared({}))


def test_an_answer_that_is_not_json_has_no_usage_and_no_text() -> None:
    provider = OpenAI()
    assert provider.counts("chat/completions", b"<html>") is None
    assert provider.text_bytes("chat/completions", b"<html>") == 0
