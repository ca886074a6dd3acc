"""Anthropic's usage by our kinds, the same whether it comes whole or in a stream that is cut up in any way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.anthropic_answers import StreamReader, output_bytes, tier_of, usage_counts
from app.providers.base import Counts
from tests.providers.messages import (
    OVERLOADED,
    PING,
    STOP,
    block,
    end,
    event,
    message,
    read,
    start,
    text,
    thought,
    tool,
)

# From "Prompt caching": a cache that is written, read, and written for both lives; "Extended thinking"; "Web search
# tool"; "Compaction".
USAGES: dict[str, tuple[dict[str, Any], Counts]] = {
    "fresh": ({"input_tokens": 2095, "output_tokens": 503}, {"input": 2095, "output": 503}),
    "a cache is written": (
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 188086,
            "cache_read_input_tokens": 0,
            "output_tokens": 393,
        },
        {"input": 188107, "output": 393, "cache_write_5m": 188086},
    ),
    "a cache is read": (
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 188086,
            "output_tokens": 393,
        },
        {"input": 188107, "output": 393, "cache_read": 188086},
    ),
    "both lives of a cache": (
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
        },
        {"input": 4096, "output": 503, "cache_read": 1800, "cache_write_5m": 148, "cache_write_1h": 100},
    ),
    "only the long life": (
        {
            "input_tokens": 5,
            "cache_creation_input_tokens": 100,
            "output_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100},
        },
        {"input": 105, "output": 3, "cache_write_1h": 100},
    ),
    "thinking": (
        {"input_tokens": 50, "output_tokens": 1500, "output_tokens_details": {"thinking_tokens": 1200}},
        {"input": 50, "output": 1500, "reasoning": 1200},
    ),
    "searches of the web": (
        {
            "input_tokens": 105,
            "output_tokens": 6039,
            "cache_read_input_tokens": 7123,
            "cache_creation_input_tokens": 7345,
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
        },
        {"input": 14573, "output": 6039, "cache_read": 7123, "cache_write_5m": 7345, "web_searches": 1},
    ),
    "a compaction is billed beside the totals": (
        {
            "input_tokens": 23000,
            "output_tokens": 1000,
            "iterations": [
                {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500, "cache_read_input_tokens": 10},
                {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
            ],
        },
        {"input": 203010, "output": 4500, "cache_read": 10},
    ),
}


@pytest.mark.parametrize(("usage", "counts"), USAGES.values(), ids=USAGES)
def test_usage_is_told_by_our_kinds(usage: dict[str, Any], counts: Counts) -> None:
    assert usage_counts(usage) == counts


@pytest.mark.parametrize(("usage", "counts"), USAGES.values(), ids=USAGES)
def test_a_stream_has_the_counts_of_the_whole_answer(usage: dict[str, Any], counts: Counts) -> None:
    reader = StreamReader()
    read(reader, start(usage | {"output_tokens": 1}) + text(0, "Hi") + end(usage))
    assert reader.counts == counts


@pytest.mark.parametrize("usage", [None, {}, [], {"input_tokens": 1}, {"input_tokens": "1", "output_tokens": 2}])
def test_usage_that_cannot_be_read_is_none(usage: object) -> None:
    assert usage_counts(usage) is None


def test_what_the_last_event_does_not_tell_stands_as_the_first_told_it() -> None:
    reader = StreamReader()
    begun = {"input_tokens": 25, "output_tokens": 1, "cache_read_input_tokens": 100, "service_tier": "priority"}
    read(reader, start(begun) + end({"output_tokens": 15, "input_tokens": None}))
    assert (reader.counts, reader.tier) == ({"input": 125, "output": 15, "cache_read": 100}, "priority")


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"inference_geo": "us"}, "us"),
        ({"inference_geo": "us", "speed": "fast", "service_tier": "standard"}, "fast us"),
        ({"inference_geo": "global"}, None),
        ({"inference_geo": "not_available", "service_tier": "standard"}, None),
    ],
)
def test_the_place_where_a_call_was_served_is_a_part_of_its_tier(told: dict[str, Any], tier: str | None) -> None:
    reader = StreamReader()
    read(reader, start({"input_tokens": 25, "output_tokens": 1} | told) + end({"output_tokens": 15}))
    assert (reader.tier, tier_of({"input_tokens": 25, "output_tokens": 15} | told)) == (tier, tier)


def test_input_that_grows_while_tools_run_is_counted_as_the_last_event_tells_it() -> None:
    reader = StreamReader()
    usage = {"input_tokens": 10682, "output_tokens": 510, "server_tool_use": {"web_search_requests": 1}}
    read(reader, start({"input_tokens": 2679, "output_tokens": 3}) + end(usage))
    assert reader.counts == {"input": 10682, "output": 510, "web_searches": 1}


def test_a_stream_that_breaks_off_is_counted_by_what_was_said() -> None:
    reader = StreamReader()
    read(reader, start({"input_tokens": 25, "output_tokens": 1}) + text(0, "a" * 30, "b" * 31))
    assert (reader.counts, reader.text_bytes) == ({"input": 25, "output": 21}, 61)


def test_a_stream_without_usage_has_none() -> None:
    reader = StreamReader()
    read(reader, start({}) + text(0, "Hello") + end({}))
    assert (reader.counts, reader.text_bytes, reader.finished) == (None, 5, True)


def test_text_thinking_and_arguments_are_output() -> None:
    reader = StreamReader()
    read(reader, start() + thought(0, "hm") + text(1, "π") + tool(2, "f", '{"a":', "1}"))
    assert reader.text_bytes == 2 + 2 + 1 + 7


def test_the_output_of_a_whole_answer_is_counted_the_same() -> None:
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "π"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    assert output_bytes(message(content)) == 2 + 2 + 1 + 7


def test_the_end_is_the_last_piece_of_its_own_and_what_comes_after_it_is_dropped() -> None:
    reader = StreamReader()
    stream = start() + text(0, "Hi") + end()
    assert read(reader, stream + PING) == ([stream.removesuffix(STOP), STOP], b"")
    assert reader.feed(PING) == []


def test_an_error_in_the_middle_passes_and_is_no_end() -> None:
    reader = StreamReader()
    stream = start() + text(0, "Hi") + OVERLOADED
    assert read(reader, stream) == ([stream], b"")
    assert not reader.finished


def test_an_end_that_lacks_its_last_line_is_an_end() -> None:
    reader = StreamReader()
    assert read(reader, start() + STOP[:-2]) == ([start()], STOP[:-2])
    assert reader.finished


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "usage", "text"]), inner),
    max_leaves=6,
)
KINDS = st.sampled_from(
    ["message_start", "message_delta", "content_block_start", "content_block_delta", "content_block_stop", "error"]
)
MEMBERS = ["message", "usage", "content_block", "delta", "index", "error"]
STRANGE = st.builds(
    lambda kind, members: event({"type": kind} | members), KINDS, st.dictionaries(st.sampled_from(MEMBERS), ANYTHING)
)
EVENTS = st.one_of(
    st.text(max_size=8).map(lambda said: text(0, said)),
    st.text(max_size=8).map(lambda said: thought(1, said)),
    st.text(max_size=8).map(lambda said: tool(2, "f", said)),
    st.integers(0, 999).map(lambda count: start({"input_tokens": count, "output_tokens": 1})),
    st.integers(0, 999).map(lambda count: end({"output_tokens": count}).removesuffix(STOP)),
    st.sampled_from([PING, OVERLOADED, b": comment\n\n", b"data: [1]\r\n\r\n", b"event: x\n\n", b"\n", b"data: {\n\n"]),
    st.just(block(3, {"type": "text", "text": "all"})),
    STRANGE,
    st.binary(max_size=6),
)
STREAMS = st.builds(
    lambda events, over: b"".join(events) + over,
    st.lists(EVENTS, max_size=6),
    st.sampled_from([b"", STOP, STOP[:-2], STOP + PING, b"event: message_stop\n"]),
)
CUTS = st.lists(st.integers(0, 1500), max_size=12)


@settings(deadline=None)
@given(STREAMS, CUTS)
def test_every_way_to_cut_a_stream_up_gives_the_same_bytes_and_counts(stream: bytes, cuts: list[int]) -> None:
    whole, split = StreamReader(), StreamReader()
    whole_pieces, whole_rest = read(whole, stream)
    split_pieces, split_rest = read(split, stream, cuts)
    assert (b"".join(split_pieces), split_rest) == (b"".join(whole_pieces), whole_rest)
    assert (split.counts, split.finished, split.text_bytes) == (whole.counts, whole.finished, whole.text_bytes)


@settings(deadline=None)
@given(STREAMS, CUTS)
def test_every_byte_before_the_end_passes(stream: bytes, cuts: list[int]) -> None:
    reader = StreamReader()
    pieces, rest = read(reader, stream, cuts)
    passed = b"".join(pieces) + rest
    assert passed == stream or (reader.finished and stream.startswith(passed))
