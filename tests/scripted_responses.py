"""What the scripted provider says on OpenAI's route for responses, whole and as a stream of named events.

After OpenAI's pages "Create a model response" and "Streaming events". Reasoning is answered to whoever wants it
included in encrypted form, as those do who keep no conversation at the provider.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from tests.scripted_answers import TOOL_INPUT, Behaviour, Call, error_of, words

# What is told back of the request, with what stands there when the request does not say it.
ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}

# What an item has before it is told.
EMPTY: dict[str, dict[str, Any]] = {
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "reasoning": {},
}


def error_event(status: int) -> bytes:
    told = error_of(status)["error"]
    return event({"type": "error", "code": told["type"], "message": told["message"], "param": None}, 0)


class Answer:
    """What one call is answered with, whole or as a stream."""

    type = "application/json"

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._call = call
        self._behaviour = behaviour
        self._mark = "same" if behaviour.same_id else uuid.uuid4().hex
        self._created = int(time.time())
        given = call.body.get("input")
        results = isinstance(given, list) and any(item.get("type") == "function_call_output" for item in given[-1:])
        self._tool = behaviour.tool and not results
        self.streams = call.streams

    def whole(self) -> dict[str, Any]:
        return self._response("completed", self._output())

    def events(self) -> Iterator[bytes]:
        for number, value in enumerate(self._told()):
            yield event(value, number)

    def _told(self) -> Iterator[dict[str, Any]]:
        yield {"type": "response.created", "response": self._response("in_progress", [])}
        yield {"type": "response.in_progress", "response": self._response("in_progress", [])}
        for index, item in enumerate(self._output()):
            yield from self._item(index, item)
        if self._behaviour.done:
            yield {"type": "response.completed", "response": self.whole()}

    def _item(self, index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        begun = item | EMPTY[item["type"]]
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield from self._text(where | {"content_index": 0}, item["content"][0])
        elif item["type"] == "function_call":
            for part in (item["arguments"][:8], item["arguments"][8:]):
                yield {"type": "response.function_call_arguments.delta", **where, "delta": part}
            done = {"type": "response.function_call_arguments.done", **where, "name": item["name"]}
            yield done | {"arguments": item["arguments"]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def _text(self, where: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"type": "response.content_part.added", **where, "part": part | {"text": ""}}
        for word in words(self._behaviour):
            yield {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
        yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **where, "part": part}

    def _output(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if "reasoning.encrypted_content" in (self._call.body.get("include") or []):
            thought = {"id": f"rs_{self._mark}", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"}
            items.append(thought)
        if self._tool:
            call = {"id": f"fc_{self._mark}", "type": "function_call", "status": "completed", "call_id": "call_1"}
            return [*items, call | {"name": "weather", "arguments": json.dumps(TOOL_INPUT)}]
        text = {"type": "output_text", "annotations": [], "logprobs": [], "text": self._behaviour.text}
        said = {"id": f"msg_{self._mark}", "type": "message", "status": "completed", "role": "assistant"}
        return [*items, said | {"content": [text]}]

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"resp_{self._mark}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._call.model,
            "output": output,
            **{name: self._call.body.get(name, value) for name, value in ECHOED.items()},
            "service_tier": "default" if status == "completed" else "auto",
            "usage": usage_of(self._behaviour) if status == "completed" else None,
        }


class Compaction:
    """What stands for a long conversation, after "Compact a response"."""

    type = "application/json"
    streams = False

    def __init__(self, _: Call, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def whole(self) -> dict[str, Any]:
        kept = {"id": f"cmp_{uuid.uuid4().hex}", "type": "compaction", "encrypted_content": "gAAAAABo"}
        about = {"id": f"resp_{uuid.uuid4().hex}", "object": "response.compaction", "created_at": int(time.time())}
        return about | {"output": [kept], "usage": usage_of(self._behaviour)}

    def events(self) -> Iterator[bytes]:
        return iter(())


class InputTokens:
    """How long a conversation is, after "Get input token counts"."""

    type = "application/json"
    streams = False

    def __init__(self, _: Call, behaviour: Behaviour) -> None:
        self._usage = behaviour.usage or {}

    def whole(self) -> dict[str, Any]:
        return {"object": "response.input_tokens", "input_tokens": self._usage.get("prompt_tokens", 0)}

    def events(self) -> Iterator[bytes]:
        return iter(())


def usage_of(behaviour: Behaviour) -> dict[str, Any] | None:
    """The route's own names for the usage of a chat."""
    usage = behaviour.usage
    if usage is None:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": usage["prompt_tokens_details"]["cached_tokens"]},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": usage["total_tokens"],
    }


def event(value: dict[str, Any], number: int) -> bytes:
    kind, told = value["type"], value | {"sequence_number": number}
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps(told, separators=(",", ":")).encode())
