"""Chats of OpenAI's clients are requests that Bedrock's Converse API takes, by the word of AWS's own library."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.providers.converse_request import converse_body
from tests.providers.bedrock_model import problems

NOVA = "amazon.nova-pro-v1:0"
HELLO = [{"role": "user", "content": "Hello"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": ""}},
    ],
}


def made(messages: list[dict[str, Any]] = HELLO, model: str = NOVA, **asked: Any) -> dict[str, Any]:
    body = converse_body({"model": "ours", "messages": messages, **asked}, model)
    assert problems(body) == ""
    return body


def content(*parts: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts)}]


def refusal(messages: Any = HELLO, **asked: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        converse_body({"messages": messages, **asked}, NOVA)
    return caught.value


def test_a_chat_is_turns_and_what_the_system_says() -> None:
    told: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": [{"type": "text", "text": "How"}, {"type": "text", "text": "are you?"}]},
    ]
    assert made(told) == {
        "system": [{"text": "Be brief."}, {"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hello"}]},
            {"role": "assistant", "content": [{"text": "Hi!"}]},
            {"role": "user", "content": [{"text": "How"}, {"text": "are you?"}]},
        ],
    }


def test_what_decides_about_the_output_keeps_its_value() -> None:
    body = made(max_completion_tokens=100, max_tokens=200, temperature=0.5, top_p=0.9, stop="END", stream=True)
    assert body["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}
    assert made(max_tokens=7, stop=["a", "b"])["inferenceConfig"] == {"maxTokens": 7, "stopSequences": ["a", "b"]}


def test_tools_and_what_became_of_them_are_told_in_turns() -> None:
    results: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "No city"}]},
        {"role": "user", "content": "Thanks"},
    ]
    body = made([*HELLO, CALLED, *results], tools=[WEATHER])
    use = {"name": "get_weather"}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "call_1", "input": {"city": "Rome"}} | use},
                {"toolUse": {"toolUseId": "call_2", "input": {}} | use},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "Sunny"}]}},
                {"toolResult": {"toolUseId": "call_2", "content": [{"text": "No city"}]}},
                {"text": "Thanks"},
            ],
        },
    ]
    function = WEATHER["function"]
    assert isinstance(function, dict)
    assert body["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "get_weather",
                    "description": "The weather of a city",
                    "inputSchema": {"json": function["parameters"]},
                }
            }
        ]
    }


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    body = made(tools=[{"type": "function", "function": {"name": "now", "strict": True}}])
    schema = {"json": {"type": "object", "properties": {}}}
    assert body["toolConfig"]["tools"] == [{"toolSpec": {"name": "now", "strict": True, "inputSchema": schema}}]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "get_weather"}}, {"tool": {"name": "get_weather"}}),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: Any, said: dict[str, Any]) -> None:
    assert made(tools=[WEATHER], tool_choice=choice)["toolConfig"]["toolChoice"] == said


def test_a_model_that_may_call_no_tool_is_told_of_none() -> None:
    assert "toolConfig" not in made(tools=[WEATHER], tool_choice="none")


def test_tools_cannot_be_forbidden_once_they_were_called() -> None:
    assert refusal([*HELLO, CALLED], tools=[WEATHER], tool_choice="none").param == "tool_choice"


def test_images_recordings_and_files_are_sent_as_they_came() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    file = {
        "type": "file",
        "file": {"filename": "my_report (1).pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
    }
    assert made(content(image, sound, file))["messages"][0]["content"] == [
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
        {"document": {"format": "pdf", "name": "my report (1) pdf", "source": {"bytes": "JVBERg=="}}},
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "data: URI"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}, "image/tiff"),
        ({"type": "image_url", "image_url": {}}, "data: URI"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "data: URI"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,AA=="}}, "application/zip"),
        ({"type": "video_url", "video_url": {}}, "video_url"),
        ({"text": "no type"}, "None"),
    ],
)
def test_a_part_that_bedrock_cannot_read_is_refused_by_name(part: dict[str, Any], words: str) -> None:
    error = refusal(content(part))
    assert (error.param, words in error.message) == ("messages", True)


def test_what_is_marked_for_the_cache_ends_with_a_cache_point() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = made(
        [
            {"role": "system", "content": [{"type": "text", "text": "Long"} | hour]},
            {"role": "user", "content": "Hello"} | mark,
        ],
        tools=[WEATHER | mark],
    )
    point = {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "Long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][0]["content"] == [{"text": "Hello"}, point]
    assert body["toolConfig"]["tools"][1] == point


def test_thoughts_go_back_with_their_signature() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    body = made([*HELLO, {"role": "assistant", "content": "Hi", "thinking_blocks": blocks}, *HELLO])
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
        {"text": "Hi"},
    ]


def test_a_schema_for_the_answer_is_told_as_text() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    given = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    (form,) = made(response_format=given)["outputConfig"].values()
    definition = form["structure"]["jsonSchema"]
    assert (form["type"], definition["name"], orjson.loads(definition["schema"])) == ("json_schema", "place", schema)


def test_effort_is_told_in_the_models_words() -> None:
    assert made(reasoning_effort="minimal")["outputConfig"] == {"effort": "low"}
    body = made(model="openai.gpt-oss-120b-1:0", reasoning_effort="high")
    assert (body["additionalModelRequestFields"], "outputConfig" in body) == ({"reasoning_effort": "high"}, False)
    assert "outputConfig" not in made(reasoning_effort="none")


def test_the_tier_is_asked_for() -> None:
    assert made(service_tier="flex")["serviceTier"] == {"type": "flex"}
    assert "serviceTier" not in made(service_tier="auto")


def test_what_is_the_models_own_goes_along_and_what_is_openais_alone_stays() -> None:
    body = made(
        top_k=5,
        thinking={"type": "enabled", "budget_tokens": 1024},
        guardrailConfig={"guardrailIdentifier": "abcdefgh", "guardrailVersion": "1"},
        user="ada",
        seed=1,
        logprobs=False,
    )
    assert body["additionalModelRequestFields"] == {
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert body.keys() == {"messages", "additionalModelRequestFields", "guardrailConfig"}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"tools": "x"}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{"}}]}]}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "[]"}}]}]}, "messages"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(asked: dict[str, Any], param: str) -> None:
    assert refusal(**asked).param == param


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def objects(*names: str, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects whose members are now and then what they should be."""
    members = {name: known.get(name, ANYTHING) | ANYTHING for name in (*names, *known)}
    return st.fixed_dictionaries({}, optional=members) | ANYTHING


PARTS = objects(
    "text", "image_url", "input_audio", "cache_control", type=st.sampled_from(["text", "image_url", "file"])
)
FUNCTIONS = objects("name", "parameters", "arguments", "description")
CALLS = objects("id", type=st.just("function"), function=FUNCTIONS)
MESSAGES = objects(
    "thinking_blocks",
    "refusal",
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.lists(PARTS, max_size=2),
    tool_calls=st.lists(CALLS, max_size=2),
)
BODIES = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, max_size=3) | ANYTHING},
    optional={
        "tools": st.lists(CALLS, max_size=2) | ANYTHING,
        "tool_choice": CALLS,
        "response_format": objects("json_schema", type=st.just("json_schema")),
        **dict.fromkeys(("modalities", "service_tier", "reasoning_effort", "stop", "max_tokens"), ANYTHING),
    },
)


@given(BODIES)
def test_whatever_a_client_sends_is_translated_or_refused(body: dict[str, Any]) -> None:
    refused = None
    try:
        converse_body(body, NOVA)
    except BadRequest as error:
        refused = error.param
    assert refused is None or refused in body
