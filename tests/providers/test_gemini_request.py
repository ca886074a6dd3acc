"""A chat completion's request says the same in Gemini's words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.providers.base import Outgoing, Target
from app.providers.gemini import Gemini
from app.providers.gemini_contents import NO_SIGNATURE
from tests.providers.sending import sent

LATEST, BEFORE = "gemini-3-flash-preview", "gemini-2.5-flash"
HELLO = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
SIGNED = CALL | {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def prepared(body: dict[str, Any], model: str = LATEST, **target: Any) -> Outgoing:
    made = Target(model=model, api_key="key-ours", **target)
    return Gemini().formats["chat/completions"].prepare(made, sent("chat/completions", body))


def said(body: dict[str, Any], model: str = LATEST) -> Any:
    return orjson.loads(prepared({"messages": [HELLO]} | body, model).body)


def contents(*messages: dict[str, Any], model: str = LATEST) -> Any:
    return said({"messages": list(messages)}, model)["contents"]


def test_a_call_goes_to_google_with_our_key() -> None:
    outgoing = prepared({"model": "fast", "messages": [HELLO]})
    base = "https://generativelanguage.googleapis.com/v1beta"
    assert outgoing.url == f"{base}/models/gemini-3-flash-preview:generateContent"
    assert outgoing.headers["x-goog-api-key"] == "key-ours"


def test_a_stream_is_asked_for_as_events() -> None:
    outgoing = prepared({"messages": [HELLO], "stream": True})
    assert outgoing.url.endswith("/models/gemini-3-flash-preview:streamGenerateContent?alt=sse")


@pytest.mark.parametrize(
    ("model", "path"), [("models/gemini-x", "models/gemini-x"), ("tunedModels/mine", "tunedModels/mine")]
)
def test_api_base_says_where_a_call_goes(model: str, path: str) -> None:
    outgoing = prepared({"messages": [HELLO]}, model, api_base="http://127.0.0.1:9/v1beta/")
    assert outgoing.url == f"http://127.0.0.1:9/v1beta/{path}:generateContent"


def test_the_clients_model_and_headers_stay_here() -> None:
    outgoing = prepared({"model": "fast", "messages": [HELLO], "user": "u", "metadata": {"a": "b"}, "store": True})
    assert orjson.loads(outgoing.body) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def test_system_and_developer_messages_become_the_instruction() -> None:
    body = said({"messages": [{"role": "system", "content": "A"}, HELLO, {"role": "developer", "content": "B"}]})
    assert body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hello"}]}]


def test_a_system_alone_is_what_there_is_to_answer() -> None:
    assert said({"messages": [{"role": "system", "content": "A"}]}) == {
        "contents": [{"role": "user", "parts": [{"text": "A"}]}]
    }


def test_a_call_and_its_answer_keep_their_id() -> None:
    called, answered = contents(
        {"role": "assistant", "content": None, "tool_calls": [SIGNED]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 21}'},
    )
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1"}
    assert called == {"role": "model", "parts": [{"functionCall": call, "thoughtSignature": "c2ln"}]}
    answer = {"name": "weather", "response": {"celsius": 21}, "id": "call_1"}
    assert answered == {"role": "user", "parts": [{"functionResponse": answer}]}


def test_answers_to_calls_that_were_made_together_stand_together_and_alone() -> None:
    second = CALL | {"id": "call_2"}
    made = contents(
        {"role": "assistant", "content": "", "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21"},
        {"role": "tool", "tool_call_id": "call_2", "content": "sunny"},
        HELLO,
    )
    assert [(one["role"], len(one["parts"])) for one in made] == [("model", 2), ("user", 2), ("user", 1)]
    assert [part["functionResponse"]["response"] for part in made[1]["parts"]] == [{"output": 21}, {"output": "sunny"}]


def test_a_call_that_lost_its_signature_says_so_to_the_models_that_check() -> None:
    message = {"role": "assistant", "tool_calls": [CALL, CALL | {"id": "call_2"}]}
    signatures = [part.get("thoughtSignature") for part in contents(message)[0]["parts"]]
    assert signatures == [NO_SIGNATURE, None]
    assert "thoughtSignature" not in contents(message, model=BEFORE)[0]["parts"][0]


def test_a_texts_signature_goes_back_with_the_text() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    (content,) = contents({"role": "assistant", "content": "Hi"} | extra)
    assert content["parts"] == [{"text": "Hi", "thoughtSignature": "c2ln"}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "t"}, {"text": "t"}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg?size=2"}},
            {"fileData": {"fileUri": "https://example.org/a.jpg?size=2", "mimeType": "image/jpeg"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        ),
        (
            {"type": "file", "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
    ],
)
def test_each_kind_of_part_has_gemini_s_shape(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert contents({"role": "user", "content": [part]})[0]["parts"] == [expected]


def test_a_picture_in_a_tools_answer_follows_the_answer() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    answer = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "seen"}, picture]}
    parts = contents({"role": "assistant", "tool_calls": [CALL]}, answer)[1]["parts"]
    assert [list(part) for part in parts] == [["functionResponse"], ["inlineData"]]


def test_sampling_has_gemini_s_names() -> None:
    asked = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "n": 2,
        "stop": "END",
        "max_tokens": 100,
        "logprobs": True,
        "top_logprobs": 3,
    }
    assert said(asked)["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "candidateCount": 2,
        "stopSequences": ["END"],
        "maxOutputTokens": 100,
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_the_newer_cap_wins_and_the_gateways_change_counts() -> None:
    body = {"messages": [HELLO], "max_tokens": 100, "max_completion_tokens": 50}
    outgoing = (
        Gemini()
        .formats["chat/completions"]
        .prepare(Target(model=LATEST), sent("chat/completions", body, changes={"max_completion_tokens": 20}))
    )
    assert orjson.loads(outgoing.body)["generationConfig"] == {"maxOutputTokens": 20}


def test_members_that_are_null_say_nothing() -> None:
    assert list(said({"temperature": None, "stop": None, "tools": None, "tool_choice": None})) == ["contents"]


def test_a_json_schema_is_passed_on_whole() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert said({"response_format": form})["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        # The table in "OpenAI compatibility".
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        (LATEST, "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-flash-latest", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        (LATEST, "none", {"thinkingLevel": "minimal", "includeThoughts": False}),
        (BEFORE, "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        (BEFORE, "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        (BEFORE, "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        (BEFORE, "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128, "includeThoughts": False}),
    ],
)
def test_reasoning_effort_is_said_as_each_model_understands_it(
    model: str, effort: str, expected: dict[str, Any]
) -> None:
    assert said({"reasoning_effort": effort}, model)["generationConfig"]["thinkingConfig"] == expected


def test_a_budget_to_think_is_passed_on() -> None:
    thinking = said({"thinking": {"type": "enabled", "budget_tokens": 2000}})["generationConfig"]["thinkingConfig"]
    assert thinking == {"thinkingBudget": 2000, "includeThoughts": True}


def test_functions_are_declared_with_their_whole_schema() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "$defs": {}}
    function = {"name": "weather", "description": "d", "parameters": parameters, "strict": True}
    declared = {"name": "weather", "description": "d", "parametersJsonSchema": parameters}
    body = said({"tools": [{"type": "function", "function": function}, {"urlContext": {}}], "web_search_options": {}})
    assert body["tools"] == [{"functionDeclarations": [declared]}, {"urlContext": {}}, {"googleSearch": {}}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_the_choice_of_a_tool_is_said(choice: object, expected: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert said({"tools": tools, "tool_choice": choice})["toolConfig"] == {"functionCallingConfig": expected}


def test_gemini_s_own_parameters_and_tiers_pass() -> None:
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    body = said({"safety_settings": settings, "cached_content": "cachedContents/1", "service_tier": "flex"})
    assert (body["safetySettings"], body["cachedContent"], body["serviceTier"]) == (
        settings,
        "cachedContents/1",
        "flex",
    )


def test_speech_and_pictures_can_be_asked_for() -> None:
    assert said({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}})["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "tool_call_id": "?", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
    ],
)
def test_what_gemini_has_no_words_for_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        said(body)
    assert refused.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "user", "tool", "function", "text", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "name", "arguments", "images"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = ("messages", "tools", "tool_choice", "response_format", "reasoning_effort", "thinking", "stop", "audio")
BODIES = st.dictionaries(st.sampled_from((*FIELDS, "service_tier", "modalities")), JSON, max_size=4)


@given(BODIES)
def test_a_body_of_any_shape_is_either_said_or_refused(body: dict[str, Any]) -> None:
    with suppress(BadRequest):
        assert orjson.loads(prepared(body).body)["contents"]


@pytest.mark.parametrize("model", ["gemini-2.0-flash-lite/../gemini-2.5-pro", "..", "models/../x", "tunedModels/./x"])
def test_a_model_s_name_does_not_lead_elsewhere(model: str) -> None:
    # Behind a wildcard the caller chooses the name, and its price is looked up by how it begins.
    for route, body in (
        ("chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("embeddings", {"input": "hi"}),
    ):
        with pytest.raises(BadRequest) as refused:
            Gemini().formats[route].prepare(Target(model=model), sent(route, {"model": "m"} | body))
        assert refused.value.param == "model"


@pytest.mark.parametrize(
    "tool", ["googleMaps", "google_maps", "enterpriseWebSearch", "retrieval", "parallelAiSearch", "x"]
)
def test_a_tool_of_gemini_s_whose_price_no_answer_tells_is_refused(tool: str) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [{"urlContext": {}, tool: {}}]}
    with pytest.raises(BadRequest) as refused:
        Gemini().formats["chat/completions"].prepare(Target(model="gemini-2.5-pro"), sent("chat/completions", body))
    assert refused.value.param == "tools[0]"
