"""Gemini's streams reach clients as OpenAI's chunks, with the counts of the whole answer, however they are cut up."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from app.providers.base import Counts
from app.providers.gemini_stream import GeminiReader
from tests.providers.gemini_examples import EXAMPLES, TEXT, answer, candidate

DONE = b"data: [DONE]\n\n"
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 20, "totalTokenCount": 30}


def event(value: dict[str, Any], end: bytes = b"\r\n") -> bytes:
    return b"data: " + orjson.dumps(value) + end + end


def read(stream: bytes, cuts: list[int], *, usage_asked: bool = False) -> tuple[GeminiReader, bytes]:
    reader = GeminiReader("fast", usage_asked=usage_asked)
    # What no answer tells is made up for each reader.
    reader._created, reader._identity = 0, "made-up"
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [piece for start, end in itertools.pairwise(places) for piece in reader.feed(stream[start:end])]
    return reader, b"".join(pieces) + reader.rest()


def chunks(passed: bytes) -> list[ChatCompletionChunk]:
    events = [one.removeprefix(b"data: ") for one in passed.split(b"\n\n") if one]
    return [ChatCompletionChunk.model_validate_json(one) for one in events if one != b"[DONE]"]


def streamed(body: dict[str, Any]) -> bytes:
    """An answer as its stream: a beginning without an end, with part of the usage, then all of it."""
    usage = body.get("usageMetadata", {})
    begun = {"usageMetadata": usage | {"candidatesTokenCount": 1, "totalTokenCount": 1 + usage["promptTokenCount"]}}
    first = {"candidates": [candidate({"text": "…"}, reason=None)]} | begun if "candidates" in body else {}
    return event(body | first) + event(body)


@pytest.mark.parametrize(("body", "counts"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_a_stream_is_booked_like_the_whole_answer(body: dict[str, Any], counts: Counts) -> None:
    reader, _ = read(streamed(body), [])
    assert (reader.counts, reader.finished) == (counts, True)


@pytest.mark.parametrize("body", [body for body, _ in EXAMPLES.values()], ids=EXAMPLES.keys())
def test_each_event_is_a_chunk_of_one_completion(body: dict[str, Any]) -> None:
    _, passed = read(streamed(body), [], usage_asked=True)
    assert passed.endswith(DONE)
    assert len({(chunk.id, chunk.model) for chunk in chunks(passed)}) == 1


def test_the_text_comes_as_it_was_said() -> None:
    stream = event(answer(candidate({"text": "Hel"}, reason=None))) + event(answer(candidate({"text": "lo"})))
    _, passed = read(stream, [])
    first, last = (chunk.choices[0] for chunk in chunks(passed))
    assert (first.delta.role, first.delta.content, first.finish_reason) == ("assistant", "Hel", None)
    assert (last.delta.role, last.delta.content, last.finish_reason) == (None, "lo", "stop")


def test_usage_comes_once_and_last_to_a_client_that_asked() -> None:
    _, passed = read(event(answer(candidate(TEXT), usage=USAGE)), [], usage_asked=True)
    told = [chunk.usage for chunk in chunks(passed)]
    assert told[0] is None
    assert told[1] is not None
    assert (told[1].prompt_tokens, told[1].completion_tokens, told[1].total_tokens) == (10, 20, 30)
    assert chunks(passed)[1].choices == []


def test_usage_is_hidden_from_a_client_that_did_not_ask() -> None:
    reader, passed = read(event(answer(candidate(TEXT), usage=USAGE)), [])
    assert b"usage" not in passed
    assert reader.counts == {"input": 10, "output": 20}


def test_the_last_usage_wins() -> None:
    late = {"candidates": [], "usageMetadata": USAGE | {"candidatesTokenCount": 25, "totalTokenCount": 35}}
    reader, _ = read(event(answer(candidate(TEXT), usage=USAGE)) + event(late), [])
    assert reader.counts == {"input": 10, "output": 25}


def test_a_usage_that_cannot_be_read_does_not_replace_one_that_could() -> None:
    late = answer(candidate(TEXT), usage={"trafficType": "ON_DEMAND"})
    reader, _ = read(event(answer(candidate(TEXT), usage=USAGE)) + event(late), [])
    assert reader.counts == {"input": 10, "output": 20}


def test_calls_are_numbered_over_the_whole_stream() -> None:
    first = answer(candidate({"functionCall": {"name": "a", "args": {"x": 1}}}, reason=None))
    second = answer(candidate({"functionCall": {"name": "b"}}))
    _, passed = read(event(first) + event(second), [])
    made = [call for chunk in chunks(passed) for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.name) for call in made if call.function] == [(0, "a"), (1, "b")]
    assert len({call.id for call in made}) == 2
    assert chunks(passed)[-1].choices[0].finish_reason == "tool_calls"


def test_a_call_before_the_end_makes_the_end_one_of_calls() -> None:
    first = answer(candidate({"functionCall": {"name": "a"}}, reason=None))
    _, passed = read(event(first) + event(answer(candidate({"text": ""}))), [])
    assert chunks(passed)[-1].choices[0].finish_reason == "tool_calls"


def test_the_tier_is_told() -> None:
    reader, _ = read(event(answer(candidate(TEXT), usage=USAGE | {"serviceTier": "flex"})), [])
    assert reader.tier == "flex"


def test_a_stream_that_breaks_off_is_not_finished() -> None:
    reader, passed = read(event(answer(candidate(TEXT, reason=None), usage=USAGE)) + b'data: {"candi', [])
    assert (reader.finished, DONE in passed, reader.counts) == (False, False, {"input": 10, "output": 20})


def test_a_stream_is_not_whole_before_each_candidate_has_ended() -> None:
    second = candidate({"text": "b"}, reason=None, index=1)
    both = event(answer(candidate({"text": "a"}), second))
    assert not read(both, [])[0].finished
    assert read(both + event(answer(second | {"finishReason": "STOP"})), [])[0].finished


def test_an_error_in_a_stream_is_told_and_is_no_end() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    reader, passed = read(event(answer(candidate(TEXT))) + event(error), [])
    told = orjson.loads(passed.split(b"\n\n")[1].removeprefix(b"data: "))["error"]
    assert (told["message"], told["type"], told["code"]) == ("The model is overloaded.", "server_error", "UNAVAILABLE")
    assert (reader.finished, DONE in passed) == (False, False)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_event_without_its_blank_line_is_read(end: bytes) -> None:
    reader, passed = read(event(answer(candidate(TEXT), usage=USAGE), b"\n").rstrip() + end, [])
    assert (reader.finished, reader.counts) == (True, {"input": 10, "output": 20})
    assert chunks(passed)[0].choices[0].delta.content == TEXT["text"]


def test_output_is_counted_as_it_comes() -> None:
    stream = event(answer(candidate({"text": "Hmm", "thought": True}, reason=None))) + event(answer(candidate(TEXT)))
    assert read(stream, [])[0].text_bytes == 3 + len(TEXT["text"])


PARTS = st.one_of(
    st.text(max_size=6).map(lambda text: {"text": text}),
    st.text(max_size=6).map(lambda text: {"text": text, "thought": True}),
    st.just({"functionCall": {"name": "f", "args": {"a": "π"}}, "thoughtSignature": "c2ln"}),
    st.just({"inlineData": {"mimeType": "image/png", "data": "iVBO"}}),
)
USAGES = st.none() | st.integers(0, 99).map(lambda count: USAGE | {"candidatesTokenCount": count})
EVENTS = st.one_of(
    st.builds(
        lambda part, usage, reason, end: event(answer(candidate(part, reason=reason), usage=usage), end),
        PARTS,
        USAGES,
        st.sampled_from([None, None, "STOP", "SAFETY"]),
        st.sampled_from([b"\n", b"\r\n"]),
    ),
    st.sampled_from([b": keep-alive\n\n", b"\r\n", b"data: not json\n\n", b'data: {"candidates": 3}\n\n', b"data: []"]),
    st.binary(max_size=6),
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=6).map(b"".join), st.lists(st.integers(0, 900), max_size=12), st.booleans())
def test_every_way_to_cut_a_stream_up_gives_the_same_bytes_and_counts(
    stream: bytes,
    cuts: list[int],
    usage_asked: bool,  # noqa: FBT001 - as hypothesis draws it
) -> None:
    whole, whole_passed = read(stream, [], usage_asked=usage_asked)
    split, split_passed = read(stream, cuts, usage_asked=usage_asked)
    assert split_passed == whole_passed
    assert (split.counts, split.finished, split.text_bytes) == (whole.counts, whole.finished, whole.text_bytes)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_no_bytes_make_it_raise(reads: list[bytes]) -> None:
    reader = GeminiReader("fast", usage_asked=True)
    for data in reads:
        reader.feed(data)
    reader.rest()
    assert not reader.finished
