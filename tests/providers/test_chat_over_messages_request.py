"""A chat in OpenAI's words is asked of Anthropic's models in theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from app.errors import BadRequest
from app.providers import PROVIDERS
from app.providers.base import Outgoing, Target
from tests.providers.sending import sent

HELLO = {"role": "user", "content": "Hello"}
PIXEL = "iVBORw0KGgo="
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        "strict": True,
    },
}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}


def outgoing(
    *messages: Mapping[str, Any],
    model: str = "claude-opus-5-5",
    changes: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Outgoing:
    target = Target(model=model, api_key="sk-ant-ours")
    call = sent(
        "chat/completions", {"model": "ours", "messages": list(messages) or [HELLO], **fields}, headers, changes
    )
    return PROVIDERS["anthropic"].formats["chat/completions"].prepare(target, call)


def asked(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    body = orjson.loads(outgoing(*messages, **fields).body)
    assert isinstance(body, dict)
    return body


def refused(*messages: Mapping[str, Any], **fields: Any) -> str | None:
    with pytest.raises(BadRequest) as raised:
        outgoing(*messages, **fields)
    return raised.value.param


def test_a_chat_goes_to_messages_with_our_key_and_the_clients_betas() -> None:
    call = outgoing(headers={"anthropic-beta": "context-1m-2025-08-07", "authorization": "Bearer sk-clients"})
    assert call.url == "https://api.anthropic.com/v1/messages"
    assert call.headers["x-api-key"] == "sk-ant-ours"
    assert call.headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert "authorization" not in call.headers


def test_the_least_that_can_be_asked() -> None:
    assert asked() == {
        "model": "claude-opus-5-5",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "max_tokens": 32_000,
    }


def test_instructions_are_told_apart_wherever_they_stood() -> None:
    body = asked(
        {"role": "system", "content": "Be brief."},
        HELLO,
        {
            "role": "developer",
            "content": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        },
    )
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
    ]
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_a_prompt_of_instructions_alone_is_what_the_user_says() -> None:
    body = asked({"role": "system", "content": "Say hello."})
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
    assert "system" not in body


def test_calls_of_tools_and_their_results_alternate() -> None:
    function = {"name": "get_weather", "arguments": '{"place": "Zürich"}'}
    calls = [{"id": f"call_{at}", "type": "function", "function": function} for at in (1, 2)]
    body = asked(
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "sun"}]},
        {"role": "user", "content": "Thanks"},
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": f"call_{at}", "name": "get_weather", "input": {"place": "Zürich"}} for at in (1, 2)
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "sun"}]},
        {"type": "text", "text": "Thanks"},
    ]


def test_the_ids_of_calls_and_results_are_written_as_anthropic_takes_them() -> None:
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": ""}}
    turns = asked(
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "1"},
    )["messages"]
    assert turns[1]["content"][0]["id"] == turns[2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_texts_of_nothing_but_white_space_are_left_out() -> None:
    blank = {"role": "user", "content": [{"type": "text", "text": " \n"}]}
    assert asked(HELLO, {"role": "assistant", "content": "\n"}, blank) == asked()


def test_turns_of_one_role_are_one() -> None:
    body = asked(HELLO, {"role": "user", "content": "Are you there?"})
    assert [part["text"] for part in body["messages"][0]["content"]] == ["Hello", "Are you there?"]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (f"data:image/png;base64,{PIXEL}", {"type": "base64", "media_type": "image/png", "data": PIXEL}),
        ("https://example.com/a.png", {"type": "url", "url": "https://example.com/a.png"}),
    ],
)
def test_images_are_shown(url: str, source: dict[str, str]) -> None:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}, "cache_control": {"type": "ephemeral"}}
    image = {"type": "image", "source": source, "cache_control": {"type": "ephemeral"}}
    assert asked({"role": "user", "content": [part]})["messages"][0]["content"] == [image]


def test_a_pdf_is_a_document() -> None:
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    document = {"type": "document", "source": source, "title": "a.pdf"}
    body = asked({"role": "user", "content": [{"type": "file", "file": file}]})
    assert body["messages"][0]["content"] == [document]


def test_thinking_is_sent_back_as_it_came() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    body = asked(
        HELLO,
        {"role": "assistant", "content": "Hi", "thinking_blocks": [{"index": 0} | thinking], "reasoning_content": "hm"},
    )
    assert body["messages"][1]["content"] == [thinking, {"type": "text", "text": "Hi"}]


def test_a_messages_own_cache_control_is_that_of_its_last_block() -> None:
    body = asked({"role": "user", "content": "Hello", "cache_control": {"type": "ephemeral", "ttl": "1h"}})
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_tools_keep_their_schema_and_their_cache_control() -> None:
    body = asked(tools=[WEATHER | {"cache_control": {"type": "ephemeral"}}])
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather at a place.",
            "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
            "cache_control": {"type": "ephemeral"},
        }
    ]


def test_a_tool_of_anthropics_own_stays_as_it_is() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    assert asked(tools=[search])["tools"] == [search]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_the_choice_of_tools_is_translated(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert asked(tools=[WEATHER], **fields).get("tool_choice") == choice


@pytest.mark.parametrize(
    ("model", "fields", "cap"),
    [
        ("claude-opus-5-5", {"max_tokens": 7}, 7),
        ("claude-opus-5-5", {"max_completion_tokens": 7}, 7),
        ("claude-opus-5-5", {"max_completion_tokens": 9, "max_tokens": 7}, 7),
        ("claude-3-haiku-20240307", {}, 4096),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", {}, 8192),
        ("claude-3-7-sonnet@20250219", {}, 32_000),
        ("claude-sonnet-4-20250514", {}, 32_000),
        ("my-own-alias", {}, 32_000),
    ],
)
def test_a_cap_is_always_stated(model: str, fields: dict[str, Any], cap: int) -> None:
    assert asked(model=model, **fields)["max_tokens"] == cap


def test_a_cap_of_the_gateways_goes_before_the_clients() -> None:
    assert asked(max_tokens=100, changes={"max_tokens": 5})["max_tokens"] == 5


def test_where_and_how_and_for_whom_is_translated() -> None:
    body = asked(stop="END", user="user-1", service_tier="default", stream=True)
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "user-1"}
    assert body["service_tier"] == "standard_only"
    assert body["stream"] is True


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("claude-opus-4-6", True),
        ("claude-haiku-4-5-20251001", True),
        ("deepseek-chat", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-mythos-preview", False),
    ],
)
def test_sampling_is_asked_only_of_models_that_take_it(
    model: str,
    taken: bool,  # noqa: FBT001 - half of the table
) -> None:
    body = asked(model=model, temperature=1.5, top_p=0.9, top_k=5)
    sampling = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    assert sampling == ({"temperature": 1, "top_p": 0.9, "top_k": 5} if taken else {})


def test_stop_sequences_of_white_space_are_left_out() -> None:
    assert asked(stop=["\n", "END"])["stop_sequences"] == ["END"]


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-opus-5-5", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-6", "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("claude-sonnet-5", "none", {"output_config": {"effort": "low"}}),
        ("claude-sonnet-4-5-20250929", "medium", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-sonnet-4-5-20250929", "none", {}),
    ],
)
def test_an_effort_is_thinking_as_the_model_knows_it(model: str, effort: str, expected: dict[str, Any]) -> None:
    body = asked(model=model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected


@pytest.mark.parametrize(("cap", "thinking"), [(2000, {"type": "enabled", "budget_tokens": 1999}), (1024, None)])
def test_a_budget_for_thinking_fits_into_the_cap(cap: int, thinking: dict[str, Any] | None) -> None:
    assert asked(model="claude-opus-4-5", reasoning_effort="high", max_tokens=cap).get("thinking") == thinking


def test_a_clients_own_thinking_goes_before_its_effort() -> None:
    own = {"type": "enabled", "budget_tokens": 5000}
    assert asked(model="claude-opus-4-5", thinking=own, reasoning_effort="low")["thinking"] == own


def test_a_schema_is_enforced_as_far_as_anthropic_can() -> None:
    body = asked(response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}})
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"age": {"type": "integer", "description": '{"minimum":0}'}},
            "required": ["age"],
            "additionalProperties": False,
        },
    }


def test_json_without_a_schema_is_asked_for_in_words() -> None:
    body = asked({"role": "system", "content": "Be brief."}, HELLO, response_format={"type": "json_object"})
    assert [block["text"][:11] for block in body["system"]] == ["Be brief.", "Answer with"]


def test_fields_that_openai_does_not_know_are_anthropics() -> None:
    body = asked(speed="fast", cache_control={"type": "ephemeral"}, container="container_1")
    assert (body["speed"], body["cache_control"], body["container"]) == ("fast", {"type": "ephemeral"}, "container_1")


def test_a_schema_that_does_not_say_its_type_is_one_of_an_object() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}
    assert asked(tools=[tool])["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("field", ["store", "metadata", "seed", "prediction", "verbosity", "prompt_cache_key"])
def test_hints_without_a_like_are_left_out(field: str) -> None:
    assert asked(**{field: "x"}) == asked()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("functions", [{"name": "f"}]),
        ("web_search_options", {}),
        ("service_tier", "flex"),
        ("reasoning_effort", "enormous"),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_schema"}),
        ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
        ("tools", {"type": "function"}),
    ],
)
def test_what_would_change_the_answer_or_its_price_is_refused_by_name(field: str, value: Any) -> None:
    assert refused(**{field: value}) == field


@pytest.mark.parametrize(
    ("field", "value"), [("n", 1), ("logprobs", False), ("presence_penalty", 0.0), ("functions", []), ("audio", None)]
)
def test_a_value_that_asks_for_nothing_is_let_through(field: str, value: Any) -> None:
    assert asked(**{field: value}) == asked()


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "function", "content": "1"}, "messages[1].role"),
        ({"role": ["user"], "content": "1"}, "messages[1].role"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": ["text"]}]}, "messages[1].content[0]"),
        (
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a'}}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_content_without_a_like_is_refused_where_it_stands(message: dict[str, Any], place: str) -> None:
    assert refused(HELLO, message) == place
