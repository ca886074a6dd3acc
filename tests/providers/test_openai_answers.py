"""Streams pass byte for byte, whatever the network makes of them, and their usage is read on the way."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.providers.openai_answers import StreamReader, output_bytes, parsed, usage_counts

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
DONE = b"data: [DONE]\n\n"


def event(value: dict[str, Any], end: bytes = b"\n") -> bytes:
    return b"data: " + json.dumps(value).encode() + end + end


def said(text: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], "usage": usage}


def used(usage: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [], "usage": usage}


def read(stream: bytes, cuts: list[int], *, usage_asked: bool = False) -> tuple[StreamReader, list[bytes], bytes]:
    reader = StreamReader(usage_asked=usage_asked)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [piece for start, end in itertools.pairwise(places) for piece in reader.feed(stream[start:end])]
    return reader, pieces, reader.rest()


LINE_ENDS = st.sampled_from([b"\n", b"\r\n"])
EVENTS = st.one_of(
    st.builds(event, st.text(max_size=8).map(said), LINE_ENDS),
    st.builds(event, st.integers(0, 99).map(lambda count: used(USAGE | {"completion_tokens": count})), LINE_ENDS),
    st.builds(event, st.text(max_size=8).map(lambda text: said(text, USAGE)), LINE_ENDS),
    st.builds(lambda end: b": keep-alive" + end + end, LINE_ENDS),
    st.builds(lambda end: b"event: message" + end + b'data: {"choices":' + end + b"data: []}" + end + end, LINE_ENDS),
    st.sampled_from([b"data: not json\n\n", b"\n", b"\r\n", b"data: [1]\n\n", b'data: {"choices": 3, "usage": 4}\n\n']),
    st.binary(max_size=6),
)
STREAMS = st.builds(
    lambda events, end: b"".join(events) + end,
    st.lists(EVENTS, max_size=6),
    st.sampled_from([b"", DONE, b"data: [DONE]\r\n\r\n", DONE + b": bye\n\n", b'data: {"choices": [']),
)


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 600), max_size=12), st.booleans())
@example(b"data: a\r\n\r\ndata: b\n\n", list(range(20)), False)  # noqa: FBT003 - as hypothesis draws it
def test_every_way_to_cut_a_stream_up_gives_the_same_bytes_and_counts(
    stream: bytes,
    cuts: list[int],
    usage_asked: bool,  # noqa: FBT001 - as hypothesis draws it
) -> None:
    whole, whole_pieces, whole_rest = read(stream, [], usage_asked=usage_asked)
    split, split_pieces, split_rest = read(stream, cuts, usage_asked=usage_asked)
    assert (b"".join(split_pieces), split_rest) == (b"".join(whole_pieces), whole_rest)
    assert (split.counts, split.finished, split.text_bytes) == (whole.counts, whole.finished, whole.text_bytes)


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 600), max_size=12))
def test_nothing_is_left_out_for_a_client_that_asked_for_usage(stream: bytes, cuts: list[int]) -> None:
    reader, pieces, rest = read(stream, cuts, usage_asked=True)
    passed = b"".join(pieces) + rest
    assert passed == stream or (reader.finished and stream.startswith(passed))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_no_bytes_make_it_raise(reads: list[bytes]) -> None:
    reader = StreamReader(usage_asked=True)
    passed = b"".join(piece for data in reads for piece in reader.feed(data)) + reader.rest()
    assert passed == b"".join(reads) or reader.finished


def test_the_end_is_the_last_piece_of_its_own() -> None:
    first = event(said("a"))
    _, pieces, _ = read(first + event(used(USAGE)) + DONE, [])
    assert pieces == [first, DONE]


def test_what_comes_after_the_end_is_dropped() -> None:
    reader, pieces, rest = read(DONE + event(said("late")), [])
    assert (pieces, rest, reader.feed(event(said("later")))) == ([DONE], b"", [])


def test_half_an_event_waits_for_its_other_half() -> None:
    reader = StreamReader(usage_asked=False)
    whole = event(said("hello"))
    assert reader.feed(whole[:20]) == []
    assert reader.feed(whole[20:]) == [whole]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_event_is_passed_on_with_the_last_byte_of_its_end(end: bytes) -> None:
    reader = StreamReader(usage_asked=False)
    whole = event(said("hello"), end)
    pieces = [reader.feed(whole[place : place + 1]) for place in range(len(whole))]
    assert pieces == [[]] * (len(whole) - 1) + [[whole]]


def test_a_usage_event_is_hidden_from_a_client_that_did_not_ask() -> None:
    reader, pieces, _ = read(event(used(USAGE)), [])
    assert pieces == []
    assert reader.counts == {"input": 10, "output": 20}


def test_a_usage_event_reaches_a_client_that_asked() -> None:
    _, pieces, _ = read(event(used(USAGE)), [], usage_asked=True)
    assert pieces == [event(used(USAGE))]


def test_an_event_with_choices_and_usage_passes() -> None:
    reader, pieces, _ = read(event(said("x", USAGE)), [])
    assert pieces == [event(said("x", USAGE))]
    assert reader.counts == {"input": 10, "output": 20}


def test_an_event_without_choices_passes_while_it_has_no_usage() -> None:
    azures_first = event({"choices": [], "prompt_filter_results": [], "usage": None})
    assert read(azures_first, [])[1] == [azures_first]


def test_an_error_event_passes_even_with_usage() -> None:
    error = event({"error": {"message": "overloaded"}, "usage": USAGE})
    assert read(error, [])[1] == [error]


def test_an_errors_text_is_not_output() -> None:
    assert read(event({"error": {"message": "overloaded"}}), [])[0].text_bytes == 0


def test_the_last_usage_wins() -> None:
    stream = event(said("x", USAGE)) + event(used(USAGE | {"completion_tokens": 21}))
    assert read(stream, [])[0].counts == {"input": 10, "output": 21}


def test_a_usage_of_zero_is_a_usage() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    assert read(event(used(zero)), [])[0].counts == {"input": 0, "output": 0}


def test_a_usage_that_cannot_be_read_does_not_replace_one_that_could() -> None:
    stream = event(used(USAGE)) + event(used({"prompt_tokens": "ten"}))
    assert read(stream, [])[0].counts == {"input": 10, "output": 20}


def test_keep_alive_comments_pass_as_they_come() -> None:
    assert StreamReader(usage_asked=False).feed(b": keep-alive\n\n") == [b": keep-alive\n\n"]


def test_a_stream_that_breaks_off_is_not_finished() -> None:
    reader, _, rest = read(event(said("x")) + b'data: {"choi', [])
    assert (reader.finished, rest) == (False, b'data: {"choi')


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_an_end_without_its_blank_line_is_an_end(end: bytes) -> None:
    reader, _, rest = read(b"data: [DONE]" + end, [])
    assert (reader.finished, rest) == (True, b"data: [DONE]" + end)


def test_a_usage_event_without_its_blank_line_is_counted_and_hidden() -> None:
    reader, pieces, rest = read(event(used(USAGE)).rstrip(), [])
    assert (reader.counts, pieces, rest) == ({"input": 10, "output": 20}, [], b"")


def test_an_event_that_comes_byte_by_byte_is_read_in_linear_time() -> None:
    whole = event(said("x" * 300_000))
    assert read(whole, list(range(0, len(whole), 7)))[1] == [whole]


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"content": "hello"}, 5),
        ({"content": "π≈3"}, 6),
        ({"content": None, "refusal": "no"}, 2),
        ({"reasoning_content": "hmm"}, 3),
        ({"reasoning": "hmm"}, 3),
        ({"reasoning_content": "hmm", "reasoning": "hmm"}, 3),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a":'}}]}, 6),
        ({"tool_calls": [{"index": 0, "custom": {"name": "f", "input": "abc"}}]}, 4),
        ({"function_call": {"name": "f", "arguments": "{}"}}, 3),
        ({"audio": {"data": "UklGRg==", "transcript": "hi"}}, 2),
        ({"role": "assistant"}, 0),
        ({"content": 5, "tool_calls": "x", "function_call": 3}, 0),
    ],
)
def test_output_is_counted_wherever_it_stands(delta: dict[str, Any], expected: int) -> None:
    assert output_bytes({"choices": [{"delta": delta}]}) == output_bytes({"choices": [{"message": delta}]}) == expected


def test_the_text_of_completions_is_output() -> None:
    assert output_bytes({"choices": [{"text": "abc"}, {"text": "de"}]}) == 5


def test_half_a_surrogate_pair_is_counted() -> None:
    assert read(rb'data: {"choices":[{"delta":{"content":"\ud83d"}}]}' + b"\n\n", [])[0].text_bytes == 3


def test_usage_is_read_from_an_answer_with_infinity_in_it() -> None:
    answer = parsed(b'{"choices":[{"logprob":-Infinity}],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
    assert usage_counts(answer["usage"]) == {"input": 1, "output": 2}


def test_parts_of_the_usage_are_told_apart() -> None:
    details = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8, "audio_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": 2, "accepted_prediction_tokens": 1},
    }
    assert usage_counts(details) == {
        "input": 100,
        "output": 50,
        "cache_read": 64,
        "cache_write_5m": 8,
        "audio_input": 4,
        "reasoning": 32,
        "audio_output": 2,
    }


def test_parts_that_are_null_are_left_out() -> None:
    nulls = {"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}}
    assert usage_counts(USAGE | nulls) == {"input": 10, "output": 20}


def test_output_that_is_not_stated_is_what_the_total_leaves() -> None:
    assert usage_counts({"prompt_tokens": 10, "total_tokens": 30}) == {"input": 10, "output": 20}


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": 3}, None, [], {}, {"prompt_tokens": 1.5}, {"prompt_tokens": True}, {"completion_tokens": 3}],
)
def test_a_usage_without_whole_totals_is_none(usage: object) -> None:
    assert usage_counts(usage) is None


def served(tier: str | None, **fields: Any) -> bytes:
    return event({"choices": [], "service_tier": tier} | fields)


def test_the_tier_of_a_stream_that_breaks_off_before_its_usage_is_known() -> None:
    assert read(served("priority", **said("a")), [])[0].tier == "priority"


def test_the_tier_that_a_stream_tells_last_counts() -> None:
    assert read(served("priority") + served("default", usage=USAGE), [])[0].tier is None


def test_a_tier_that_stands_in_the_first_event_only_counts_as_in_a_whole_answer() -> None:
    assert read(served("flex") + event(used(USAGE)), [])[0].tier == "flex"
