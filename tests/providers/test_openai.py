"""Calls to OpenAI carry our key and nobody else's, and streams end with their usage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.providers import PROVIDERS
from app.providers.base import Outgoing, Target
from tests.providers.sending import sent

OPENAI = PROVIDERS["openai"]
TARGET = Target(model="gpt-4o", api_key="sk-ours")


def prepared(
    body: dict[str, Any],
    *,
    target: Target = TARGET,
    route: str = "chat/completions",
    incoming: dict[str, str] | None = None,
) -> Outgoing:
    return OPENAI.formats[route].prepare(target, sent(route, body, incoming))


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
        "openai-beta": "assistants=v2",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer sk-ours",
    }


def test_the_body_is_passed_on_byte_for_byte_but_for_the_model() -> None:
    raw = (
        b'{ "messages":[{"role":"user","content":"\\u03c0 \xcf\x80"}], "model": "ours",\n "top_p": 1.0, "x": [1,null] }'
    )
    request = replace(sent("chat/completions", orjson.loads(raw)), raw=raw)
    outgoing = OPENAI.formats["chat/completions"].prepare(TARGET, request)
    assert outgoing.body == raw.replace(b'"ours"', b'"gpt-4o"')


def test_what_the_gateway_changes_is_changed() -> None:
    request = sent("chat/completions", {"model": "m", "metadata": {"tags": ["a"]}}, changes={"metadata": None})
    assert orjson.loads(OPENAI.formats["chat/completions"].prepare(TARGET, request).body) == {"model": "gpt-4o"}


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
    assert orjson.loads(prepared(body).body) == body | {"model": "gpt-4o"}


def test_a_stream_that_is_asked_for_its_usage_already_is_left_as_it_is() -> None:
    raw = b'{"model":"gpt-4o", "stream" : true, "stream_options":{ "include_usage":true}}'
    request = replace(sent("chat/completions", orjson.loads(raw)), raw=raw)
    assert OPENAI.formats["chat/completions"].prepare(TARGET, request).body == raw


def test_the_callers_request_stays_as_it_was() -> None:
    body: dict[str, Any] = {"stream": True, "stream_options": {}}
    prepared(body)
    assert body == {"stream": True, "stream_options": {}}


def test_no_key_shows_when_a_target_or_a_call_is_printed() -> None:
    assert "sk-ours" not in repr(TARGET) + repr(prepared({}))


def test_an_answer_that_is_not_json_has_no_usage_and_no_text() -> None:
    whole = OPENAI.formats["chat/completions"].whole(sent("chat/completions", {}), 200, b"<html>")
    assert (whole.body, whole.counts, whole.text_bytes) == (b"<html>", None, 0)


def test_an_errors_text_is_no_output() -> None:
    answer = b'{"choices":[{"message":{"content":"words"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    whole = OPENAI.formats["chat/completions"].whole(sent("chat/completions", {}), 500, answer)
    assert (whole.counts, whole.text_bytes) == (None, 0)


@pytest.mark.parametrize(
    ("told", "tier"), [("flex", "flex"), ("priority", "priority"), ("default", None), (None, None)]
)
def test_the_tier_that_served_a_call_is_told(told: str | None, tier: str | None) -> None:
    answer = orjson.dumps({"service_tier": told, "choices": []})
    assert OPENAI.formats["chat/completions"].whole(sent("chat/completions", {}), 200, answer).tier == tier
