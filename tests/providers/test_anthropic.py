"""Calls to Anthropic carry our key and the client's bytes; usage is read from what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from app.providers import PROVIDERS
from app.providers.base import Outgoing, Target, Whole
from tests.providers.messages import FRESH, message
from tests.providers.sending import sent

TARGET = Target(model="claude-opus-5-5", api_key="sk-ant-ours")
HELLO = [{"role": "user", "content": "Hello"}]


def prepared(
    body: Mapping[str, Any],
    *,
    target: Target = TARGET,
    route: str = "messages",
    headers: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Outgoing:
    return PROVIDERS["anthropic"].formats[route].prepare(target, sent(route, body, headers, changes))


def whole(answer: bytes, status: int = 200, route: str = "messages") -> Whole:
    return PROVIDERS["anthropic"].formats[route].whole(sent(route, {}), status, answer)


def test_a_call_goes_to_anthropic_with_our_key() -> None:
    outgoing = prepared({"model": "claude", "messages": HELLO})
    assert outgoing.url == "https://api.anthropic.com/v1/messages"
    assert outgoing.headers["x-api-key"] == "sk-ant-ours"


def test_tokens_are_counted_at_a_route_of_its_own() -> None:
    outgoing = prepared({"model": "claude", "messages": HELLO}, route="messages/count_tokens")
    assert outgoing.url == "https://api.anthropic.com/v1/messages/count_tokens"


@pytest.mark.parametrize(
    "base", ["http://10.0.0.1", "http://10.0.0.1/", "http://10.0.0.1/v1", "http://10.0.0.1/v1/messages"]
)
def test_api_base_says_where_a_call_goes(base: str) -> None:
    outgoing = prepared({"model": "m"}, target=Target(model="m", api_base=base))
    assert outgoing.url == "http://10.0.0.1/v1/messages"
    assert "x-api-key" not in outgoing.headers


def test_of_the_clients_headers_only_the_models_business_passes() -> None:
    headers = {
        "X-Api-Key": "sk-clients",
        "Authorization": "Bearer sk-clients",
        "Cookie": "session=1",
        "Anthropic-Beta": "claude-code-20250219,context-1m-2025-08-07",
        "Anthropic-Version": "2024-01-01",
    }
    assert prepared({"model": "m"}, headers=headers).headers == {
        "anthropic-beta": "claude-code-20250219,context-1m-2025-08-07",
        "anthropic-version": "2024-01-01",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "x-api-key": "sk-ant-ours",
    }


def test_a_client_without_a_version_gets_the_usual_one() -> None:
    assert prepared({"model": "m"}).headers["anthropic-version"] == "2023-06-01"


def test_of_the_body_nothing_but_the_model_is_changed() -> None:
    body = {"model": "ours", "max_tokens": 10, "messages": HELLO, "some_new_field": {"a": [1.0, None, "π"]}}
    assert prepared(body).body == orjson.dumps(body | {"model": "claude-opus-5-5"})


def test_a_cap_of_the_gateways_is_set() -> None:
    outgoing = prepared({"model": "ours", "max_tokens": 10, "messages": HELLO}, changes={"max_tokens": 5})
    assert orjson.loads(outgoing.body)["max_tokens"] == 5


def test_no_key_shows_when_a_call_is_printed() -> None:
    assert "sk-ant-ours" not in repr(prepared({"model": "m"}))


def test_an_answer_passes_byte_for_byte_with_its_usage() -> None:
    answer = orjson.dumps(message([{"type": "text", "text": "Hi, π"}]), option=orjson.OPT_INDENT_2)
    assert whole(answer) == Whole(answer, {"input": 25, "output": 15}, None, 6)


def test_what_was_served_fast_or_by_priority_says_so() -> None:
    fast = orjson.dumps(message([], FRESH | {"service_tier": "standard", "speed": "fast"}))
    priority = orjson.dumps(message([], FRESH | {"service_tier": "priority", "speed": "standard"}))
    assert (whole(fast).tier, whole(priority).tier) == ("fast", "priority")


def test_the_standard_way_of_being_served_has_no_name() -> None:
    assert whole(orjson.dumps(message([], FRESH | {"service_tier": "standard", "speed": "standard"}))).tier is None


def test_an_error_passes_and_has_no_usage() -> None:
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}'
    assert whole(error, 529) == Whole(error)


def test_counting_tokens_takes_none() -> None:
    counted = whole(b'{"input_tokens": 2095}', route="messages/count_tokens")
    assert counted == Whole(b'{"input_tokens": 2095}', {"input": 0, "output": 0})


def test_a_count_that_is_refused_has_no_usage() -> None:
    assert whole(b"{}", 400, "messages/count_tokens") == Whole(b"{}")


def test_an_answer_that_is_not_json_has_no_usage_and_no_text() -> None:
    assert whole(b"<html>") == Whole(b"<html>")
