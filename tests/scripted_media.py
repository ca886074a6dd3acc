"""What the scripted provider says of images, sound, moderation and ranking.

After OpenAI's pages "Create image", "Create speech", "Create transcription" and "Create moderation", and Cohere's
"Rerank API (v2)". Models named dall-e, tts-1 and whisper tell no tokens, as the real ones.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from tests.scripted_answers import Behaviour, Call, event, words

# The smallest PNG there is, and the head of an MP3 with a silent frame.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x64" + bytes(413)
SOUND = {"mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav"}
SECONDS = 8.47
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors"),
    *("violence", "violence/graphic"),
)


class Images:
    type = "application/json"

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._call = call
        self._usage = None if "dall-e" in call.model else _image_usage(behaviour)
        self.streams = call.streams

    def whole(self) -> dict[str, Any]:
        picture = base64.b64encode(PNG).decode()
        count = int(self._call.body.get("n") or 1)
        wants_url = "dall-e" in self._call.model and self._call.body.get("response_format") != "b64_json"
        image = {"url": "http://127.0.0.1/image.png"} if wants_url else {"b64_json": picture}
        answer: dict[str, Any] = {"created": int(time.time()), "data": [image] * count}
        if self._usage is not None:
            answer |= {"background": "opaque", "output_format": "png", "quality": "high", "size": "1024x1024"}
            answer["usage"] = self._usage
        return answer

    def events(self) -> Iterator[bytes]:
        kind = "image_edit" if self._call.route == "images/edits" else "image_generation"
        about = {"created_at": int(time.time()), "size": "1024x1024", "quality": "high", "background": "opaque"}
        picture = about | {"output_format": "png", "b64_json": base64.b64encode(PNG).decode()}
        yield named({"type": f"{kind}.partial_image", **picture, "partial_image_index": 0})
        yield named({"type": f"{kind}.completed", **picture, "usage": self._usage})


class Speech:
    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.type = SOUND.get(str(call.body.get("response_format") or "mp3"), "audio/pcm")
        self.streams = call.body.get("stream_format") == "sse"

    def whole(self) -> bytes:
        return MP3

    def events(self) -> Iterator[bytes]:
        for part in (MP3[:200], MP3[200:]):
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()})
        yield event({"type": "speech.audio.done", "usage": _totals(self._behaviour)})


class Transcription:
    """Of a form with a file: JSON, a stream of it, or one of the plain formats."""

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self._call = call
        self._behaviour = behaviour
        self._format = str(call.body.get("response_format") or "json")
        self.type = "application/json" if "json" in self._format else "text/plain; charset=utf-8"
        self.streams = call.streams

    def whole(self) -> dict[str, Any] | bytes:
        text = self._behaviour.text
        if self._format == "text":
            return text.encode() + b"\n"
        if self._format == "srt":
            return f"1\n00:00:00,000 --> 00:00:08,470\n{text}\n\n".encode()
        if self._format == "vtt":
            return f"WEBVTT\n\n00:00:00.000 --> 00:00:08.470\n{text}\n\n".encode()
        answer: dict[str, Any] = {"text": text}
        if self._format == "verbose_json":
            answer |= {"task": "transcribe", "language": "english", "duration": SECONDS, "segments": []}
        if (usage := self._usage()) is not None:
            answer["usage"] = usage
        return answer

    def events(self) -> Iterator[bytes]:
        for word in words(self._behaviour):
            yield event({"type": "transcript.text.delta", "delta": word})
        yield event({"type": "transcript.text.done", "text": self._behaviour.text, "usage": self._usage()})

    def _usage(self) -> dict[str, Any] | None:
        if self._behaviour.usage is None:
            return None
        if "whisper" in self._call.model:
            return {"type": "duration", "seconds": 9}
        totals = _totals(self._behaviour) or {}
        heard = {"text_tokens": 0, "audio_tokens": totals["input_tokens"]}
        return {"type": "tokens", **totals, "input_token_details": heard}


class Moderation:
    type = "application/json"
    streams = False

    def __init__(self, call: Call, _: Behaviour) -> None:
        self._call = call

    def whole(self) -> dict[str, Any]:
        verdict = {
            "flagged": False,
            "categories": dict.fromkeys(CATEGORIES, False),
            "category_scores": dict.fromkeys(CATEGORIES, 0.0001),
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        }
        given = self._call.body.get("input")
        count = len(given) if isinstance(given, list) and given and isinstance(given[0], str) else 1
        return {"id": f"modr-{uuid.uuid4().hex}", "model": self._call.model, "results": [verdict] * count}

    def events(self) -> Iterator[bytes]:
        return iter(())


class Rerank:
    type = "application/json"
    streams = False

    def __init__(self, call: Call, _: Behaviour) -> None:
        self._call = call

    def whole(self) -> dict[str, Any]:
        count = len(self._call.body.get("documents") or [])
        first = int(self._call.body.get("top_n") or count)
        results = [{"index": index, "relevance_score": 0.9 / (place + 1)} for place, index in _backwards(count)]
        version = {"version": "2", "is_experimental": False}
        meta = {"api_version": version, "billed_units": {"search_units": 1}}
        return {"id": str(uuid.uuid4()), "results": results[:first], "meta": meta}

    def events(self) -> Iterator[bytes]:
        return iter(())


def _backwards(count: int) -> list[tuple[int, int]]:
    return list(enumerate(reversed(range(count))))


def _totals(behaviour: Behaviour) -> dict[str, int] | None:
    usage = behaviour.usage
    if usage is None:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def _image_usage(behaviour: Behaviour) -> dict[str, Any] | None:
    totals = _totals(behaviour)
    if totals is None:
        return None
    return {
        **totals,
        "input_tokens_details": {"text_tokens": totals["input_tokens"], "image_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": totals["output_tokens"]},
    }


def named(value: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (value["type"].encode(), json.dumps(value, separators=(",", ":")).encode())
