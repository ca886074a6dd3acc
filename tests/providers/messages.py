"""Answers and streams of Anthropic's, as its documentation shows them, and ways to read a stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.providers.base import StreamReader

FRESH = {"input_tokens": 25, "output_tokens": 15}


def message(
    content: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A whole answer with these blocks."""
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": dict(FRESH if usage is None else usage),
    } | more


def event(data: Mapping[str, Any]) -> bytes:
    """An event that is named after its type."""
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + json.dumps(data).encode() + b"\n\n"


def start(usage: Mapping[str, Any] | None = None) -> bytes:
    """The first event of a stream."""
    begun = message([], {"input_tokens": 25, "output_tokens": 1} if usage is None else usage, stop_reason=None)
    return event({"type": "message_start", "message": begun})


def block(index: int, begun: Mapping[str, Any], *deltas: Mapping[str, Any]) -> bytes:
    """One block from its start to its stop."""
    return b"".join(
        (
            event({"type": "content_block_start", "index": index, "content_block": begun}),
            *(event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
            event({"type": "content_block_stop", "index": index}),
        )
    )


def text(index: int, *said: str) -> bytes:
    """A block of text that comes in these deltas."""
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": one} for one in said))


def thought(index: int, *said: str) -> bytes:
    """A block of thinking, with its signature."""
    deltas = [{"type": "thinking_delta", "thinking": one} for one in said]
    signed = {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def tool(index: int, name: str, *arguments: str) -> bytes:
    """A call of a tool, whose arguments come in these deltas."""
    begun = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    return block(index, begun, *({"type": "input_json_delta", "partial_json": one} for one in arguments))


def end(usage: Mapping[str, Any] | None = None, stop_reason: str = "end_turn") -> bytes:
    """The last two events of a stream."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    told = event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15} if usage is None else usage})
    return told + STOP


STOP = event({"type": "message_stop"})
PING = event({"type": "ping"})
OVERLOADED = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def read(reader: StreamReader, stream: bytes, cuts: Sequence[int] = ()) -> tuple[list[bytes], bytes]:
    """The pieces and the rest of a stream that comes in parts, cut at these places."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [piece for begun, over in itertools.pairwise(places) for piece in reader.feed(stream[begun:over])]
    return pieces, reader.rest()


def chunks(shown: bytes) -> list[dict[str, Any]]:
    """What the events of a stream hold, without [DONE] and comments."""
    lines = [line[6:] for line in shown.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]
