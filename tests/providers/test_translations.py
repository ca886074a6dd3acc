"""What is translated there and back again is what it was."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from app.providers.base import StreamReader
from app.providers.chat_over_messages_answer import completion
from app.providers.chat_over_messages_stream import ChunkReader
from app.providers.chat_over_messages_turns import turns
from app.providers.messages_over_chat_answer import message
from app.providers.messages_over_chat_stream import MessageReader
from app.providers.messages_over_chat_turns import chat_messages
from app.providers.openai_answers import StreamReader as OpenAIReader
from app.providers.openai_answers import parsed
from tests.providers.messages import chunks, read
from tests.providers.test_messages_over_chat import BEGUN, DONE, USAGE, USED, called, chunk

SAID = st.text(min_size=1, max_size=10).filter(str.strip)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
GIVEN = st.dictionaries(st.text(max_size=4), st.text(max_size=5) | st.integers(-9, 9) | st.none(), max_size=3)


def a_call(given_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": given_id, "type": "function", "function": {"name": name, "arguments": _json(arguments)}}


def _json(value: dict[str, Any]) -> str:
    # Written as the translation writes it, so that the comparison is one of texts.
    return orjson.dumps(value).decode()


CALLS = st.lists(st.builds(a_call, NAMES, NAMES, GIVEN), min_size=1, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A chat as agents have it: instructions first, then users, calls of tools and their results."""
    told: list[dict[str, Any]] = [{"role": "system", "content": draw(SAID)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        told.append({"role": "user", "content": draw(SAID)})
        if draw(st.booleans()):
            calls = draw(CALLS)
            told.append({"role": "assistant", "content": draw(st.none() | SAID), "tool_calls": calls})
            told += [
                {"role": "tool", "tool_call_id": call["id"], "content": draw(st.text(max_size=5))} for call in calls
            ]
        told.append({"role": "assistant", "content": draw(SAID)})
    return told


@settings(deadline=None)
@given(conversations())
def test_a_conversation_is_the_same_there_and_back(told: list[dict[str, Any]]) -> None:
    system, translated = turns(told)
    assert [turn["role"] for turn in translated] == (["user", "assistant"] * len(translated))[: len(translated)]
    assert chat_messages(system, translated, reasoning=False) == told


@settings(deadline=None)
@given(st.none() | SAID, st.none() | SAID, st.none() | CALLS)
def test_an_answer_is_the_same_there_and_back(
    text: str | None, reasoning: str | None, calls: list[dict[str, Any]] | None
) -> None:
    said = {"role": "assistant", "content": text, "reasoning_content": reasoning, "tool_calls": calls}
    choice = {"message": said, "finish_reason": "tool_calls" if calls else "stop"}
    there = parsed(message({"id": "chatcmpl-1", "model": "m"}, choice, None))
    back = parsed(completion(there, None))["choices"][0]
    assert back["finish_reason"] == choice["finish_reason"]
    assert {name: back["message"].get(name) or None for name in said} == said


TOLD = st.one_of(
    SAID.map(lambda text: [chunk({"content": text})]),
    SAID.map(lambda text: [chunk({"reasoning_content": text})]),
)
TOOLS = st.lists(st.tuples(NAMES, st.lists(SAID, max_size=3)), max_size=3)


def _called(tools: list[tuple[str, list[str]]]) -> list[bytes]:
    """Calls one after the other; the arguments need not be JSON to pass."""
    events: list[bytes] = []
    for index, (name, arguments) in enumerate(tools):
        events.append(called(index, "", f"call_{index}", name))
        events += [called(index, argument) for argument in [*arguments, "{}"]]
    return events


def _accumulated(reader: StreamReader, stream: bytes, cuts: list[int]) -> dict[str, Any]:
    """What OpenAI's library makes of a stream, and what the reader has counted."""
    pieces, rest = read(reader, stream, cuts)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    reasoning = ""
    for data in chunks(b"".join(pieces) + rest):
        told = ChatCompletionChunk.model_validate(data)
        state.handle_chunk(told)
        for choice in told.choices:
            reasoning += choice.delta.model_dump().get("reasoning_content") or ""
    whole = state.current_completion_snapshot
    said = whole.choices[0].message
    calls = [call.model_dump(include={"id": True, "function": {"name", "arguments"}}) for call in said.tool_calls or []]
    usage = whole.usage.model_dump(include={"prompt_tokens", "completion_tokens"}) if whole.usage else None
    return {
        "content": said.content or "",
        "reasoning": reasoning,
        "calls": calls,
        "usage": usage,
        "counts": reader.counts,
    }


@settings(deadline=None)
@given(st.lists(TOLD, max_size=6), TOOLS, st.lists(st.integers(0, 3000), max_size=8))
def test_a_stream_is_the_same_there_and_back(
    told: list[list[bytes]], tools: list[tuple[str, list[str]]], cuts: list[int]
) -> None:
    events = [BEGUN, *(event for group in told for event in group), *_called(tools)]
    stream = b"".join([*events, chunk({}, "tool_calls" if tools else "stop"), USED, DONE])
    direct = OpenAIReader(usage_asked=True)
    there_and_back = ChunkReader(MessageReader(OpenAIReader(usage_asked=True)), usage_asked=True)
    translated = _accumulated(there_and_back, stream, cuts)
    assert translated == _accumulated(direct, stream, [])
    assert translated["usage"]["prompt_tokens"] == USAGE["prompt_tokens"]
