"""Gemini's answers reach clients as chat completions, and are booked with what Google bills."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from app.ledger.usage import Usage
from app.providers.base import Counts, Target, Whole
from app.providers.gemini import Gemini
from tests.providers.gemini_examples import EXAMPLES, TEXT, answer, candidate
from tests.providers.sending import sent

SENT = sent("chat/completions", {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]})
TARGET = Target(model="gemini-3-flash-preview")
FORMAT = Gemini().formats["chat/completions"]


def whole(body: dict[str, Any], status: int = 200) -> Whole:
    return FORMAT.whole(SENT, status, json.dumps(body).encode())


def completed(body: dict[str, Any]) -> ChatCompletion:
    return ChatCompletion.model_validate_json(whole(body).body)


def message_of(body: dict[str, Any]) -> dict[str, Any]:
    return completed(body).choices[0].message.model_dump(exclude_unset=True)


@pytest.mark.parametrize(("body", "counts"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_an_answer_is_booked_with_what_google_bills(body: dict[str, Any], counts: Counts) -> None:
    assert whole(body).counts == counts


@pytest.mark.parametrize("body", [body for body, _ in EXAMPLES.values()], ids=EXAMPLES.keys())
def test_an_answer_is_a_chat_completion(body: dict[str, Any]) -> None:
    assert completed(body).choices


@pytest.mark.parametrize(("body", "counts"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_client_is_told_the_tokens_that_are_booked(body: dict[str, Any], counts: Counts) -> None:
    usage = completed(body).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (counts["input"], counts["output"])


def test_text_thoughts_and_who_answered_are_told() -> None:
    body = answer(candidate({"text": "Hmm.", "thought": True}, {"text": "Hel"}, {"text": "lo"}))
    made = completed(body)
    assert (made.id, made.model) == ("chatcmpl-mAitaLmkHPPlz7IPvtfUqQ4", "gemini-3-flash-preview")
    assert message_of(body) == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "reasoning_content": "Hmm.",
    }


def test_output_is_counted_with_its_thoughts() -> None:
    assert whole(answer(candidate({"text": "Hmm.", "thought": True}, {"text": "π"}))).text_bytes == 6


def test_calls_have_ids_and_carry_their_signature() -> None:
    first = {"functionCall": {"name": "weather", "args": {"city": "Paris"}, "id": "fc1"}, "thoughtSignature": "c2ln"}
    second = {"functionCall": {"name": "time"}}
    made = completed(answer(candidate(first, second)))
    assert made.choices[0].finish_reason == "tool_calls"
    assert message_of(answer(candidate(first, second)))["tool_calls"] == [
        {
            "id": "fc1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
            "extra_content": {"google": {"thought_signature": "c2ln"}},
        },
        {
            "id": "call_mAitaLmkHPPlz7IPvtfUqQ4_0_1",
            "type": "function",
            "function": {"name": "time", "arguments": "{}"},
        },
    ]


def test_what_was_said_can_be_said_back() -> None:
    call = {"functionCall": {"name": "weather", "args": {"city": "Paris"}, "id": "fc1"}, "thoughtSignature": "c2ln"}
    parts: list[dict[str, Any]] = [{"text": "Let me see.", "thoughtSignature": "dHh0"}, call]
    told = message_of(answer(candidate(*parts)))
    body = {"messages": [{"role": "user", "content": "?"}, told]}
    target = Gemini().formats["chat/completions"]
    outgoing = target.prepare(TARGET, sent("chat/completions", body))
    assert orjson.loads(outgoing.body)["contents"][1]["parts"] == parts


def test_a_signature_without_text_is_kept() -> None:
    told = message_of(answer(candidate({"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"})))
    assert told["content"] == "Hi"
    assert told["extra_content"] == {"google": {"thought_signature": "c2ln"}}


def test_pictures_come_as_data_urls() -> None:
    told = message_of(answer(candidate({"inlineData": {"mimeType": "image/png", "data": "iVBO"}})))
    assert told["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]


def test_speech_comes_where_openai_has_it() -> None:
    made = completed(answer(candidate({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}})))
    audio = made.choices[0].message.audio
    assert audio is not None
    assert audio.data == "AAAA"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_why_an_answer_ended_is_told_in_openai_s_words(told: str, expected: str) -> None:
    assert completed(answer(candidate(TEXT, reason=told))).choices[0].finish_reason == expected


def test_a_cap_that_cut_a_call_off_is_told_as_the_cap() -> None:
    body = answer(candidate({"functionCall": {"name": "f"}}, reason="MAX_TOKENS"))
    assert completed(body).choices[0].finish_reason == "length"


def test_a_candidate_that_was_blocked_has_no_content() -> None:
    made = completed(answer({"finishReason": "SAFETY", "index": 0}))
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == (None, "content_filter")


def test_a_blocked_prompt_is_a_refusal() -> None:
    choice = completed(EXAMPLES["a blocked prompt"][0]).choices[0]
    assert choice.finish_reason == "content_filter"
    assert choice.message.refusal == "The prompt was blocked: PROHIBITED_CONTENT."


def test_each_candidate_is_a_choice() -> None:
    made = completed(answer(candidate({"text": "a"}), candidate({"text": "b"}, index=1)))
    assert [(choice.index, choice.message.content) for choice in made.choices] == [(0, "a"), (1, "b")]


def test_log_probabilities_are_told() -> None:
    result = {
        "chosenCandidates": [{"token": "Hi", "tokenId": 1, "logProbability": -0.1}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.1}, {"token": "Yo"}]}],
    }
    logprobs = completed(answer(candidate({"text": "Hi"}, logprobsResult=result))).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert (logprobs.content[0].logprob, len(logprobs.content[0].top_logprobs)) == (-0.1, 2)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"promptTokenCount": 1, "serviceTier": "priority"}, "priority"),
        ({"promptTokenCount": 1, "serviceTier": "standard"}, None),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND"}, None),
    ],
)
def test_the_way_it_was_served_is_told(usage: dict[str, Any], expected: str | None) -> None:
    read = whole(answer(candidate(TEXT), usage=usage))
    assert read.tier == expected
    assert orjson.loads(read.body).get("service_tier") == expected


# "Troubleshooting guide" of the Gemini API's documentation.
INVALID = {"error": {"code": 400, "message": "Invalid value at 'contents'", "status": "INVALID_ARGUMENT"}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, INVALID, ("Invalid value at 'contents'", "invalid_request_error", "INVALID_ARGUMENT")),
        (429, {"error": {"message": "Quota", "status": "RESOURCE_EXHAUSTED"}}, ("Quota", "rate_limit_error", None)),
        (
            400,
            {
                "error": {
                    "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                    "status": "INVALID_ARGUMENT",
                }
            },
            (None, "invalid_request_error", "context_length_exceeded"),
        ),
        (503, {}, ("Gemini answered with status 503.", "server_error", None)),
    ],
)
def test_an_error_has_openai_s_shape(status: int, body: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    read = whole(body, status)
    error = orjson.loads(read.body)["error"]
    assert (read.counts, read.text_bytes, error["param"]) == (None, 0, None)
    for value, name in zip(expected, ("message", "type", "code"), strict=True):
        assert value is None or error[name] == value


def test_an_error_in_a_list_is_read_too() -> None:
    read = FORMAT.whole(SENT, 400, orjson.dumps([INVALID]))
    assert orjson.loads(read.body)["error"]["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("usage", [None, {}, {"promptTokenCount": "3"}, {"trafficType": "ON_DEMAND"}])
def test_a_usage_that_tells_no_prompt_is_none(usage: dict[str, Any] | None) -> None:
    assert whole(answer(candidate(TEXT), usage=usage)).counts is None


TOKENS = st.integers(0, 10**6)
USAGES = st.fixed_dictionaries(
    {"promptTokenCount": TOKENS},
    optional={
        "candidatesTokenCount": TOKENS,
        "thoughtsTokenCount": TOKENS,
        "toolUsePromptTokenCount": TOKENS,
        "totalTokenCount": TOKENS,
    },
)


@given(USAGES)
def test_no_token_that_google_tells_goes_unpaid(usage: dict[str, int]) -> None:
    counts = whole(answer(candidate(TEXT), usage=usage)).counts
    assert counts is not None
    booked = Usage.from_counts(counts)
    assert booked.input + booked.output >= usage.get("totalTokenCount", 0)
    assert booked.output >= usage.get("candidatesTokenCount", 0)
    assert booked.reasoning == usage.get("thoughtsTokenCount", 0)


@given(st.binary(max_size=40), st.sampled_from([200, 400, 500]))
def test_no_bytes_make_it_raise(raw: bytes, status: int) -> None:
    assert orjson.loads(FORMAT.whole(SENT, status, raw).body)


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(NONSENSE, st.sampled_from(["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"]))
def test_no_member_of_a_wrong_type_makes_it_raise(value: object, name: str) -> None:
    read = whole(answer(candidate(TEXT), usage={"promptTokenCount": 1}) | {name: value})
    assert ChatCompletion.model_validate_json(read.body).object == "chat.completion"


@given(NONSENSE, st.sampled_from(["content", "finishReason", "index", "groundingMetadata", "logprobsResult"]))
def test_no_candidate_of_a_wrong_shape_makes_it_raise(value: object, name: str) -> None:
    assert completed(answer(candidate(TEXT) | {name: value})).choices


def test_half_a_surrogate_pair_passes() -> None:
    raw = rb'{"candidates":[{"content":{"parts":[{"text":"\ud83d"}]},"finishReason":"STOP"}]}'
    read = FORMAT.whole(SENT, 200, raw)
    assert (read.text_bytes, rb'"\ud83d"' in read.body) == (3, True)
