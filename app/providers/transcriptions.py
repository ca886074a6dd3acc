"""OpenAI's audio/transcriptions and audio/translations: a recording in, its text out, whole or in events."""

from __future__ import annotations

import math
from typing import Any

from app.providers import form, recordings
from app.providers.base import Counted, Counts, Sent, StreamReader, Whole
from app.providers.openai_answers import parsed
from app.providers.openai_routes import RouteFormat
from app.providers.token_counts import token_counts
from app.providers.typed_events import TypedEventReader, bytes_of

# Guide "Managing costs" of the Realtime API: a token for each 100 ms that are heard. The price list's estimates per
# minute of the transcription models come to a token for each 60 ms, so that is what counts where none are told.
MS_PER_TOKEN = 60
BYTES_PER_TOKEN = 3


class TranscriptionsFormat(RouteFormat):
    """audio/transcriptions and audio/translations. What is not told is counted from the file that was sent."""

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. The answer is JSON, or plain text, or subtitles."""
        if self.is_error(status):
            return Whole(answer)
        transcript = parsed(answer)
        text = transcript.get("text")
        counts = told_counts(transcript)
        if counts is None:
            counts = heard_counts(sent, answer if text is None else str(text).encode("utf-8", "surrogatepass"))
        return Whole(answer, counts, text_bytes=len(answer) if text is None else bytes_of(text))

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return TranscriptReader(sent)


class TranscriptReader(TypedEventReader):
    """Deltas of the text, then the whole of it with the usage."""

    __slots__ = ("_sent",)

    def __init__(self, sent: Sent) -> None:
        """`sent` holds the recording."""
        super().__init__()
        # However the stream ends, the recording was heard.
        self.counts = heard_counts(sent, b"")
        self._sent = sent

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("type") == "transcript.text.delta":
            self.text_bytes += bytes_of(event.get("delta"))
        elif event.get("type") == "transcript.text.done":
            text = event.get("text")
            said = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
            self.counts = told_counts(event) or heard_counts(self._sent, said)
            self.finished = True


def told_counts(transcript: dict[str, Any]) -> Counts | None:
    """Usage as it is told: tokens, or seconds, or the recording's duration in a verbose answer; else None."""
    usage = transcript.get("usage")
    if isinstance(usage, dict):
        if (tokens := token_counts(usage, all_input="audio_input")) is not None:
            return tokens
        if (told := _milliseconds(usage.get("seconds"))) is not None:
            return {"audio_ms": told}
    duration = _milliseconds(transcript.get("duration"))
    return None if duration is None else {"audio_ms": duration}


def heard_counts(sent: Sent, text: bytes) -> Counted:
    """Usage as the recording and its text tell it, for models with a price per minute and those with one per token."""
    recording = form.file_of(sent.raw, sent.content_type)
    milliseconds = max(recordings.heard_ms(recording), recordings.spoken_ms(text))
    heard = -(-milliseconds // MS_PER_TOKEN)
    written = -(-len(text) // BYTES_PER_TOKEN)
    return Counted(audio_ms=milliseconds, input=heard, audio_input=heard, output=written)


def _milliseconds(seconds: object) -> int | None:
    """Seconds may be a fraction, and some servers write them as a text."""
    if isinstance(seconds, str):
        try:
            seconds = float(seconds)
        except ValueError:
            return None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not math.isfinite(seconds):
        return None
    return math.ceil(seconds * 1000)
