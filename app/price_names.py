"""What prices are called in config.yaml: LiteLLM's names in dollars per token, and our own in dollars per million."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

MILLION = 10**6
SECONDS_PER_HOUR = 3600

# By the kinds of a usage: what LiteLLM calls the dollars for one token …
_PER_TOKEN = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "cache_read_audio": "cache_read_input_audio_token_cost",
    "cache_read_image": "cache_read_input_image_token_cost",
    "image_input": "input_cost_per_image_token",
    "image_output": "output_cost_per_image_token",
}
# … and what prices of other things are called, and how many of our units they are for. Audio is priced by the hour.
_OTHERS: dict[str, tuple[str, Decimal | int]] = {
    "input_cost_per_image": ("images", 1),
    "output_cost_per_image": ("images", 1),
    "input_cost_per_second": ("audio_ms", SECONDS_PER_HOUR),
    "output_cost_per_second": ("audio_ms", SECONDS_PER_HOUR),
    "input_cost_per_character": ("characters", 1),
    "output_cost_per_character": ("characters", 1),
    "input_cost_per_query": ("requests", 1),
    "input_cost_per_request": ("requests", 1),
    "ocr_cost_per_page": ("pages", 1),
    "price_per_image": ("images", 1),
    "price_per_audio_minute": ("audio_ms", 60),
    "characters_price_per_million": ("characters", Decimal(1) / MILLION),
    "price_per_request": ("requests", 1),
    "price_per_web_search": ("web_searches", 1),
    "price_per_page": ("pages", 1),
}
# Every name without its endings: the kind, and by what its dollars are multiplied to be those of one unit.
_BASES: dict[str, tuple[str, Decimal]] = {
    **{name: (kind, Decimal(1)) for kind, name in _PER_TOKEN.items()},
    **{f"{kind}_price_per_million": (kind, Decimal(1) / MILLION) for kind in _PER_TOKEN},
    **{name: (kind, Decimal(factor)) for name, (kind, factor) in _OTHERS.items()},
}
NAMES = tuple(_BASES)

# The endings: from which size of the input on, in thousands of tokens, and for which service tier.
_TIERS = {"_priority": "priority", "_flex": "flex", "_fast": "fast", "_batches": "batch", "_batch": "batch", None: ""}
_NAME = re.compile(
    rf"(?P<base>{'|'.join(sorted(map(re.escape, NAMES), key=len, reverse=True))})"
    r"(?:_above_(?P<above>[1-9]\d{0,4})k(?:_tokens)?)?(?P<tier>_priority|_flex|_fast|_batches|_batch)?"
)

# No model costs a hundredth of a dollar per token; a price per million tokens, put in by mistake, is nearly always
# above it. Nothing else costs more than this many dollars by the piece, or by the hour.
DEAREST_TOKEN = Decimal("0.01")
DEAREST_PIECE = Decimal(100)


class Place(NamedTuple):
    """Which price: of a kind of usage, for calls of more than `above` input tokens, in a service tier ("": standard).

    Its unit is one of the kind, but for `audio_ms`, which is priced by the hour.
    """

    kind: str
    tier: str = ""
    above: int = 0


class Meaning(NamedTuple):
    """What a name stands for: its dollars times `factor` are those of one unit. `expected` says it to people."""

    place: Place
    factor: Decimal
    most: Decimal
    expected: str


# Dollars per unit by place.
Stated = tuple[tuple[Place, Decimal], ...]


def meaning(name: str) -> Meaning | None:
    """What a name of a price stands for; None where it is no such name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind, factor = _BASES[found["base"]]
    place = Place(kind, _TIERS[found["tier"]], 1000 * int(found["above"] or 0))
    of_tokens = kind in _PER_TOKEN
    most = (DEAREST_TOKEN if of_tokens or kind == "characters" else DEAREST_PIECE) / factor
    if factor * MILLION == 1:
        expected = f"dollars per million, from 0 to {most:f}"
    elif of_tokens:
        expected = f"dollars per token, from 0 to {most:f}; is this per million?"
    else:
        expected = f"dollars, from 0 to {most:.2f}"
    return Meaning(place, factor, most, expected)
