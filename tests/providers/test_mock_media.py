"""The mock's answers on OpenAI's other routes are what OpenAI's own client takes for OpenAI's."""

from __future__ import annotations

import io
import wave
from typing import Any

import orjson
import pytest
from openai.types import ImagesResponse, ModerationCreateResponse
from openai.types.audio import Transcription, TranscriptionVerbose
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from pydantic import TypeAdapter

from app.providers.base import Counts, Sent, Target
from app.providers.mock import Mock
from app.providers.mock_media import png, wav
from tests.providers.forms import recording_sent
from tests.providers.sending import sent

TARGET = Target(model="gpt-4o", mock_response="Twelve chars")
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SPOKEN = recording_sent(wav())


def answered(request: Sent, kind: str = "application/json") -> bytes:
    status, headers, pieces = Mock().answer(TARGET, request)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
    return b"".join(pieces)


def counts(request: Sent) -> Counts | None:
    return Mock().formats[request.route].whole(request, 200, answered(request)).counts


def streamed(request: Sent) -> tuple[Counts | None, bool]:
    reader = Mock().formats[request.route].reader(request)
    reader.feed(answered(request, "text/event-stream"))
    return reader.counts, reader.finished


def test_a_response_is_openais() -> None:
    answer = Response.model_validate_json(answered(sent("responses", {"input": "hello"})))
    assert (answer.output_text, answer.status) == ("Twelve chars", "completed")


def test_every_event_of_a_response_is_openais() -> None:
    events = answered(sent("responses", {"input": "hello", "stream": True}), "text/event-stream").split(b"\n\n")
    read = [EVENTS.validate_json(event.partition(b"data: ")[2]) for event in events if event]
    assert "".join(event.delta for event in read if event.type == "response.output_text.delta") == "Twelve chars"
    assert read[-1].type == "response.completed"


def test_an_output_cap_of_a_response_is_kept() -> None:
    answer = Response.model_validate_json(answered(sent("responses", {"input": "hello", "max_output_tokens": 2})))
    assert (answer.output_text, answer.status) == ("Twelve c", "incomplete")


def test_a_compaction_is_openais() -> None:
    answer = CompactedResponse.model_validate_json(answered(sent("responses/compact", {"input": "hello"})))
    assert [item.type for item in answer.output] == ["compaction"]
    assert answer.usage.total_tokens == 3


def test_a_response_has_the_tokens_that_were_counted_before() -> None:
    counted = InputTokenCountResponse.model_validate_json(answered(sent("responses/input_tokens", {"input": "hello"})))
    told = counts(sent("responses", {"input": "hello"}))
    assert told is not None
    assert told["input"] == counted.input_tokens


def test_images_are_openais_and_are_pictures() -> None:
    answer = ImagesResponse.model_validate_json(answered(sent("images/generations", {"prompt": "a cat", "n": 2})))
    assert answer.data is not None
    assert len(answer.data) == 2
    assert png().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_ranking_has_as_many_documents_as_asked_for() -> None:
    ranked = orjson.loads(answered(sent("rerank", {"query": "x", "documents": ["a", "b", "c"], "top_n": 2})))
    assert [result["index"] for result in ranked["results"]] == [0, 1]
    assert counts(sent("rerank", {"query": "x", "documents": ["a"]})) == {"input": 0, "output": 0, "requests": 1}


def test_speech_is_a_recording() -> None:
    with wave.open(io.BytesIO(answered(sent("audio/speech", {"input": "hello"}), "audio/wav"))) as recording:
        assert (recording.getframerate(), recording.getnframes()) == (24_000, 2_400)


def test_a_transcript_is_openais() -> None:
    assert Transcription.model_validate_json(answered(SPOKEN)).text == "Twelve chars"


def test_a_verbose_transcript_says_how_long_the_recording_is() -> None:
    answer = answered(recording_sent(wav(), response_format="verbose_json"))
    assert TranscriptionVerbose.model_validate_json(answer).duration == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("shape", ["text", "srt", "vtt"])
def test_a_transcript_comes_as_plain_text_when_asked_for(shape: str) -> None:
    assert answered(recording_sent(wav(), response_format=shape), "text/plain") == b"Twelve chars\n"


def test_a_moderation_is_openais_and_flags_nothing() -> None:
    answer = ModerationCreateResponse.model_validate_json(answered(sent("moderations", {"input": ["a", "b"]})))
    assert [result.flagged for result in answer.results] == [False, False]


@pytest.mark.parametrize(
    ("route", "body"), [("responses", {"input": "hello"}), ("images/generations", {"prompt": "a cat", "n": 2})]
)
def test_a_stream_uses_what_a_whole_answer_uses(route: str, body: dict[str, Any]) -> None:
    assert streamed(sent(route, body | {"stream": True})) == (counts(sent(route, body)), True)


def test_a_streamed_transcript_uses_what_a_whole_one_uses() -> None:
    asked = Sent(SPOKEN.route, SPOKEN.raw, SPOKEN.body, content_type=SPOKEN.content_type, stream=True)
    assert streamed(asked) == (counts(SPOKEN), True)


def test_speech_in_events_tells_its_usage() -> None:
    told = {"input": 2, "output": 2, "audio_output": 2, "characters": 5}
    assert streamed(sent("audio/speech", {"input": "hello", "stream_format": "sse"})) == (told, True)


def test_the_same_request_has_the_same_answer() -> None:
    first, second = (orjson.loads(answered(sent("responses", {"input": "a"})))["usage"] for _ in "ab")
    assert first == second
