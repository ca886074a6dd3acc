"""OpenAI's audio/speech: a text in, sound out, as it comes or in events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.providers import recordings
from app.providers.base import Counted, Counts, Sent, StreamReader, Whole
from app.providers.openai_routes import RouteFormat
from app.providers.token_counts import token_counts
from app.providers.typed_events import TypedEventReader, bytes_of

# Price list: 1,250 audio tokens cost what a minute of gpt-4o-mini-tts is estimated at.
MS_PER_TOKEN = 48
BYTES_PER_TOKEN = 3
# Bits a second of a voice, by format, at the least. Sound without a header has 24,000 samples of 16 bits a second
# (guide "Text to speech", supported output formats).
BITRATES = {"pcm": 384_000, "wav": 384_000, "flac": 96_000, "mp3": 32_000, "aac": 32_000}
LOWEST_BITRATE = 16_000
# A header that says how many bits a second follow it stands within so many bytes.
HEADER_BYTES = 64


class SpeechFormat(RouteFormat):
    """audio/speech: every good answer is passed on as it comes; sound is not collected first."""

    streams = ""

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if self.is_error(status):
            return Whole(answer)
        sound = _Sound(sent.body)
        sound.add(answer)
        return Whole(answer, sound.counts())

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return SpeechReader(sent.body) if sent.body.get("stream_format") == "sse" else SoundReader(sent.body)


class SoundReader:
    """Sound, passed on as it comes but for its last byte, which is held back until the call is booked.

    See `base.StreamReader`. Nobody tells usage: it is counted.
    """

    __slots__ = ("_held", "_sound", "counts", "finished", "text_bytes", "tier")

    def __init__(self, body: Mapping[str, Any]) -> None:
        """`body` says what is to be spoken, and in which format."""
        self._sound = _Sound(body)
        self._held = b""
        self.counts: Counts | None = self._sound.counts()
        self.tier: str | None = None
        self.finished = False
        self.text_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """All but the last byte so far."""
        if not data:
            return []
        self._sound.add(data)
        self.counts = self._sound.counts()
        piece, self._held = self._held + data[:-1], data[-1:]
        return [piece] if piece else []

    def rest(self) -> bytes:
        """The last byte: sound ends where the provider ends it."""
        rest, self._held = self._held, b""
        self.finished = bool(rest)
        return rest


class SpeechReader(TypedEventReader):
    """Sound in events, the last of which tells the usage."""

    __slots__ = ("_sound",)

    def __init__(self, body: Mapping[str, Any]) -> None:
        """`body` says what is to be spoken, and in which format."""
        super().__init__()
        self._sound = _Sound(body)
        self.counts = self._sound.counts()

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("type") == "speech.audio.delta":
            # Base64: three bytes in four letters.
            self._sound.size += bytes_of(event.get("audio")) * 3 // 4
            self.counts = self._sound.counts()
        elif event.get("type") == "speech.audio.done":
            told = token_counts(event.get("usage"), all_output="audio_output")
            # Servers that do not count write zeros.
            if told is not None and any(told.values()):
                self.counts = {**told, "characters": self._sound.characters}
            self.finished = True


class _Sound:
    """What speaking a text takes: its characters, and for models with a price per token the tokens, by its length."""

    __slots__ = ("_format", "_read", "_start", "characters", "size")

    def __init__(self, body: Mapping[str, Any]) -> None:
        text, how = body.get("input"), body.get("instructions")
        named = body.get("response_format")
        self._format = named if isinstance(named, str) else "mp3"
        self._read = -(-(bytes_of(text) + bytes_of(how)) // BYTES_PER_TOKEN)
        self._start = b""
        self.characters = len(text) if isinstance(text, str) else 0
        self.size = 0

    def add(self, data: bytes) -> None:
        if len(self._start) < HEADER_BYTES:
            self._start += data[: HEADER_BYTES - len(self._start)]
        self.size += len(data)

    def counts(self) -> Counted:
        """An upper bound of the tokens."""
        bitrate = recordings.bitrate(self._start) or BITRATES.get(self._format, LOWEST_BITRATE)
        milliseconds = -(-self.size * 8000 // bitrate)
        spoken = -(-milliseconds // MS_PER_TOKEN)
        return Counted(characters=self.characters, input=self._read, output=spoken, audio_output=spoken)
