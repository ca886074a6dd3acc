"""Transcripts are paid by tokens or by time, as the provider tells it; else by the recording."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.base import Counted, Target, Whole
from app.providers.mock_media import wav
from app.providers.openai import Bearer
from app.providers.transcriptions import TranscriptionsFormat, TranscriptReader
from tests.providers.forms import KIND, recording_sent
from tests.providers.streams import event, outcome, read

FORMAT = TranscriptionsFormat(Bearer("https://api.openai.com/v1"), "audio/transcriptions")
SENT = recording_sent(wav())
# API reference, "Create transcription": the examples.
TEXT = "Imagine the wildest idea that you've ever had, and you're curious about how it might scale"
USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 45,
    "total_tokens": 59,
}
COUNTS = {"input": 14, "output": 45, "audio_input": 14}
# The recording of a tenth of a second, for models with a price per minute and for those with one per token.
HEARD = {"audio_ms": 100, "input": 2, "audio_input": 2, "output": 0}
SPOKEN = {"audio_ms": 1800, "input": 30, "audio_input": 30, "output": 30}
DELTA, DONE = {"type": "transcript.text.delta", "delta": TEXT}, {"type": "transcript.text.done", "text": TEXT}


def whole(answer: dict[str, Any] | bytes, status: int = 200) -> Whole:
    return FORMAT.whole(SENT, status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def streamed(*events: dict[str, Any]) -> TranscriptReader:
    reader = TranscriptReader(SENT)
    read(reader, b"".join(event(one) for one in events))
    return reader


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({"usage": USAGE}, COUNTS),
        (
            {"usage": USAGE | {"input_token_details": {"text_tokens": 4, "audio_tokens": 10}}},
            COUNTS | {"audio_input": 10},
        ),
        ({"usage": {key: USAGE[key] for key in ("input_tokens", "output_tokens")}}, COUNTS),
        ({"usage": {"type": "duration", "seconds": 9}}, {"audio_ms": 9000}),
        ({"usage": {"type": "duration", "seconds": 8.4701}, "duration": 8}, {"audio_ms": 8471}),
        ({"duration": 8.470000267028809}, {"audio_ms": 8471}),
        ({"duration": "8.47"}, {"audio_ms": 8470}),
    ],
)
def test_usage_is_what_the_provider_tells_streamed_or_not(told: dict[str, Any], counts: dict[str, int]) -> None:
    answer, reader = whole({"text": TEXT} | told), streamed(DELTA, DONE | told)
    assert answer.counts == reader.counts == counts
    assert not isinstance(answer.counts, Counted)
    assert answer.text_bytes == reader.text_bytes == len(TEXT)


@pytest.mark.parametrize(
    "told", [{}, {"usage": None}, {"usage": {"seconds": None}}, {"duration": "long"}, {"duration": True}]
)
def test_what_is_not_told_is_counted_from_the_recording_and_the_text(told: dict[str, Any]) -> None:
    answer, reader = whole({"text": TEXT} | told), streamed(DELTA, DONE | told)
    assert answer.counts == reader.counts == SPOKEN
    assert isinstance(answer.counts, Counted)
    assert isinstance(reader.counts, Counted)


def test_plain_text_is_counted_from_the_recording() -> None:
    assert whole(b"Hi\n") == Whole(b"Hi\n", HEARD | {"output": 1}, None, 3)


def test_subtitles_say_how_long_the_recording_was() -> None:
    counts = whole(b"1\n00:00:00,000 --> 00:00:06,000\nHi\n").counts
    assert counts is not None
    assert counts["audio_ms"] == 6000


def test_a_stream_that_breaks_off_has_heard_the_recording_all_the_same() -> None:
    reader = streamed(DELTA)
    assert (reader.finished, reader.counts) == (False, HEARD)


def test_an_error_has_no_usage() -> None:
    assert whole({"error": {}}, 400) == Whole(b'{"error": {}}')


def test_the_end_of_a_stream_is_a_piece_of_its_own_and_a_done_behind_it_passes() -> None:
    done = b"data: [DONE]\n\n"
    assert read(TranscriptReader(SENT), event(DELTA) + event(DONE) + done) == ([event(DELTA), event(DONE), done], b"")


def test_a_recording_goes_out_as_it_came_but_for_the_model() -> None:
    outgoing = FORMAT.prepare(Target("whisper-1", api_key="k"), SENT)
    assert outgoing.body == SENT.raw.replace(b"ours", b"whisper-1")
    assert outgoing.headers["Content-Type"] == KIND
    assert outgoing.url == "https://api.openai.com/v1/audio/transcriptions"


EVENTS = st.sampled_from(
    [
        *(event(one) for one in (DELTA, DONE, DONE | {"usage": USAGE})),
        b"data: [DONE]\n\n",
        b": ping\r\n\r\n",
        b"data: no\n\n",
    ]
)


@settings(deadline=None)
@given(st.lists(EVENTS | st.binary(max_size=4), max_size=5), st.lists(st.integers(0, 600)))
def test_every_way_to_cut_a_stream_up_gives_the_same(events: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(events)
    assert outcome(lambda: TranscriptReader(SENT), stream, cuts) == outcome(lambda: TranscriptReader(SENT), stream, [])
