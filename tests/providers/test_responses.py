"""/v1/responses: the usage that the provider tells is the usage that is booked, streamed or not."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.azure import Azure
from app.providers.base import Sent, Target, Whole
from app.providers.openai import Bearer
from app.providers.responses import ResponsesFormat, ResponsesReader
from tests.providers.streams import event, outcome, read

FORMAT = ResponsesFormat(Bearer("https://api.openai.com/v1"), "responses")
BODY = b'{ "model":"ours",\n"input" : "Tell me a three sentence bedtime story about a unicorn." }'
MESSAGE = {
    "type": "message",
    "id": "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "In a peaceful grove", "annotations": []}],
}


def response(**changed: Any) -> dict[str, Any]:
    """API reference, "Create a model response": the example."""
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "object": "response",
        "created_at": 1741476542,
        "status": "completed",
        "model": "gpt-5.4",
        "output": [MESSAGE],
        "service_tier": "default",
        "usage": {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 123,
        },
        **changed,
    }


def usage(**parts: int) -> dict[str, Any]:
    given = {"input": 0, "output": 0, "cached": 0, "written": 0, "reasoning": 0} | parts
    return {
        "input_tokens": given["input"],
        "input_tokens_details": {"cached_tokens": given["cached"], "cache_write_tokens": given["written"]},
        "output_tokens": given["output"],
        "output_tokens_details": {"reasoning_tokens": given["reasoning"]},
        "total_tokens": given["input"] + given["output"],
    }


def sent(raw: bytes = BODY, **fields: Any) -> Sent:
    return Sent("responses", raw, orjson.loads(raw), **fields)


def whole(answer: dict[str, Any], status: int = 200) -> Whole:
    return FORMAT.whole(sent(), status, json.dumps(answer).encode())


def streamed(answer: dict[str, Any], end: str = "response.completed") -> ResponsesReader:
    deltas = [{"type": "response.output_text.delta", "delta": word} for word in ("In a ", "peaceful ", "grove")]
    begun = {"type": "response.created", "response": answer | {"usage": None, "output": []}}
    events: list[dict[str, Any]] = [begun, *deltas]
    reader = ResponsesReader()
    read(reader, b"".join(event(one) for one in events) + event({"type": end, "response": answer}))
    return reader


SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
EXAMPLES = [
    (response(), {"input": 36, "output": 87, "cache_read": 0, "reasoning": 0}),
    (
        response(usage=usage(input=2006, cached=1920, output=300)),
        {"input": 2006, "output": 300, "cache_read": 1920, "cache_write_5m": 0, "reasoning": 0},
    ),
    (
        response(usage=usage(input=2006, written=1024, output=300)),
        {"input": 2006, "output": 300, "cache_read": 0, "cache_write_5m": 1024, "reasoning": 0},
    ),
    (
        response(usage=usage(input=81, output=1035, reasoning=832)),
        {"input": 81, "output": 1035, "cache_read": 0, "cache_write_5m": 0, "reasoning": 832},
    ),
    (
        response(output=[SEARCH, SEARCH | {"action": {"type": "open_page"}}, SEARCH | {"action": None}, MESSAGE]),
        {"input": 36, "output": 87, "cache_read": 0, "reasoning": 0, "web_searches": 2},
    ),
    (
        response(output=[SEARCH, MESSAGE], tool_usage={"web_search": {"num_requests": 3}}),
        {"input": 36, "output": 87, "cache_read": 0, "reasoning": 0, "web_searches": 3},
    ),
    (
        response(output=[{"type": "image_generation_call", "status": "completed", "result": "iVBO"}]),
        {"input": 36, "output": 87, "cache_read": 0, "reasoning": 0, "images": 1},
    ),
    (
        response(
            tool_usage={
                "image_gen": {
                    "input_tokens": 50,
                    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                    "output_tokens": 272,
                    "total_tokens": 322,
                },
                "web_search": {"num_requests": 0},
            }
        ),
        {"input": 86, "output": 359, "cache_read": 0, "reasoning": 0, "image_input": 40, "image_output": 272},
    ),
]


@pytest.mark.parametrize(("answer", "counts"), EXAMPLES)
def test_usage_is_read_from_a_whole_answer(answer: dict[str, Any], counts: dict[str, int]) -> None:
    assert whole(answer).counts == counts


@pytest.mark.parametrize(("answer", "counts"), EXAMPLES)
def test_a_stream_has_the_usage_of_the_whole_answer(answer: dict[str, Any], counts: dict[str, int]) -> None:
    assert streamed(answer).counts == counts


@pytest.mark.parametrize(("told", "tier"), [("default", None), ("flex", "flex"), ("priority", "priority"), (7, None)])
def test_the_tier_is_the_one_that_has_served(told: object, tier: str | None) -> None:
    answer = response(service_tier=told)
    assert (whole(answer).tier, streamed(answer).tier) == (tier, tier)


def test_an_answer_passes_byte_for_byte() -> None:
    raw = b'{ "usage" : null,\n "output": []}'
    assert FORMAT.whole(sent(), 200, raw).body == raw


def test_a_stream_passes_byte_for_byte_and_its_end_is_a_piece_of_its_own() -> None:
    delta = event({"type": "response.output_text.delta", "delta": "hi"})
    end = event({"type": "response.completed", "response": response()})
    assert read(ResponsesReader(), delta + end) == ([delta, end], b"")


def test_an_incomplete_response_is_an_end_with_usage() -> None:
    reader = streamed(response(status="incomplete"), "response.incomplete")
    assert (reader.finished, reader.counts) == (True, EXAMPLES[0][1])


def test_a_failed_response_is_held_back_and_is_no_good_end() -> None:
    delta = event({"type": "response.output_text.delta", "delta": "hi"})
    failed = event({"type": "response.failed", "response": response(status="failed")})
    reader = ResponsesReader()
    assert read(reader, delta + failed) == ([delta], failed)
    assert (reader.finished, reader.counts) == (False, EXAMPLES[0][1])


def test_a_response_that_failed_before_its_first_word_used_nothing() -> None:
    answer = response(status="failed", usage=None, output=[])
    reader = ResponsesReader()
    read(reader, event({"type": "response.failed", "response": answer}))
    assert (reader.counts, whole(answer).counts) == ({}, {})


def test_what_a_failed_response_has_said_is_counted() -> None:
    reader = streamed(response(status="failed", usage=None), "response.failed")
    assert (reader.counts, reader.text_bytes) == (None, 19)


def test_an_error_event_passes_and_the_stream_is_not_whole() -> None:
    error = event({"type": "error", "code": "server_error", "message": "overloaded", "param": None})
    reader = ResponsesReader()
    assert read(reader, error) == ([error], b"")
    assert (reader.finished, reader.text_bytes) == (False, 0)


def test_a_done_behind_the_end_passes_and_nothing_else_does() -> None:
    end = event({"type": "response.completed", "response": response()})
    done = b"data: [DONE]\n\n"
    assert read(ResponsesReader(), end + done + done) == ([end, done], b"")
    assert read(ResponsesReader(), end + event({"type": "response.output_text.delta", "delta": "x"})) == ([end], b"")


def test_an_error_s_body_has_no_usage() -> None:
    assert whole({"error": {"message": "no"}}, 400) == Whole(b'{"error": {"message": "no"}}')


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("response.output_text.delta", 3),
        ("response.refusal.delta", 3),
        ("response.reasoning_summary_text.delta", 3),
        ("response.reasoning_text.delta", 3),
        ("response.function_call_arguments.delta", 3),
        ("response.custom_tool_call_input.delta", 3),
        ("response.audio.transcript.delta", 3),
        ("response.audio.delta", 0),
        ("response.output_text.done", 0),
    ],
)
def test_what_the_model_writes_is_counted_once(kind: str, counted: int) -> None:
    reader = ResponsesReader()
    read(reader, event({"type": kind, "delta": "abc", "text": "abc"}))
    assert reader.text_bytes == counted


def test_the_output_of_a_whole_answer_is_counted_wherever_it_stands() -> None:
    items = [
        MESSAGE,
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "ab"}], "content": [{"text": "cd"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "name": "f", "input": "abc"},
        "not an item",
    ]
    assert whole(response(output=items, usage=None)) == Whole(
        json.dumps(response(output=items, usage=None)).encode(), None, None, 19 + 2 + 2 + 2 + 3
    )


def test_only_the_model_changes_on_the_way() -> None:
    outgoing = FORMAT.prepare(Target("gpt-5.4", api_key="sk-ours"), sent())
    assert outgoing.body == BODY.replace(b'"ours"', b'"gpt-5.4"')
    assert (outgoing.url, outgoing.headers["Authorization"]) == (
        "https://api.openai.com/v1/responses",
        "Bearer sk-ours",
    )


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        ("https://a.openai.azure.com", None, "https://a.openai.azure.com/openai/v1/responses"),
        ("https://a.openai.azure.com/openai/v1/", "2024-10-21", "https://a.openai.azure.com/openai/v1/responses"),
        (
            "https://a.openai.azure.com/openai",
            "preview",
            "https://a.openai.azure.com/openai/v1/responses?api-version=preview",
        ),
    ],
)
def test_azure_has_responses_beside_its_deployments(base: str, version: str | None, url: str) -> None:
    target = Target("my-deployment", api_base=base, api_key="k", api_version=version)
    outgoing = ResponsesFormat(Azure(), "responses").prepare(target, sent())
    assert (outgoing.url, outgoing.headers["api-key"]) == (url, "k")
    assert orjson.loads(outgoing.body)["model"] == "my-deployment"


TEXT = st.text(max_size=6)
EVENTS = st.one_of(
    TEXT.map(lambda text: event({"type": "response.output_text.delta", "delta": text})),
    st.sampled_from(["response.completed", "response.incomplete", "response.failed"]).map(
        lambda kind: event({"type": kind, "response": response()})
    ),
    st.sampled_from(
        [b": ping\n\n", b"data: [DONE]\n\n", b"data: {}\r\n\r\n", b'data: {"type": 3}\n\n', b"data: no\n\n"]
    ),
    st.just(event({"type": "response.failed", "response": None})),
    st.binary(max_size=6),
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=6).map(b"".join), st.lists(st.integers(0, 900), max_size=12))
def test_every_way_to_cut_a_stream_up_gives_the_same(stream: bytes, cuts: list[int]) -> None:
    assert outcome(ResponsesReader, stream, cuts) == outcome(ResponsesReader, stream, [])


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_no_shape_of_an_answer_makes_it_raise(value: Any) -> None:
    answer = {"usage": value, "output": [value, {"content": value, "summary": value}], "tool_usage": value}
    assert whole(answer | {"service_tier": value}).text_bytes >= 0
