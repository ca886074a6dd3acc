"""A request of Anthropic's clients is asked of OpenAI's models in OpenAI's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from app.errors import BadRequest
from app.providers import PROVIDERS
from app.providers.base import Outgoing, Sent, Target
from app.providers.messages_over_chat_request import chat_request
from tests.providers.sending import sent

HELLO = {"role": "user", "content": "Hello"}
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}},
    "cache_control": {"type": "ephemeral"},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"place": "Zürich"}}


def outgoing(
    *turns: Mapping[str, Any],
    vendor: str = "openai",
    api_base: str | None = None,
    changes: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Outgoing:
    body = {"model": "ours", "max_tokens": 100, "messages": list(turns) or [HELLO]} | fields
    target = Target(model="gpt-5.4", api_key="sk-ours", api_base=api_base)
    return PROVIDERS[vendor].formats["messages"].prepare(target, sent("messages", body, headers, changes))


def asked(*turns: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    body = orjson.loads(outgoing(*turns, **fields).body)
    assert isinstance(body, dict)
    return body


def said(*turns: Mapping[str, Any], **fields: Any) -> Any:
    return asked(*turns, **fields)["messages"]


def refused(*turns: Mapping[str, Any], **fields: Any) -> str | None:
    with pytest.raises(BadRequest) as raised:
        outgoing(*turns, **fields)
    return raised.value.param


def test_a_message_goes_to_chat_completions_with_our_key_and_without_anthropics_headers() -> None:
    call = outgoing(headers={"anthropic-beta": "claude-code-20250219", "x-api-key": "sk-clients"})
    assert call.url == "https://api.openai.com/v1/chat/completions"
    assert call.headers == {
        "Authorization": "Bearer sk-ours",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }


def test_the_least_that_can_be_asked() -> None:
    assert asked() == {
        "model": "gpt-5.4",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 100,
    }


@pytest.mark.parametrize(
    ("vendor", "api_base", "name"),
    [
        ("openai", None, "max_completion_tokens"),
        ("openai", "http://10.0.0.1/v1", "max_tokens"),
        ("azure", "https://ours.openai.azure.com", "max_completion_tokens"),
    ],
)
def test_the_cap_has_the_name_that_the_provider_knows(vendor: str, api_base: str | None, name: str) -> None:
    body = asked(vendor=vendor, api_base=api_base)
    assert {word: body[word] for word in body if word.startswith("max_")} == {name: 100}


def test_a_cap_of_the_gateways_goes_before_the_clients() -> None:
    assert asked(changes={"max_tokens": 5})["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    "system", ["Be brief.", [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]]
)
def test_the_system_prompt_comes_first(system: Any) -> None:
    assert said(system=system)[0] == {"role": "system", "content": "Be brief."}


def test_the_blocks_of_a_system_prompt_are_one_text_without_claude_codes_accounting() -> None:
    accounting = "x-anthropic-billing-header: cc_version=2.1.177; cc_entrypoint=cli; cch=36ee5;"
    blocks = [{"type": "text", "text": part} for part in (accounting, "You are Claude Code.", "Be brief.")]
    assert said(system=blocks)[0]["content"] == "You are Claude Code.\n\nBe brief."


def test_an_instruction_in_the_middle_stays_there() -> None:
    told = said(HELLO, {"role": "system", "content": "Be brief."}, HELLO)
    assert [message["role"] for message in told] == ["user", "system", "user"]


def test_calls_of_tools_are_followed_by_their_results_and_then_by_the_user() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"},
        {"type": "text", "text": "Thanks"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_2",
            "content": [{"type": "text", "text": "sun"}],
            "is_error": True,
        },
    ]
    thinking = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    spoken = {"type": "text", "text": "I look."}
    told = said(
        HELLO,
        {"role": "assistant", "content": [thinking, spoken, CALL, CALL | {"id": "toolu_2", "input": {}}]},
        {"role": "user", "content": results},
    )
    functions = [
        {"name": "get_weather", "arguments": '{"place":"Zürich"}'},
        {"name": "get_weather", "arguments": "{}"},
    ]
    calls = [
        {"id": f"toolu_{at}", "type": "function", "function": function} for at, function in enumerate(functions, 1)
    ]
    assert told[1:] == [
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "sun"},
        {"role": "user", "content": "Thanks"},
    ]


def test_a_model_that_tells_its_reasoning_gets_it_back_and_never_claudes() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": ""}
    claudes = {"type": "thinking", "thinking": "Let me see.", "signature": "EqQB"}
    body = {"messages": [{"role": "assistant", "content": [claudes, own, CALL]}]}
    (told,) = chat_request(sent("messages", body), cap="max_tokens", reasoning=True)["messages"]
    assert told["reasoning_content"] == "hm"


def test_openai_gets_no_reasoning_back() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": ""}
    assert said({"role": "assistant", "content": [own, CALL]})[0].keys() == {"role", "content", "tool_calls"}


def test_a_body_that_is_nested_too_deeply_to_be_written_is_refused() -> None:
    schema = b'{"a": ' * 500 + b"{}" + b"}" * 500
    raw = b'{"messages": [], "tools": [{"name": "f", "input_schema": ' + schema + b"}]}"
    deep = Sent("messages", raw, orjson.loads(raw))
    with pytest.raises(BadRequest, match="too deeply"):
        PROVIDERS["openai"].formats["messages"].prepare(Target(model="gpt-5.4"), deep)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"type": "base64", "media_type": "image/png", "data": "iVBORw0="}, "data:image/png;base64,iVBORw0="),
        ({"type": "url", "url": "https://example.com/a.png"}, "https://example.com/a.png"),
    ],
)
def test_images_are_shown(source: dict[str, str], url: str) -> None:
    told = said({"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "What?"}]})
    assert told[0]["content"] == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "What?"},
    ]


def test_documents_are_files_or_texts() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    plain = {"type": "text", "media_type": "text/plain", "data": "Once"}
    told = said(
        {
            "role": "user",
            "content": [{"type": "document", "source": pdf, "title": "a.pdf"}, {"type": "document", "source": plain}],
        }
    )
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    assert told[0]["content"] == [{"type": "file", "file": file}, {"type": "text", "text": "Once"}]


def test_an_image_that_a_tool_gives_is_shown_by_the_user() -> None:
    source = {"type": "url", "url": "https://example.com/a.png"}
    content = [{"type": "text", "text": "Here."}, {"type": "image", "source": source}]
    told = said({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": content}]})
    assert [message["role"] for message in told] == ["tool", "user"]
    assert told[0]["content"].startswith("Here.\n")
    assert told[1]["content"] == [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def test_tools_are_functions() -> None:
    function = {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": WEATHER["input_schema"],
    }
    assert asked(tools=[WEATHER, {"name": "f", "type": "custom"}])["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_of_tools_is_translated(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    body = asked(tools=[WEATHER], tool_choice=choice)
    assert {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body} == expected


def test_a_stream_is_asked_for_its_usage() -> None:
    body = asked(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_sampling_is_translated() -> None:
    body = asked(temperature=0.5, top_p=0.9, stop_sequences=["END"], service_tier="standard_only")
    assert (body["temperature"], body["top_p"], body["stop"], body["service_tier"]) == (0.5, 0.9, ["END"], "default")


@pytest.mark.parametrize(("user", "length"), [("user-1", 6), ("user_" + "a" * 150, 64)])
def test_the_user_is_told_in_a_length_that_openai_takes(user: str, length: int) -> None:
    assert len(asked(metadata={"user_id": user})["user"]) == length


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 16_000}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "minimal"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "xhigh"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
    ],
)
def test_thinking_is_an_effort_where_it_has_a_size(fields: dict[str, Any], effort: str | None) -> None:
    assert asked(**fields).get("reasoning_effort") == effort


@pytest.mark.parametrize("field", ["output_format", "output_config"])
def test_a_schema_for_the_answer_is_kept(field: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "properties": {}}}
    body = asked(**{field: wanted if field == "output_format" else {"format": wanted}})
    described = {"name": "answer", "schema": wanted["schema"], "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": described}


def test_hints_for_anthropics_caches_are_left_out() -> None:
    assert asked(cache_control={"type": "ephemeral"}, context_management={"edits": []}) == asked()


def test_fields_that_anthropic_does_not_know_are_the_providers() -> None:
    assert asked(top_k=5, seed=1) == asked() | {"top_k": 5, "seed": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container", "container_1"),
        ("mcp_servers", [{"type": "url"}]),
        ("inference_geo", "us"),
        ("speed", "fast"),
        ("tools", [{"type": "web_search_20250305", "name": "web_search"}]),
        ("tools", "all"),
        ("tool_choice", {"type": "some"}),
        ("output_config", {"format": {"type": "json_schema"}}),
    ],
)
def test_what_only_anthropic_can_do_is_refused_by_name(field: str, value: Any) -> None:
    assert refused(**({"tools": [WEATHER]} | {field: value})) == field


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        ({"role": "tool", "content": "1"}, "messages[0].role"),
        ({"role": "user", "content": [{"type": "search_result"}]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": ["text"]}]}, "messages[0].content[0]"),
        ({"role": "user", "content": 5}, "messages[0]"),
        (
            {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]},
            "messages[0].content[0]",
        ),
        ({"role": "assistant", "content": [CALL, {"type": "server_tool_use"}]}, "messages[0].content[1]"),
    ],
)
def test_content_without_a_like_is_refused_where_it_stands(turn: dict[str, Any], place: str) -> None:
    assert refused(turn) == place
