"""Speech is passed on as it comes, and paid by its characters or by the tokens that its length makes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.base import Counted, Counts, Sent, Target, Whole
from app.providers.mock_media import wav
from app.providers.openai import Bearer
from app.providers.speech import SoundReader, SpeechFormat, SpeechReader
from tests.providers.streams import event, outcome, read
from tests.providers.test_recordings import FRAME

FORMAT = SpeechFormat(Bearer("https://api.openai.com/v1"), "audio/speech")
TEXT = "The quick brown fox jumped over the lazy dog."
BODY = {"model": "ours", "input": TEXT, "voice": "alloy"}
# API reference, "speech.audio.done": the example.
DELTA = {"type": "speech.audio.delta", "audio": "UklGRg=="}
DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}


def sent(**fields: Any) -> Sent:
    body = BODY | fields
    return Sent("audio/speech", orjson.dumps(body), body, stream=True)


def spoken(sound: bytes, **fields: Any) -> Counts | None:
    reader = SoundReader(BODY | fields)
    read(reader, sound)
    return reader.counts


def test_the_usage_of_a_stream_is_what_the_provider_tells() -> None:
    reader = SpeechReader(BODY)
    assert read(reader, event(DELTA) + event(DONE)) == ([event(DELTA), event(DONE)], b"")
    assert reader.counts == {"input": 14, "output": 101, "audio_output": 101, "characters": 45}
    assert not isinstance(reader.counts, Counted)


@pytest.mark.parametrize("usage", [None, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}])
def test_a_stream_that_tells_nothing_is_counted_by_its_sound(usage: object) -> None:
    reader = SpeechReader(BODY | {"response_format": "pcm"})
    read(reader, event(DELTA | {"audio": "A" * 64_000}) + event(DONE | {"usage": usage}))
    assert reader.counts == {"characters": 45, "input": 15, "output": 21, "audio_output": 21}
    assert isinstance(reader.counts, Counted)


@pytest.mark.parametrize(
    ("sound", "named", "tokens"),
    [
        (bytes(48_000), "pcm", 21),  # A second.
        (wav() * 10, "wav", 22),  # A second and its headers.
        (FRAME * 38, "mp3", 21),  # 993 milliseconds.
        (bytes(4000), "mp3", 21),  # Without frames: as slow as a voice can be.
        (bytes(2000), "opus", 21),
        (bytes(2000), "new", 21),
    ],
)
def test_sound_takes_tokens_by_its_length(sound: bytes, named: str, tokens: int) -> None:
    counts = {"characters": 45, "input": 15, "output": tokens, "audio_output": tokens}
    assert spoken(sound, response_format=named) == counts


def test_instructions_are_read_too() -> None:
    assert spoken(b"", instructions="Slowly.") == {"characters": 45, "input": 18, "output": 0, "audio_output": 0}


def test_characters_are_not_bytes() -> None:
    counts = spoken(b"", input="π≈3")
    assert counts == {"characters": 3, "input": 2, "output": 0, "audio_output": 0}


def test_the_last_byte_waits_for_the_booking() -> None:
    reader = SoundReader(BODY)
    assert [reader.feed(b"abc"), reader.feed(b"d"), reader.feed(b"")] == [[b"ab"], [b"c"], []]
    assert not reader.finished
    assert (reader.rest(), reader.finished) == (b"d", True)


def test_no_sound_is_no_answer() -> None:
    reader = SoundReader(BODY)
    assert (reader.rest(), reader.finished) == (b"", False)


def test_sound_that_was_read_to_its_end_counts_as_sound_that_was_passed_on() -> None:
    assert FORMAT.whole(sent(), 200, FRAME * 38).counts == spoken(FRAME * 38)


def test_an_error_has_no_usage() -> None:
    assert FORMAT.whole(sent(), 400, b"{}") == Whole(b"{}")


def test_the_way_of_streaming_decides_how_the_answer_is_read() -> None:
    assert isinstance(FORMAT.reader(sent(stream_format="sse")), SpeechReader)
    assert isinstance(FORMAT.reader(sent()), SoundReader)


def test_only_the_model_changes_on_the_way() -> None:
    outgoing = FORMAT.prepare(Target("tts-1", api_key="k"), sent())
    assert outgoing.body == sent().raw.replace(b"ours", b"tts-1")


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300)), st.sampled_from(["mp3", "wav", "pcm", "x"]))
def test_every_way_to_cut_sound_up_gives_the_same(sound: bytes, cuts: list[int], named: str) -> None:
    body = BODY | {"response_format": named}
    passed = outcome(lambda: SoundReader(body), sound, cuts)
    assert passed[2:] == outcome(lambda: SoundReader(body), sound, [])[2:]
    assert passed[0] + passed[1] == sound  # type: ignore[operator]


EVENTS = st.sampled_from(
    [event(DELTA), event(DONE), event({"type": "speech.audio.done"}), b": ping\n\n", b"data: x\n\n"]
)


@settings(deadline=None)
@given(st.lists(EVENTS | st.binary(max_size=4), max_size=5), st.lists(st.integers(0, 600)))
def test_every_way_to_cut_a_stream_up_gives_the_same(events: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(events)
    assert outcome(lambda: SpeechReader(BODY), stream, cuts) == outcome(lambda: SpeechReader(BODY), stream, [])
