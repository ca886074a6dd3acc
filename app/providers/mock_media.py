"""The mock's answers on OpenAI's other routes: responses, images, speech, transcripts, moderations."""

from __future__ import annotations

import base64
import struct
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from app.providers.base import EVENT_STREAM, JSON, Sent, Target
from app.providers.transcriptions import MS_PER_TOKEN, heard_counts

Answered = tuple[int, dict[str, str], Iterable[bytes]]

CHARACTERS_PER_TOKEN = 4
JSON_HEADERS = {"Content-Type": JSON}
STREAM_HEADERS = {"Content-Type": f"{EVENT_STREAM}; charset=utf-8"}
IMAGE_TOKENS = 272
MOST_IMAGES = 10
# A tenth of a second of silence: 24,000 samples of 16 bits a second, as OpenAI's speech has.
RATE, SAMPLES = 24_000, 2_400
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def response(target: Target, sent: Sent) -> Answered:
    """responses, whole or in events."""
    words = target.mock_response or ""
    cap = {**sent.body, **sent.changes}.get("max_output_tokens")
    kept = words[: cap * CHARACTERS_PER_TOKEN] if type(cap) is int and cap >= 0 else words
    read, written = _tokens(orjson.dumps([sent.body.get("input"), sent.body.get("instructions")])), _tokens(kept)
    part = {"type": "output_text", "text": kept, "annotations": []}
    message = {"id": _id("msg"), "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    whole = {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed" if kept == words else "incomplete",
        "incomplete_details": None if kept == words else {"reason": "max_output_tokens"},
        "error": None,
        "instructions": sent.body.get("instructions"),
        "metadata": {},
        "model": target.model,
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        },
    }
    if sent.stream:
        return 200, STREAM_HEADERS, _response_events(whole, message, kept)
    return 200, JSON_HEADERS, [orjson.dumps(whole)]


def _response_events(whole: dict[str, Any], message: dict[str, Any], text: str) -> Iterator[bytes]:
    begun = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    where = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    part = message["content"][0]
    pieces = [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": message | {"content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", **where, "part": part | {"text": ""}},
        *({"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in pieces),
        {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    return (_event(event | {"sequence_number": number}) for number, event in enumerate(events))


def compaction(_target: Target, sent: Sent) -> Answered:
    """responses/compact: what is left of the conversation is its number of tokens."""
    read = _tokens(orjson.dumps(sent.body.get("input")))
    item = {"id": _id("cmp"), "type": "compaction", "encrypted_content": str(read)}
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + 1,
    }
    whole = {"id": _id("resp"), "object": "response.compaction", "created_at": int(time.time()), "output": [item]}
    return 200, JSON_HEADERS, [orjson.dumps(whole | {"usage": usage})]


def input_tokens(_target: Target, sent: Sent) -> Answered:
    """responses/input_tokens: four characters are a token."""
    read = _tokens(orjson.dumps([sent.body.get("input"), sent.body.get("instructions")]))
    return 200, JSON_HEADERS, [orjson.dumps({"object": "response.input_tokens", "input_tokens": read})]


def image(_target: Target, sent: Sent) -> Answered:
    """images/generations and images/edits: pictures of one grey pixel."""
    wanted = sent.body.get("n")
    images = min(wanted, MOST_IMAGES) if type(wanted) is int and wanted > 0 else 1
    read = _tokens(str(sent.body.get("prompt") or ""))
    encoded = base64.b64encode(png()).decode()
    now = int(time.time())
    if sent.stream:
        kind = "image_generation" if sent.route == "images/generations" else "image_edit"
        about = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
        one = {"type": f"{kind}.completed", "b64_json": encoded, "created_at": now, **about}
        return (
            200,
            STREAM_HEADERS,
            [_event(one | {"usage": _image_usage(0 if number else read, 1)}) for number in range(images)],
        )
    whole = {"created": now, "data": [{"b64_json": encoded}] * images, "usage": _image_usage(read, images)}
    return 200, JSON_HEADERS, [orjson.dumps(whole)]


def _image_usage(read: int, images: int) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "input_tokens_details": {"text_tokens": read, "image_tokens": 0},
        "output_tokens": images * IMAGE_TOKENS,
        "total_tokens": read + images * IMAGE_TOKENS,
    }


def speech(_target: Target, sent: Sent) -> Answered:
    """audio/speech: a moment of silence, whatever format is asked for."""
    if sent.body.get("stream_format") != "sse":
        return 200, {"Content-Type": "audio/wav"}, [wav()]
    read = _tokens(str(sent.body.get("input") or ""))
    usage = {"input_tokens": read, "output_tokens": 2, "total_tokens": read + 2}
    delta = {"type": "speech.audio.delta", "audio": base64.b64encode(wav()).decode()}
    return 200, STREAM_HEADERS, [_event(delta), _event({"type": "speech.audio.done", "usage": usage})]


def transcript(target: Target, sent: Sent) -> Answered:
    """audio/transcriptions and audio/translations: the deployment's `mock_response`, whatever is said."""
    text = target.mock_response or ""
    heard, written = heard_counts(sent, b"")["input"], _tokens(text)
    usage = {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
        "total_tokens": heard + written,
    }
    if sent.stream:
        events: list[dict[str, Any]] = [{"type": "transcript.text.delta", "delta": text}]
        events.append({"type": "transcript.text.done", "text": text, "usage": usage})
        return 200, STREAM_HEADERS, [*map(_event, events), b"data: [DONE]\n\n"]
    shape = sent.body.get("response_format")
    if shape in {"text", "srt", "vtt"}:
        return 200, {"Content-Type": "text/plain; charset=utf-8"}, [text.encode() + b"\n"]
    whole: dict[str, Any] = {"text": text, "usage": usage}
    if shape == "verbose_json":
        seconds = heard * MS_PER_TOKEN / 1000
        whole |= {"duration": seconds, "language": "english", "usage": {"type": "duration", "seconds": seconds}}
    return 200, JSON_HEADERS, [orjson.dumps(whole)]


def moderation(target: Target, sent: Sent) -> Answered:
    """moderations: nothing is ever flagged."""
    given = sent.body.get("input")
    texts = given if isinstance(given, list) and all(isinstance(one, str) for one in given) else [given]
    one = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    whole = {"id": _id("modr"), "model": target.model, "results": [one] * len(texts)}
    return 200, JSON_HEADERS, [orjson.dumps(whole)]


def ranking(_target: Target, sent: Sent) -> Answered:
    """rerank: the documents as they stand, each a little less relevant than the one before."""
    given, most = sent.body.get("documents"), sent.body.get("top_n")
    documents = given if isinstance(given, list) else []
    results = [{"index": index, "relevance_score": 1 / (index + 1)} for index, _ in enumerate(documents)]
    kept = results[:most] if type(most) is int and most > 0 else results
    whole = {"id": _id("rerank"), "results": kept, "meta": {"billed_units": {"search_units": 1}}}
    return 200, JSON_HEADERS, [orjson.dumps(whole)]


ANSWERS: dict[str, Callable[[Target, Sent], Answered]] = {
    "responses": response,
    "responses/compact": compaction,
    "responses/input_tokens": input_tokens,
    "images/generations": image,
    "images/edits": image,
    "audio/speech": speech,
    "audio/transcriptions": transcript,
    "audio/translations": transcript,
    "moderations": moderation,
    "rerank": ranking,
}


def wav() -> bytes:
    """A tenth of a second of silence."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    chunks = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"data", bytes(SAMPLES * 2))
    return _chunk(b"RIFF", chunks)


def png() -> bytes:
    """A picture of one grey pixel."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\x00\x80")),
        (b"IEND", b""),
    ]
    written = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def _event(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _tokens(text: str | bytes) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
