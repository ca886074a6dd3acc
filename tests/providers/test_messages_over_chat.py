"""What OpenAI's models answer is what Anthropic's own library reads, whole, streamed, and where they fail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.providers import PROVIDERS
from app.providers.base import StreamReader, Whole
from tests.providers.messages import chunks, read
from tests.providers.sending import sent

MESSAGES = PROVIDERS["openai"].formats["messages"]
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
USAGE = {
    "prompt_tokens": 150,
    "completion_tokens": 15,
    "total_tokens": 165,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
DONE = b"data: [DONE]\n\n"
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"place": "Zürich"}'}}


def answered(said: Mapping[str, Any], finish_reason: str | None = "stop", usage: Any = None) -> Whole:
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish_reason}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5.4", "choices": [choice], "usage": usage}
    return MESSAGES.whole(sent("messages", {}), 200, orjson.dumps(body))


def message(said: Mapping[str, Any], finish_reason: str | None = "stop", usage: Any = USAGE) -> Message:
    return Message.model_validate_json(answered(said, finish_reason, usage).body)


def chunk(delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    told = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5.4",
        "choices": [choice],
    } | more
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def called(index: int | None, arguments: str = "", given: str | None = None, name: str | None = None) -> bytes:
    call: dict[str, Any] = {"index": index, "id": given, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [{key: value for key, value in call.items() if value is not None}]})


BEGUN = chunk({"role": "assistant", "content": ""})
STOPPED = chunk({}, "stop")
USED = chunk({}, choices=[], usage=USAGE)


def reader() -> StreamReader:
    return MESSAGES.reader(sent("messages", {"stream": True}))


def shown(*events: bytes, cuts: Sequence[int] = ()) -> bytes:
    pieces, rest = read(reader(), b"".join(events), cuts)
    return b"".join(pieces) + rest


def accumulated(events: Iterable[Mapping[str, Any]]) -> Message:
    """What Anthropic's library makes of events, each of which must be one of its own."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            told = EVENT.validate_python(event)
            snapshot = accumulate_event(event=told, current_snapshot=snapshot, json_bufs=buffers)
    return Message.model_validate(snapshot.to_dict())


def streamed(*events: bytes) -> Message:
    out = shown(*events)
    assert out.endswith(STOP)
    return accumulated(chunks(out))


def content(told: Message) -> list[tuple[str, Any]]:
    """Each block's type and what it holds."""
    blocks = (block.model_dump() for block in told.content)
    held = {"text": "text", "thinking": "thinking", "tool_use": "input"}
    return [(block["type"], block[held[block["type"]]]) for block in blocks]


def test_a_text_is_a_block() -> None:
    told = message({"content": "Hello, π"})
    assert content(told) == [("text", "Hello, π")]
    assert (told.id, told.model, told.stop_reason) == ("chatcmpl-1", "gpt-5.4", "end_turn")


def test_reasoning_text_and_calls_are_blocks_in_this_order() -> None:
    cut_off = CALL | {"id": "call_2", "function": {"name": "f", "arguments": '{"place": "Zü'}}
    said = {"reasoning_content": "hm", "content": "I look.", "tool_calls": [CALL, cut_off]}
    told = message(said, "tool_calls")
    assert content(told) == [
        ("thinking", "hm"),
        ("text", "I look."),
        ("tool_use", {"place": "Zürich"}),
        ("tool_use", {}),
    ]
    assert told.stop_reason == "tool_use"


def test_mistrals_parts_and_refusals_are_text() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi"}]
    assert content(message({"content": parts})) == [("thinking", "hm"), ("text", "Hi")]
    assert content(message({"content": None, "refusal": "No."})) == [("text", "No.")]


def test_usage_is_split_up_again() -> None:
    usage = message({"content": "Hi"}).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (20, 100, 30)
    assert usage.output_tokens == 15


def test_what_is_billed_is_what_openai_tells() -> None:
    whole = answered({"content": "Hi"}, usage=USAGE)
    expected = {"input": 150, "output": 15, "cache_read": 100, "cache_write_5m": 30, "reasoning": 5}
    assert (whole.counts, whole.text_bytes) == (expected, 2)


def test_an_answer_without_usage_is_a_message_all_the_same() -> None:
    assert message({"content": "Hi"}, usage=None).usage.output_tokens == 0
    assert answered({"content": "Hi"}).counts is None


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("something_new", "end_turn"),
    ],
)
def test_every_reason_to_finish_has_a_word(finish_reason: str, stop_reason: str) -> None:
    assert message({"content": "Hi"}, finish_reason).stop_reason == stop_reason
    assert streamed(BEGUN, chunk({}, finish_reason), DONE).stop_reason == stop_reason


def test_calls_are_the_reason_also_where_a_server_says_stop() -> None:
    assert message({"tool_calls": [CALL]}, "stop").stop_reason == "tool_use"
    assert streamed(called(0, "{}", "call_1", "f"), STOPPED, DONE).stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("status", "answer", "kind", "text"),
    [
        (400, b'{"error":{"message":"Bad","type":"invalid_request_error"}}', "invalid_request_error", "Bad"),
        (401, b'{"error":{"message":"Who?"}}', "authentication_error", "Who?"),
        (404, b'{"error":"no such model"}', "not_found_error", "no such model"),
        (429, b'{"object":"error","message":"Slow down"}', "rate_limit_error", "Slow down"),
        (422, b'{"detail":"x"}', "invalid_request_error", '{"detail":"x"}'),
        (500, b"<html>", "api_error", "<html>"),
        (503, b"", "api_error", "The provider answered 503."),
    ],
)
def test_errors_have_anthropics_shape_and_no_usage(status: int, answer: bytes, kind: str, text: str) -> None:
    whole = MESSAGES.whole(sent("messages", {}), status, answer)
    assert orjson.loads(whole.body) == {"type": "error", "error": {"type": kind, "message": text}}
    assert (whole.counts, whole.text_bytes) == (None, 0)


def test_a_stream_says_what_the_whole_answer_says() -> None:
    told = streamed(
        BEGUN,
        chunk({"reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "I "}),
        chunk({"content": ""}),
        chunk({"content": "look."}),
        called(0, "", "call_1", "get_weather"),
        called(0, '{"place": "Zü'),
        called(0, 'rich"}'),
        called(1, '{"at": 1}', "call_2", "get_time"),
        chunk({}, "tool_calls"),
        USED,
        DONE,
    )
    assert content(told) == [
        ("thinking", "hm"),
        ("text", "I look."),
        ("tool_use", {"place": "Zürich"}),
        ("tool_use", {"at": 1}),
    ]
    assert (told.stop_reason, told.usage.input_tokens, told.usage.output_tokens) == ("tool_use", 20, 15)
    assert (told.usage.cache_read_input_tokens, told.usage.cache_creation_input_tokens) == (100, 30)


def test_the_events_come_in_the_order_that_anthropic_documents() -> None:
    out = shown(BEGUN, chunk({"content": "Hi"}), called(0, "{}", "call_1", "f"), chunk({}, "tool_calls"), USED, DONE)
    kinds = [(event["type"], event.get("index")) for event in chunks(out) if event["type"] != "ping"]
    assert kinds == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_the_name_of_each_event_is_its_type() -> None:
    lines = shown(BEGUN, chunk({"content": "Hi"}), STOPPED, DONE).split(b"\n")
    names = [line.removeprefix(b"event: ").decode() for line in lines if line.startswith(b"event: ")]
    assert names == [json.loads(line[6:])["type"] for line in lines if line.startswith(b"data: ")]


def test_calls_that_are_told_side_by_side_are_told_one_after_the_other() -> None:
    told = streamed(
        called(0, '{"a"', "call_1", "f"),
        called(1, '{"b"', "call_2", "g"),
        called(0, ": 1}"),
        called(1, ": 2}"),
        chunk({"content": "Both."}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert content(told) == [("tool_use", {"a": 1}), ("tool_use", {"b": 2}), ("text", "Both.")]
    names = [block.model_dump()["name"] for block in told.content[:2]]
    assert names == ["f", "g"]


@pytest.mark.parametrize("index", [None, 0])
def test_calls_without_an_index_of_their_own_are_told_apart_by_their_ids(index: int | None) -> None:
    told = streamed(called(index, '{"a": 1}', "x", "f"), called(index, '{"a": 2}', "y", "f"), STOPPED, DONE)
    assert content(told) == [("tool_use", {"a": 1}), ("tool_use", {"a": 2})]


def test_a_call_without_an_id_gets_one() -> None:
    (block,) = streamed(called(0, "{}", None, "f"), STOPPED, DONE).content
    assert block.model_dump()["id"].startswith("toolu_")


def test_what_waits_is_announced_by_a_ping() -> None:
    open_call = reader()
    open_call.feed(called(0, "{", "call_1", "f"))
    assert open_call.feed(called(1, "{", "call_2", "g")) == [b'event: ping\ndata: {"type":"ping"}\n\n']


def test_a_comment_keeps_the_connection_alive() -> None:
    assert reader().feed(b": OPENROUTER PROCESSING\n\n") == [b'event: ping\ndata: {"type":"ping"}\n\n']


def test_an_empty_stream_is_an_empty_message() -> None:
    assert streamed(DONE).content == []


def test_the_end_is_a_piece_of_its_own_and_comes_once() -> None:
    full = reader()
    pieces, rest = read(full, BEGUN + chunk({"content": "Hi"}) + STOPPED + USED + DONE + BEGUN)
    assert (pieces[-1], rest, full.finished) == (STOP, b"", True)
    assert full.counts == {"input": 150, "output": 15, "cache_read": 100, "cache_write_5m": 30, "reasoning": 5}
    assert full.feed(BEGUN) == []


def test_an_error_in_the_middle_is_anthropics_and_no_end_comes_after_it() -> None:
    broken = reader()
    pieces, rest = read(broken, BEGUN + b'data: {"error": {"message": "Gone"}}\n\n' + DONE)
    error = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Gone"}}\n\n'
    assert (b"".join(pieces)[-len(error) :], rest, broken.finished) == (error, b"", False)


def test_a_stream_that_breaks_off_ends_with_an_error() -> None:
    broken = reader()
    _, rest = read(broken, BEGUN + chunk({"content": "Hi"}))
    assert (rest.startswith(b"event: error\n"), broken.finished) == (True, False)


def test_a_stream_that_only_lacks_its_end_mark_ends_well() -> None:
    whole = reader()
    pieces, rest = read(whole, BEGUN + chunk({"content": "Hi"}) + STOPPED + USED[:-2])
    assert (rest.endswith(STOP), whole.finished) == (True, True)
    assert accumulated(chunks(b"".join(pieces) + rest)).usage.output_tokens == 15


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "delta", "function", "id", "type", "text", "index"]), inner)
    ),
    max_leaves=8,
)
FIELDS = ["content", "reasoning_content", "tool_calls", "refusal", "role"]
CHUNKS = st.one_of(
    st.text(max_size=8).map(lambda said: chunk({"content": said})),
    st.text(max_size=8).map(lambda said: chunk({"reasoning_content": said})),
    st.builds(
        called,
        st.none() | st.integers(0, 2),
        st.text(max_size=5),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([None, "f"]),
    ),
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3).map(chunk),
    st.builds(lambda choices: chunk({}, choices=choices), ANYTHING),
    st.sampled_from([BEGUN, STOPPED, USED, b": hi\n\n", b"data: [1]\r\n\r\n", b"data: {\n\n", b"\n"]),
    st.binary(max_size=6),
)
STREAMS = st.builds(
    lambda events, over: b"".join(events) + over,
    st.lists(CHUNKS, max_size=8),
    st.sampled_from([b"", DONE, DONE[:-2], STOPPED + DONE, b'data: {"error": "x"}\n\n']),
)


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 2500), max_size=12))
def test_every_way_to_cut_a_stream_up_gives_the_same_message_and_counts(stream: bytes, cuts: list[int]) -> None:
    whole, split = reader(), reader()
    whole_pieces, whole_rest = read(whole, stream)
    split_pieces, split_rest = read(split, stream, cuts)
    assert _nameless(b"".join(split_pieces) + split_rest) == _nameless(b"".join(whole_pieces) + whole_rest)
    assert (split.counts, split.finished, split.text_bytes) == (whole.counts, whole.finished, whole.text_bytes)


@settings(deadline=None)
@given(STREAMS)
def test_every_stream_is_a_sequence_that_anthropics_library_accepts(stream: bytes) -> None:
    events = chunks(shown(stream))
    whole = [event for event in events if event["type"] not in ("ping", "error")]
    for event in whole:
        EVENT.validate_python(event)
    opened = [event["index"] for event in whole if event["type"] == "content_block_start"]
    assert opened == list(range(len(opened)))
    assert not whole or whole[0]["type"] == "message_start"


def _nameless(out: bytes) -> list[Any]:
    """The events, but for the ids that were made up."""
    return [
        {key: {**value, "id": ""} if key in ("message", "content_block") else value for key, value in event.items()}
        for event in chunks(out)
    ]
