"""Answers of Bedrock's Converse API, whole and streamed, are OpenAI's, and are metered the same either way."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.providers.base import Whole
from app.providers.converse_answers import usage_counts, whole_chat
from app.providers.converse_stream import DONE, ChatReader
from tests.providers.aws_frames import event, exception
from tests.providers.bedrock_model import service
from tests.providers.converse_examples import SONGS, START, USAGES, answer, block, end, text
from tests.providers.messages import chunks, read
from tests.providers.sending import sent

ASKED = {"model": "ours", "messages": [{"role": "user", "content": "Hello"}]}
USAGE_ASKED = {"stream": True, "stream_options": {"include_usage": True}}
TOOL = {"toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "name": "top_song"}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}


def whole(said: dict[str, Any], status: int = 200) -> tuple[Whole, dict[str, Any]]:
    read = whole_chat(sent("chat/completions", ASKED), status, json.dumps(said).encode())
    return read, orjson.loads(read.body)


def reader(**asked: Any) -> ChatReader:
    return ChatReader(sent("chat/completions", ASKED | {"stream": True} | asked))


def deltas(shown: bytes) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks(shown) for choice in chunk["choices"]]


@pytest.mark.parametrize("example", USAGES)
def test_usage_is_what_the_documentation_says(example: str) -> None:
    usage, counts = USAGES[example]
    made, _ = whole(answer({"text": SONGS}, usage=usage))
    assert made.counts == counts


@pytest.mark.parametrize("example", USAGES)
def test_a_stream_counts_as_the_whole_answer_does(example: str) -> None:
    usage, counts = USAGES[example]
    streamed = reader()
    read(streamed, START + text(SONGS[:20], SONGS[20:]) + end(usage=usage))
    made, _ = whole(answer({"text": SONGS}, usage=usage))
    assert (streamed.counts, streamed.text_bytes, streamed.finished) == (counts, made.text_bytes, True)


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"inputTokens": "1", "outputTokens": 2}, {"inputTokens": True, "outputTokens": 2}]
)
def test_usage_that_is_none_is_not_made_up(usage: Any) -> None:
    assert usage_counts(usage) is None


@pytest.mark.parametrize("example", USAGES)
def test_the_client_is_told_the_usage_in_openais_words(example: str) -> None:
    usage, counts = USAGES[example]
    _, chat = whole(answer({"text": SONGS}, usage=usage))
    pieces, _ = read(reader(**USAGE_ASKED), START + text(SONGS) + end(usage=usage))
    told = chunks(b"".join(pieces))[-1]
    assert told["choices"] == []
    assert told["usage"] == chat["usage"]
    assert (chat["usage"]["prompt_tokens"], chat["usage"]["completion_tokens"]) == (counts["input"], counts["output"])
    assert chat["usage"]["prompt_tokens_details"]["cached_tokens"] == counts.get("cache_read", 0)


def test_usage_is_hidden_from_a_client_that_did_not_ask() -> None:
    pieces, _ = read(reader(), START + text(SONGS) + end())
    assert not any("usage" in chunk for chunk in chunks(b"".join(pieces)))


def test_a_whole_answer_is_a_completion_of_openais_library() -> None:
    use = {"toolUse": TOOL | {"input": {"sign": "WZPZ"}}}
    made, chat = whole(answer(THOUGHT, {"text": "I look "}, {"text": "it up."}, use, stop="tool_use"))
    completion = ChatCompletion.model_validate(chat, strict=False)
    message = chat["choices"][0]["message"]
    assert (completion.model, completion.choices[0].finish_reason) == ("ours", "tool_calls")
    assert message == {
        "role": "assistant",
        "content": "I look it up.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}],
        "tool_calls": [
            {
                "id": TOOL["toolUseId"],
                "type": "function",
                "function": {"name": "top_song", "arguments": '{"sign":"WZPZ"}'},
            }
        ],
    }
    assert made.text_bytes == len("Hm.I look it up.top_song" + '{"sign":"WZPZ"}')


def test_an_answer_of_tools_alone_has_no_text() -> None:
    _, chat = whole(answer({"toolUse": TOOL | {"input": {}}}, stop="tool_use"))
    assert chat["choices"][0]["message"]["content"] is None
    assert chat["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_text_with_sources_is_read() -> None:
    _, chat = whole(answer({"citationsContent": {"content": [{"text": "It says so."}], "citations": []}}))
    assert chat["choices"][0]["message"]["content"] == "It says so."


REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}


def test_every_reason_to_stop_has_a_word_of_openais() -> None:
    assert REASONS.keys() == set(service().shape_for("StopReason").enum)
    for reason, word in REASONS.items():
        _, chat = whole(answer({"text": "x"}, stop=reason))
        pieces, _ = read(reader(), START + text("x") + end(reason))
        streamed = [chunk["choices"][0]["finish_reason"] for chunk in chunks(b"".join(pieces))]
        assert (chat["choices"][0]["finish_reason"], streamed[-1]) == (word, word)


@pytest.mark.parametrize(("tier", "told"), [("flex", "flex"), ("priority", "priority"), ("default", None)])
def test_the_tier_is_told_where_it_has_a_price(tier: str, told: str | None) -> None:
    streamed = reader()
    read(streamed, START + end(serviceTier={"type": tier}))
    assert whole(answer({"text": "x"}, serviceTier={"type": tier}))[0].tier == streamed.tier == told


STREAM = (
    START
    + block(0, {"reasoningContent": {"text": "Hm."}}, {"reasoningContent": {"signature": "c2ln"}})
    + block(1, {"text": "I look "}, {"text": "it up."})
    + block(2, {"toolUse": {"input": '{"sign":'}}, {"toolUse": {"input": '"WZPZ"}'}}, start={"toolUse": TOOL})
    + block(3, start={"toolUse": {"toolUseId": "2", "name": "now"}})
    + end("tool_use")
)


def test_a_stream_is_one_of_openais() -> None:
    pieces, rest = read(reader(), STREAM)
    shown = b"".join(pieces)
    for chunk in chunks(shown):
        ChatCompletionChunk.model_validate(chunk, strict=False)
    function = {"name": "top_song", "arguments": ""}
    now = {"name": "now", "arguments": ""}
    assert deltas(shown) == [
        {"role": "assistant", "content": ""},
        {
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": ""}],
            "reasoning_content": "Hm.",
        },
        {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]},
        {"content": "I look "},
        {"content": "it up."},
        {"tool_calls": [{"index": 0, "id": TOOL["toolUseId"], "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"sign":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"WZPZ"}'}}]},
        {"tool_calls": [{"index": 1, "id": "2", "type": "function", "function": now}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert (pieces[-1], rest) == (DONE, b"")


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_every_way_to_cut_a_stream_up_gives_the_same(cuts: list[int]) -> None:
    one, other = reader(), reader()
    (whole_pieces, _), (cut_pieces, _) = read(one, STREAM), read(other, STREAM, cuts)
    assert deltas(b"".join(cut_pieces)) == deltas(b"".join(whole_pieces))
    assert (other.counts, other.text_bytes, other.finished, cut_pieces[-1]) == (one.counts, one.text_bytes, True, DONE)


def test_one_byte_at_a_time_is_enough() -> None:
    streamed = reader()
    pieces, _ = read(streamed, STREAM, range(len(STREAM)))
    assert (streamed.finished, pieces[-1]) == (True, DONE)


def test_nothing_is_passed_on_after_the_end() -> None:
    streamed = reader()
    pieces, rest = read(streamed, STREAM + text("more"))
    assert (pieces[-1], rest, streamed.feed(text("more"))) == (DONE, b"", [])


def test_a_stream_without_its_metadata_ends_all_the_same() -> None:
    streamed = reader()
    _, rest = read(streamed, START + text("x") + event("messageStop", {"stopReason": "end_turn"}))
    assert (rest, streamed.finished, streamed.counts) == (DONE, True, None)


def test_a_stream_that_breaks_off_has_no_end() -> None:
    streamed = reader()
    _, rest = read(streamed, START + text("x") + end()[:40])
    assert (rest, streamed.finished, streamed.text_bytes) == (b"", False, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit_error"),
        ("validationException", "invalid_request_error"),
        ("internalServerException", "api_error"),
        ("somethingNew", "api_error"),
    ],
)
def test_a_failure_in_a_stream_is_told_and_ends_it(name: str, kind: str) -> None:
    streamed = reader()
    pieces, rest = read(streamed, START + text("x") + exception(name, "It went wrong.") + end())
    told = chunks(b"".join(pieces))[-1]["error"]
    assert told == {"message": "It went wrong.", "type": kind, "param": None, "code": name}
    assert (rest, streamed.finished, streamed.counts, streamed.text_bytes) == (b"", False, None, 1)


def test_a_damaged_frame_is_told_and_ends_the_stream() -> None:
    streamed = reader()
    damaged = bytearray(text("y"))
    damaged[-1] ^= 1
    pieces, rest = read(streamed, START + text("x") + bytes(damaged) + end())
    assert "damaged" in chunks(b"".join(pieces))[-1]["error"]["message"]
    assert (rest, streamed.finished, streamed.text_bytes) == (b"", False, 2)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_no_bytes_make_a_stream_raise(parts: list[bytes]) -> None:
    streamed = reader()
    for part in parts:
        streamed.feed(part)
    assert (streamed.rest(), streamed.finished) == (b"", False)


NAMES = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "new")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("start", "delta", "text", "toolUse", "input", "reasoningContent", "reasoningText", "usage"),
                    *("citationsContent", "content", "contentBlockIndex", "serviceTier", "type", "stopReason"),
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), JSON), max_size=5))
def test_no_event_makes_a_stream_raise(events: list[tuple[str, Any]]) -> None:
    streamed = reader()
    for name, said in events:
        streamed.feed(event(name, said))
    streamed.rest()
    assert streamed.finished == any(name in {"messageStop", "metadata"} for name, _ in events)


@settings(deadline=None)
@given(JSON, st.sampled_from([200, 400, 500]))
def test_no_answer_makes_it_raise(said: Any, status: int) -> None:
    answer = {"output": {"message": {"content": [said]}}, "usage": said, "serviceTier": {"type": said}, "message": said}
    made = whole_chat(sent("chat/completions", ASKED), status, json.dumps(answer).encode())
    assert isinstance(orjson.loads(made.body), dict)


# AWS, "Amazon Bedrock Runtime: Converse, Errors".
@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        (400, {"message": "Malformed input request"}, "invalid_request_error", None),
        (403, {"Message": "User is not authorized"}, "permission_error", None),
        (404, {"message": "No such model"}, "not_found_error", None),
        (
            429,
            {"message": "Too many requests", "__type": "a.b#ThrottlingException"},
            "rate_limit_error",
            "ThrottlingException",
        ),
        (503, {"message": "Later"}, "api_error", None),
    ],
)
def test_an_error_has_openais_shape(status: int, said: dict[str, str], kind: str, code: str | None) -> None:
    made, told = whole(said, status)
    assert told == {
        "error": {"message": said.get("message") or said["Message"], "type": kind, "param": None, "code": code}
    }
    assert (made.counts, made.text_bytes) == (None, 0)


def test_an_error_that_is_no_json_is_one_too() -> None:
    made = whole_chat(sent("chat/completions", ASKED), 502, b"<html>Bad gateway</html>")
    assert orjson.loads(made.body)["error"]["message"] == "Bedrock answered with an error."
