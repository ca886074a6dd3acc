"""What Anthropic answers is what OpenAI's own library reads, whole, streamed, and where it fails."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.providers import PROVIDERS
from app.providers.base import StreamReader, Whole
from tests.providers.messages import (
    OVERLOADED,
    PING,
    block,
    chunks,
    end,
    event,
    message,
    read,
    start,
    text,
    thought,
    tool,
)
from tests.providers.sending import sent
from tests.providers.test_anthropic_answers import CUTS, STREAMS

CHAT = PROVIDERS["anthropic"].formats["chat/completions"]
CACHED = {
    "input_tokens": 20,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "output_tokens": 15,
    "output_tokens_details": {"thinking_tokens": 5},
}
THINKING = {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCgIYAhIM"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"place": "Zürich"}}


def answered(answer: dict[str, Any], status: int = 200) -> Whole:
    return CHAT.whole(sent("chat/completions", {}), status, orjson.dumps(answer))


def completion(answer: dict[str, Any]) -> ChatCompletion:
    return ChatCompletion.model_validate_json(answered(answer).body)


def reader(*, usage_asked: bool = True) -> StreamReader:
    return CHAT.reader(sent("chat/completions", {"stream": True, "stream_options": {"include_usage": usage_asked}}))


def streamed(*events: bytes) -> tuple[ChatCompletion, list[ChatCompletionChunk]]:
    """What OpenAI's library makes of a stream, and the chunks that it read."""
    pieces, rest = read(reader(), b"".join(events))
    shown = b"".join(pieces) + rest
    assert shown.endswith(b"data: [DONE]\n\n")
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    told = [ChatCompletionChunk.model_validate(chunk) for chunk in chunks(shown)]
    for chunk in told:
        state.handle_chunk(chunk)
    return state.current_completion_snapshot, told


def test_a_text_is_what_the_assistant_says() -> None:
    told = completion(message([{"type": "text", "text": "Hello, "}, {"type": "text", "text": "π"}]))
    assert told.choices[0].message.content == "Hello, π"
    assert told.choices[0].finish_reason == "stop"
    assert (told.id, told.model) == ("msg_01XFDUDYJgAACzvnptvVoYEL", "claude-opus-5-5")


def test_calls_of_tools_are_told() -> None:
    told = completion(message([CALL, CALL | {"id": "toolu_2", "input": {}}], stop_reason="tool_use")).choices[0]
    calls = [call.model_dump() for call in told.message.tool_calls or []]
    assert [call["id"] for call in calls] == ["toolu_1", "toolu_2"]
    assert [call["function"]["arguments"] for call in calls] == ['{"place":"Zürich"}', "{}"]
    assert (told.message.content, told.finish_reason) == (None, "tool_calls")


def test_thinking_is_told_as_litellm_tells_it() -> None:
    said = orjson.loads(answered(message([THINKING, {"type": "text", "text": "Hi"}])).body)["choices"][0]["message"]
    assert (said["content"], said["reasoning_content"]) == ("Hi", "Let me see.")
    assert said["thinking_blocks"] == [THINKING]


def test_usage_has_the_cache_in_its_prompt() -> None:
    usage = completion(message([], CACHED)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (150, 15, 165)
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens) == (100, 30)
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 5


def test_what_is_billed_is_what_anthropic_tells() -> None:
    whole = answered(message([{"type": "text", "text": "Hi"}], CACHED | {"service_tier": "priority"}))
    expected = {"input": 150, "output": 15, "cache_read": 100, "cache_write_5m": 30, "reasoning": 5}
    assert (whole.counts, whole.tier, whole.text_bytes) == (expected, "priority", 2)


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_every_reason_to_stop_has_a_word(stop_reason: str | None, finish_reason: str) -> None:
    assert completion(message([], stop_reason=stop_reason)).choices[0].finish_reason == finish_reason
    if stop_reason is not None:
        assert streamed(start(), end(stop_reason=stop_reason))[0].choices[0].finish_reason == finish_reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
            {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": None},
        ),
        (b'{"message":"Too many"}', {"message": "Too many", "type": "api_error", "param": None, "code": None}),
        (b"<html>", {"message": "<html>", "type": "api_error", "param": None, "code": None}),
        (b"", {"message": "The provider answered 529.", "type": "api_error", "param": None, "code": None}),
    ],
)
def test_errors_have_openais_shape_and_no_usage(answer: bytes, said: dict[str, Any]) -> None:
    whole = CHAT.whole(sent("chat/completions", {}), 529, answer)
    assert (orjson.loads(whole.body), whole.counts, whole.text_bytes) == ({"error": said}, None, 0)


def test_a_stream_says_what_the_whole_answer_says() -> None:
    told, heard = streamed(
        start(CACHED | {"output_tokens": 1}),
        PING,
        thought(0, "Let me ", "see."),
        text(1, "Hel", "lo"),
        tool(2, "get_weather", "", '{"place": "Zü', 'rich"}'),
        tool(3, "get_time"),
        end(CACHED, "tool_use"),
    )
    said = told.choices[0]
    assert (said.message.content, said.finish_reason) == ("Hello", "tool_calls")
    calls = [call.model_dump()["function"] for call in said.message.tool_calls or []]
    assert [(call["name"], call["arguments"]) for call in calls] == [
        ("get_weather", '{"place": "Zürich"}'),
        ("get_time", "{}"),
    ]
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (150, 15)
    assert heard[0].choices[0].delta.role == "assistant"
    deltas = [chunk.choices[0].delta.model_dump() for chunk in heard if chunk.choices]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Let me see."
    assert [delta["thinking_blocks"] for delta in deltas if "thinking_blocks" in delta] == [[{"index": 0, **THINKING}]]
    assert {chunk.id for chunk in heard} == {"msg_01XFDUDYJgAACzvnptvVoYEL"}


def test_thinking_between_the_calls_of_tools_is_put_together_by_openais_library() -> None:
    told, _ = streamed(start(), thought(0, "One."), tool(1, "f", "{}"), thought(2, "Two."), text(3, "Hi"), end())
    (thinking,) = [told.choices[0].message.model_dump()["thinking_blocks"]]
    assert [block["thinking"] for block in thinking] == ["One.", "Two."]


def test_tools_that_anthropic_runs_itself_are_no_calls() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    asked = block(0, search, {"type": "input_json_delta", "partial_json": '{"query": "x"}'})
    found = block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
    told, _ = streamed(start(), asked, found, text(2, "Found."), end())
    assert (told.choices[0].message.content, told.choices[0].message.tool_calls) == ("Found.", None)


def test_a_block_that_comes_all_at_once_is_told() -> None:
    begun = block(0, {"type": "text", "text": "all"})
    told, _ = streamed(start(), begun, block(1, CALL), end(stop_reason="tool_use"))
    assert told.choices[0].message.content == "all"
    (call,) = told.choices[0].message.tool_calls or []
    assert call.model_dump()["function"]["arguments"] == '{"place":"Zürich"}'


def test_usage_is_hidden_from_a_client_that_did_not_ask() -> None:
    quiet = reader(usage_asked=False)
    pieces, _ = read(quiet, start() + text(0, "Hi") + end())
    assert b"usage" not in b"".join(pieces)
    assert quiet.counts == {"input": 25, "output": 15}


def test_the_end_is_a_piece_of_its_own_and_comes_once() -> None:
    full = reader()
    pieces, rest = read(full, start() + text(0, "Hi") + end() + PING)
    assert (pieces[-1], rest, full.finished) == (b"data: [DONE]\n\n", b"", True)
    assert full.feed(start()) == []


def test_a_ping_keeps_the_connection_alive() -> None:
    assert reader().feed(PING) == [b": ping\n\n"]


def test_an_error_in_the_middle_is_openais_and_no_end_comes_after_it() -> None:
    broken = reader()
    pieces, rest = read(broken, start() + OVERLOADED + end())
    error = {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": None}
    assert (chunks(b"".join(pieces))[-1], rest, broken.finished) == ({"error": error}, b"", False)


def test_a_stream_that_breaks_off_ends_with_an_error() -> None:
    broken = reader()
    _, rest = read(broken, start() + text(0, "Hi"))
    assert "error" in chunks(rest)[0]
    assert (broken.finished, broken.counts) == (False, {"input": 25, "output": 1})


def test_a_stream_that_only_lacks_its_end_mark_ends_well() -> None:
    whole = reader()
    stopped = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})
    _, rest = read(whole, start() + text(0, "Hi") + stopped)
    assert (rest.endswith(b"data: [DONE]\n\n"), whole.finished) == (True, True)


@settings(deadline=None)
@given(STREAMS, CUTS)
def test_every_way_to_cut_a_stream_up_gives_the_same_chunks_and_counts(stream: bytes, cuts: list[int]) -> None:
    whole, split = reader(), reader()
    whole_pieces, whole_rest = read(whole, stream)
    split_pieces, split_rest = read(split, stream, cuts)
    assert _timeless(b"".join(split_pieces) + split_rest) == _timeless(b"".join(whole_pieces) + whole_rest)
    assert (split.counts, split.finished, split.text_bytes) == (whole.counts, whole.finished, whole.text_bytes)


@settings(deadline=None)
@given(STREAMS)
def test_every_chunk_of_every_stream_is_one_of_openais_or_an_error(stream: bytes) -> None:
    pieces, rest = read(reader(), stream)
    for chunk in chunks(b"".join(pieces) + rest):
        if "error" not in chunk:
            ChatCompletionChunk.model_validate(chunk)


def _timeless(shown: bytes) -> list[dict[str, Any]]:
    return [chunk | {"created": 0} for chunk in chunks(shown)]
