"""How many tokens of which kind one call took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_TOKENS = 10**9
KINDS = (
    "input",
    "output",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by kind.

    `input` is the total: what was read from the cache or written to it and audio are part of it. So is `output`, with
    reasoning and audio.
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

    def __post_init__(self) -> None:
        if min(self.to_wire()) < 0:
            raise ValueError("A token count is negative.")
        if self.fresh_input < 0 or self.text_output < 0:
            raise ValueError("The parts of a token count are more than their total.")

    @property
    def fresh_input(self) -> int:
        """Input tokens that pay the plain input price."""
        return self.input - self.cache_read - self.cache_write_5m - self.cache_write_1h - self.audio_input

    @property
    def text_output(self) -> int:
        """Output tokens that pay the plain output price."""
        return self.output - self.reasoning - self.audio_output

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Usage:
        """A provider's counts; a kind that is not named is 0.

        Parts that are more than their total raise the total, so that no token goes unpaid.
        Raises ValueError for a count that is no whole number, negative or above 10⁹: it cannot be believed.
        """
        values = {kind: counts.get(kind, 0) for kind in KINDS}
        for kind, value in values.items():
            if type(value) is not int or not 0 <= value <= MAX_TOKENS:
                raise ValueError(f"{value!r} {kind} tokens cannot be.")
        input_parts = values["cache_read"] + values["cache_write_5m"] + values["cache_write_1h"] + values["audio_input"]
        values["input"] = max(values["input"], input_parts)
        values["output"] = max(values["output"], values["reasoning"] + values["audio_output"])
        return cls(**values)

    def to_wire(self) -> list[int]:
        """The counts in the order of KINDS, for JSON."""
        return [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.reasoning,
            self.audio_input,
            self.audio_output,
        ]

    @classmethod
    def from_wire(cls, wire: Sequence[int]) -> Usage:
        """The inverse of `to_wire`."""
        return cls(*wire)
