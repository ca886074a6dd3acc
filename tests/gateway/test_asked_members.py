"""No member of a body leads past the model that was asked for, or past its price."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import BadRequest
from app.gateway.asked import Request, parse
from app.ledger.pricing import is_known_tier

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
LEAST: dict[str, dict[str, Any]] = {
    "chat/completions": HELLO,
    "messages": HELLO | {"max_tokens": 9},
    "responses": {"model": "m", "input": "hi"},
}


def refused(route: str, body: bytes) -> str | None:
    with pytest.raises(BadRequest) as error:
        parse(Request(route, body, {}))
    return error.value.param


def with_member(route: str, name: str, value: Any) -> bytes:
    return orjson.dumps(LEAST[route] | {name: value})


@pytest.mark.parametrize(
    ("route", "name", "value"),
    [
        ("chat/completions", "Model", "dearer"),
        ("chat/completions", "MAX_TOKENS", 100_000),
        ("chat/completions", "\u017ftream", True),
        ("chat/completions", "max_to\u212aens", 9),
        ("messages", "Speed", "fast"),
        ("responses", "Background", True),
    ],
)
def test_a_name_that_only_some_servers_read_as_another_is_refused(route: str, name: str, value: Any) -> None:
    # Go's encoding/json, which Ollama reads with, matches names without regard to case, as Unicode folds it.
    assert refused(route, with_member(route, name, value)) == name


def test_a_name_that_decides_about_nothing_may_be_written_in_any_case() -> None:
    assert parse(Request("chat/completions", with_member("chat/completions", "Temperature", 1), {})).model == "m"


@pytest.mark.parametrize("route", LEAST)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", ["cheap", "dearer"]),
        ("fallbacks", [{"model": "dearer"}]),
        ("preset", "somebody-elses"),
        ("compound_custom", {"models": {"answering_model": "dearer"}}),
        ("plugins", [{"id": "web"}]),
        ("search_parameters", {"mode": "on"}),
        ("tools", [{"type": "openrouter:advisor", "parameters": {"model": "dearer"}}]),
        ("tools", [{"type": "advisor_20260301", "name": "advisor", "model": "dearer"}]),
        ("tools", [{"type": "x_search"}]),
        ("tools", [{"type": "collections_search"}]),
        ("tools", [{"type": "image_generation", "model": "dearer"}]),
    ],
)
def test_what_calls_another_model_or_has_a_price_that_is_not_told_is_refused(route: str, name: str, value: Any) -> None:
    assert refused(route, with_member(route, name, value)) == name


@pytest.mark.parametrize("name", ["models", "fallbacks", "plugins", "tools"])
def test_a_list_of_nothing_asks_for_nothing(name: str) -> None:
    assert parse(Request("chat/completions", with_member("chat/completions", name, []), {})).model == "m"


@pytest.mark.parametrize("name", ["models", "fallbacks", "plugins", "tools", "web_search_options"])
def test_what_is_refused_must_not_stand_twice(name: str) -> None:
    twice = b'{"model": "m", "messages": [], "%b": [{}], "%b": []}' % (name.encode(), name.encode())
    assert refused("chat/completions", twice) == name


def test_of_two_words_for_the_tier_the_dear_one_is_held_for() -> None:
    body = orjson.dumps(LEAST["messages"] | {"service_tier": "flex", "speed": "fast"})
    assert parse(Request("messages", body, {})).tier == "fast"


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"inference_geo": "us"}, "us"),
        ({"inference_geo": "us", "speed": "fast"}, "fast us"),
        ({"inference_geo": "global"}, None),
    ],
)
def test_a_place_that_is_asked_for_is_held_for(fields: dict[str, Any], tier: str | None) -> None:
    call = parse(Request("messages", orjson.dumps(LEAST["messages"] | fields), {}))
    assert (call.tier, is_known_tier(call.tier)) == (tier, True)


SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("route", "name", "value", "searches"),
    [
        ("messages", "tools", [SEARCH | {"max_uses": 3}], 3),
        ("messages", "tools", [SEARCH], 10),
        ("chat/completions", "tools", [SEARCH | {"max_uses": 3}], 3),
        ("chat/completions", "tools", [{"type": "google_search"}], 10),
        ("chat/completions", "tools", [{"googleSearch": {}}], 10),
        ("chat/completions", "tools", [{"google_search": {}}], 10),
        ("chat/completions", "web_search_options", {}, 10),
        ("messages", "web_search_options", {}, 10),
    ],
)
def test_a_conversation_that_may_search_is_held_for_its_searches(
    route: str, name: str, value: Any, searches: int
) -> None:
    call = parse(Request(route, with_member(route, name, value), {}))
    assert (call.others, call.unbounded_input) == ({"web_searches": searches}, True)


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}]}


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("messages", {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
        ("messages", {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}),
        ("messages", content({"type": "document", "source": {"type": "base64", "data": "JVBERi0="}})),
        ("messages", content({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        ("messages", content({"type": "tool_result", "content": [{"type": "document", "source": {}}]})),
        ("chat/completions", content({"type": "file", "file": {"file_id": "file-1"}})),
        ("chat/completions", content({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}})),
        ("chat/completions", {"tools": [{"urlContext": {}}]}),
        ("chat/completions", {"cached_content": "cachedContents/1"}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
    ],
)
def test_a_conversation_that_reads_what_is_not_in_its_body_says_so(route: str, fields: dict[str, Any]) -> None:
    assert parse(Request(route, orjson.dumps(LEAST[route] | fields), {})).unbounded_input


def test_a_file_whose_type_is_written_with_escapes_is_a_file() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":[{"type":"\\u0066ile","file":{"file_id":"file-1"}}]}]}'
    assert parse(Request("chat/completions", body, {})).unbounded_input


@pytest.mark.parametrize("route", ["chat/completions", "messages"])
def test_a_tool_that_takes_files_is_no_file(route: str) -> None:
    schema = {"type": "object", "properties": {"file": {"type": "string"}, "document": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    anthropics = {"name": "f", "input_schema": schema}
    call = parse(Request(route, with_member(route, "tools", [tool if route != "messages" else anthropics]), {}))
    assert (call.others, call.unbounded_input) == ({}, False)
