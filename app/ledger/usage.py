"""How much of which kind one call took: tokens, and what is no token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

MAX_TOKENS = 10**9


# Not frozen, as nothing that is made for every call (see event.py). It is never changed.
@dataclass(slots=True)
class Usage:
    """Amounts by kind. In events they stand in this order, so new kinds are only ever appended.

    `input` and `output` are totals of tokens; the other tokens are parts of them:
    - input >= cache_read + cache_write_5m + cache_write_1h + audio_input + image_input - cache_read_audio
      - cache_read_image: a cached token of audio is in `cache_read`, in `audio_input` and in `cache_read_audio`, and is
      one token. So are cached tokens of images. What is written to a cache is in none of the others.
    - cache_read >= cache_read_audio + cache_read_image; audio_input >= cache_read_audio; image_input >=
      cache_read_image.
    - output >= reasoning + audio_output + image_output: none of these is in another.
    Tokens of videos are counted as tokens of images.
    The rest are no tokens and part of nothing: searches in the web that the provider made, images that were made,
    milliseconds of audio heard or spoken, characters of a text that was spoken, requests (or searches of a reranker)
    that are paid by the piece, and pages that were read.
    Raises ValueError where a number is negative or the parts are more than their total.
    """

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    cache_read_audio: int = 0
    cache_read_image: int = 0
    image_input: int = 0
    image_output: int = 0
    web_searches: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    requests: int = 0
    pages: int = 0

    def __post_init__(self) -> None:
        if min(self.to_wire()) < 0:
            raise ValueError("An amount is negative.")
        if (
            self.fresh_input < 0
            or self.text_output < 0
            or self.cached_text < 0
            or self.audio_input < self.cache_read_audio
            or self.image_input < self.cache_read_image
        ):
            raise ValueError("The parts of a token count are more than their total.")

    @property
    def cached_text(self) -> int:
        """Tokens from the cache that are neither audio nor images."""
        return self.cache_read - self.cache_read_audio - self.cache_read_image

    @property
    def fresh_input(self) -> int:
        """Input tokens that pay the plain input price."""
        written = self.cache_write_5m + self.cache_write_1h
        return self.input - self.cached_text - written - self.audio_input - self.image_input

    @property
    def text_output(self) -> int:
        """Output tokens that pay the plain output price."""
        return self.output - self.reasoning - self.audio_output - self.image_output

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Usage:
        """A provider's counts; a kind that is not named is 0.

        Parts that are more than their total raise the total, so that no token goes unpaid.
        Raises ValueError for a count that is no whole number, negative or above 10⁹: it cannot be believed.
        """
        found = {"input": 0, "output": 0}
        for kind, value in counts.items():
            if kind in IS_KIND:
                if type(value) is not int or not 0 <= value <= MAX_TOKENS:
                    raise ValueError(f"{value!r} {kind} cannot be.")
                found[kind] = value
        of = found.get
        if "cache_read_audio" in found or "cache_read_image" in found:
            audio, image = of("cache_read_audio", 0), of("cache_read_image", 0)
            found["cache_read"] = max(of("cache_read", 0), audio + image)
            found["audio_input"] = max(of("audio_input", 0), audio)
            found["image_input"] = max(of("image_input", 0), image)
            input_parts = -audio - image
        else:
            input_parts = 0
        input_parts += of("cache_read", 0) + of("cache_write_5m", 0) + of("cache_write_1h", 0)
        input_parts += of("audio_input", 0) + of("image_input", 0)
        output_parts = of("reasoning", 0) + of("audio_output", 0) + of("image_output", 0)
        found["input"] = max(found["input"], input_parts)
        found["output"] = max(found["output"], output_parts)
        return cls(**found)

    def to_wire(self) -> list[int]:
        """The amounts in the order of KINDS, for JSON."""
        return [
            *(self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.reasoning),
            *(self.audio_input, self.audio_output, self.cache_read_audio, self.cache_read_image, self.image_input),
            *(self.image_output, self.web_searches, self.images, self.audio_ms, self.characters, self.requests),
            self.pages,
        ]

    @classmethod
    def from_wire(cls, wire: Sequence[int]) -> Usage:
        """The inverse of `to_wire`; a wire of an earlier version is shorter, and has nothing of the later kinds."""
        return cls(*wire)


KINDS = tuple(field.name for field in fields(Usage))
IS_KIND = frozenset(KINDS)
