"""Anthropic's own Python SDK."""

from __future__ import annotations

import threading
from typing import Any

import anthropic
from pydantic import BaseModel

from tests.clients.programs.serving import LARGE, PLACE, QUESTION, Target, named, serve

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
TOOL: Any = {"name": "weather", "description": "The weather.", "input_schema": PLACE}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
# What is written to and read from the cache is marked so by who asks.
CACHED: Any = [{"type": "text", "text": "You know the weather.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


class Weather(BaseModel):
    city: str
    degrees: int


def client(target: Target) -> anthropic.Anthropic:
    http = anthropic.DefaultHttpxClient(event_hooks={"request": [target.note]})
    return anthropic.Anthropic(base_url=target.url, api_key=target.key, max_retries=target.retries, http_client=http)


def text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def usage(told: Any) -> dict[str, int]:
    return {"input": told.input_tokens, "output": told.output_tokens}


def messages(target: Target) -> Any:
    answer = client(target).messages.create(model=target.model, max_tokens=2048, messages=MESSAGES)
    return {"text": text(answer), **usage(answer.usage)}


def stream_messages(target: Target) -> Any:
    with client(target).messages.stream(model=target.model, max_tokens=2048, messages=MESSAGES) as events:
        pieces = list(events.text_stream)
        answer = events.get_final_message()
    return {"text": text(answer), "pieces": len(pieces), **usage(answer.usage)}


def cache(target: Target) -> Any:
    """Usage with what was read from the cache and written to it."""
    answer = client(target).messages.create(model=target.model, max_tokens=2048, messages=MESSAGES, system=CACHED)
    told = answer.usage
    assert told.cache_creation
    return usage(told) | {
        "read": told.cache_read_input_tokens,
        "written": told.cache_creation.ephemeral_5m_input_tokens,
        "hourly": told.cache_creation.ephemeral_1h_input_tokens,
    }


def messages_tools(target: Target) -> Any:
    asked = client(target).messages.create(model=target.model, max_tokens=2048, messages=MESSAGES, tools=[TOOL])
    (call,) = asked.content
    assert call.type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "7 degrees"}
    more: Any = [*MESSAGES, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    answer = client(target).messages.create(model=target.model, max_tokens=2048, messages=more, tools=[TOOL])
    return {"tool": call.name, "given": call.input, "text": text(answer)}


def stream_messages_tools(target: Target) -> Any:
    with client(target).messages.stream(model=target.model, max_tokens=2048, messages=MESSAGES, tools=[TOOL]) as events:
        (call,) = events.get_final_message().content
    assert call.type == "tool_use"
    return {"tool": call.name, "given": call.input}


def messages_structured(target: Target) -> Any:
    answer = client(target).messages.parse(
        model=target.model, max_tokens=2048, messages=MESSAGES, output_format=Weather
    )
    assert answer.parsed_output
    return answer.parsed_output.model_dump()


def thoughts(message: Any) -> dict[str, Any]:
    thought = message.content[0]
    return {"thought": thought.thinking, "signature": thought.signature, "text": text(message)}


def thinking(target: Target) -> Any:
    return thoughts(
        client(target).messages.create(model=target.model, max_tokens=2048, messages=MESSAGES, thinking=THINKING)
    )


def stream_thinking(target: Target) -> Any:
    with client(target).messages.stream(
        model=target.model, max_tokens=2048, messages=MESSAGES, thinking=THINKING
    ) as events:
        return thoughts(events.get_final_message())


def count_tokens(target: Target) -> Any:
    return {"input": client(target).messages.count_tokens(model=target.model, messages=MESSAGES).input_tokens}


def large(target: Target) -> Any:
    return client(target).messages.create(
        model=target.model, max_tokens=2048, messages=[{"role": "user", "content": LARGE}]
    )


def patient(target: Target) -> Any:
    """A message beside another one that runs with the same key."""
    busy = anthropic.Anthropic(base_url=target.url, api_key=target.key)
    with busy.messages.stream(model=target.model, max_tokens=2048, messages=MESSAGES) as running:
        events = iter(running)
        next(events)
        rest = threading.Thread(target=list, args=(events,))
        rest.start()
        answer = messages(target)
        rest.join()
    return answer


serve(
    named(
        messages,
        stream_messages,
        cache,
        messages_tools,
        stream_messages_tools,
        messages_structured,
        thinking,
        stream_thinking,
        count_tokens,
        large,
        patient,
    )
)
