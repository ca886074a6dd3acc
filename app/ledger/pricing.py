"""What a call costs: prices as integers, and exact arithmetic on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from app.ledger.usage import Usage

FEMTO_PER_DOLLAR = 10**15
FEMTO_PER_NANO = 10**6
MS_PER_HOUR = 3_600_000

# What providers call the service that has no price of its own. Capacity that was bought ahead (OpenAI's "scale", AWS's
# "reserved") costs callers what they would have paid without it.
STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "scale", "reserved"})
# The service tiers that have prices. The dear ones are never dearer than the last, which stands for all unknown ones.
CHEAP_TIERS, DEAR_TIERS = ("flex", "batch"), ("priority", "fast")
UNKNOWN_TIER = "unknown"
# The place of a call as a caller of Anthropic's may choose it ("Data residency"), and how many times the usual price it
# costs. It stands behind the tier's own name: "fast us".
PLACES = {"us": Decimal("1.1")}
ANYWHERE = frozenset({"", "global", "not_available"})

# What a call takes that is no token, where nobody says otherwise.
ONE_REQUEST = Usage(0, 0, requests=1)


class Rates(NamedTuple):
    """Femto-dollars (10⁻¹⁵ $) for one of each kind of a usage, in its order; for `audio_hour` for an hour."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int
    cache_read_audio: int
    cache_read_image: int
    image_input: int
    image_output: int
    web_searches: int = 0
    images: int = 0
    audio_hour: int = 0
    characters: int = 0
    requests: int = 0
    pages: int = 0

    def dearest_input(self) -> int:
        """The most that an input token can cost, whatever becomes of it."""
        return max(self[0], *self[2:5], self[6], *self[8:11])

    def dearest_output(self) -> int:
        """The most that an output token can cost."""
        return max(self.output, self.reasoning, self.audio_output, self.image_output)

    @classmethod
    def from_wire(cls, wire: Sequence[int]) -> Rates:
        """The inverse of `list`. The first versions' is shorter: what has no rate there was not counted."""
        if len(wire) > FIRST_RATES:
            return cls(*wire)
        fresh, output, read, write_5m, write_1h, reasoning, audio_input, audio_output = wire
        audio = audio_input, audio_output, max(read, audio_input)
        return cls(fresh, output, read, write_5m, write_1h, reasoning, *audio, read, fresh, output)


FIRST_RATES = 8


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs.

    `tiers` are (start, rates), rising: a call with more than `start` input tokens pays these rates for all it takes.
    `source` says where the price is from: "genai-prices 0.2.3 openai/gpt-4o", "config", or both.
    `by_tokens` are kinds that are no tokens and cost nothing where the usage has tokens: these pay for them.
    `served` are the prices in service tiers, by their names ("flex").
    """

    base: Rates
    source: str
    tiers: tuple[tuple[int, Rates], ...] = ()
    by_tokens: tuple[str, ...] = ()
    served: Mapping[str, Price] = field(default_factory=dict, repr=False, compare=False)

    def rates(self, input_tokens: int) -> Rates:
        """The rates of a call with that many input tokens in total."""
        if self.tiers:
            for start, rates in reversed(self.tiers):
                if input_tokens > start:
                    return rates
        return self.base

    def in_tier(self, tier: str | None) -> Price:
        """The price in a service tier, by the provider's word for it ("priority").

        A cheap tier without a price of its own costs as much as the standard. A dear one costs more by the largest
        factor that any listed model has for it, and one that nobody knows by the largest factor of all.
        """
        if tier is None or tier in STANDARD_TIERS or not self.served:
            return self
        return self.served.get(tier) or self.served[UNKNOWN_TIER]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> Price:
        """A price as events of earlier versions have it: [source, rates, tiers], in later ones also `by_tokens`."""
        source, base, tiers, *rest = wire
        rising = tuple((start, Rates.from_wire(rates)) for start, rates in tiers)
        return cls(Rates.from_wire(base), source, rising, tuple(rest[0]) if rest else ())


def is_known_tier(tier: str | None) -> bool:
    """Whether a service tier, by the words of a request, is the standard or one that can have prices."""
    if tier is None or tier in STANDARD_TIERS:
        return True
    return all(word in CHEAP_TIERS or word in DEAR_TIERS or word in PLACES for word in tier.split(" "))


def cost(price: Price, usage: Usage) -> int:
    """Nano-dollars of a call, exact, rounded up once at the end."""
    rates = price.rates(usage.input)
    fresh = rates.input
    femto = usage.input * fresh + usage.output * rates.output + usage.requests * rates.requests
    if usage.cache_read:
        femto += usage.cache_read * (rates.cache_read - fresh)
    if usage.cache_write_5m or usage.cache_write_1h:
        femto += usage.cache_write_5m * (rates.cache_write_5m - fresh)
        femto += usage.cache_write_1h * (rates.cache_write_1h - fresh)
    if usage.reasoning:
        femto += usage.reasoning * (rates.reasoning - rates.output)
    if usage.audio_input or usage.image_input or usage.audio_output or usage.image_output:
        femto += _media(rates, usage)
    if usage.web_searches or usage.images or usage.audio_ms or usage.characters or usage.pages:
        femto += _pieces(rates, usage, price.by_tokens if usage.input or usage.output else ())
    return -(-femto // FEMTO_PER_NANO)


def _media(rates: Rates, usage: Usage) -> int:
    """What tokens of media cost above those of text; below 0 where they are cheaper."""
    fresh_audio, fresh_image = usage.audio_input - usage.cache_read_audio, usage.image_input - usage.cache_read_image
    return (
        fresh_audio * (rates.audio_input - rates.input)
        + fresh_image * (rates.image_input - rates.input)
        + usage.cache_read_audio * (rates.cache_read_audio - rates.cache_read)
        + usage.cache_read_image * (rates.cache_read_image - rates.cache_read)
        + usage.audio_output * (rates.audio_output - rates.output)
        + usage.image_output * (rates.image_output - rates.output)
    )


def _pieces(rates: Rates, usage: Usage, free: Sequence[str]) -> int:
    """What costs by the piece, by the page, by the character or by the hour; `free` are kinds that cost nothing."""
    femto = usage.web_searches * rates.web_searches
    if "images" not in free:
        femto += usage.images * rates.images
    if "audio_ms" not in free:
        # The rate is for an hour, because a list's price of an hour is no whole number of femto-dollars for less.
        femto -= -usage.audio_ms * rates.audio_hour // MS_PER_HOUR
    if "characters" not in free:
        femto += usage.characters * rates.characters
    if "pages" not in free:
        femto += usage.pages * rates.pages
    return femto


def estimate(
    price: Price, input_bound: int, output_bound: int, others: Usage = ONE_REQUEST, tier: str | None = None
) -> int:
    """Nano-dollars that no call of at most so many tokens can pass, whatever kinds they turn out to be.

    `others` bounds what is no token; its tokens do not count. Where output is bounded, what is paid by tokens is part
    of that. `tier` is the service tier that is asked for, by the provider's word. A cheap one is not relied on: who
    does not know it, or has no room in it, serves and charges the standard.
    """
    served = price if tier in CHEAP_TIERS else price.in_tier(tier)
    free = served.by_tokens if output_bound else ()
    femto = _bound(served.base, input_bound, output_bound, others, free)
    for start, rates in served.tiers:
        if input_bound > start:
            femto = max(femto, _bound(rates, input_bound, output_bound, others, free))
    return -(-femto // FEMTO_PER_NANO)


def _bound(rates: Rates, input_bound: int, output_bound: int, others: Usage, free: Sequence[str]) -> int:
    femto = input_bound * rates.dearest_input() + output_bound * rates.dearest_output()
    if others is ONE_REQUEST:
        return femto + rates.requests
    return femto + others.requests * rates.requests + _pieces(rates, others, free)
