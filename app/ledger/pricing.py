"""What a call costs: price lists compiled at start to integers per token, and exact arithmetic on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from app.ledger.usage import Usage

FEMTO_PER_DOLLAR = 10**15
FEMTO_PER_NANO = 10**6
TOKENS_PER_LISTED_PRICE = 10**6

# The kinds of ours, and what genai-prices calls their price.
LISTED_AS = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cache_read": ("cache_read_mtok",),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok"),
    "reasoning": ("output_reasoning_mtok",),
    "audio_input": ("input_audio_mtok",),
    "audio_output": ("output_audio_mtok",),
}

# The most output tokens of one answer, by the start of the model's name; the longest start that fits wins. An estimate
# may be too high, never too low, so each family has its largest member's figure.
MAX_OUTPUT_TOKENS = {
    "gpt-3.5": 4_096,
    "gpt-35": 4_096,
    "gpt-4": 8_192,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 4_096,
    "gpt-4-1106": 4_096,
    "gpt-4-0125": 4_096,
    "gpt-4-vision": 4_096,
    "gpt-4o": 16_384,
    "chatgpt-4o": 16_384,
    "gpt-4.1": 32_768,
    "gpt-4.5": 16_384,
    "gpt-5": 128_000,
    "gpt-6": 128_000,
    "gpt-oss": 131_072,
    "o1": 100_000,
    "o3": 100_000,
    "o4": 100_000,
    "codex-mini": 100_000,
    "claude-": 128_000,
    "claude-3-": 4_096,
    "claude-3-5": 8_192,
    "claude-3-7": 128_000,
    "claude-haiku-4": 64_000,
    "claude-opus-4": 32_000,
    "claude-opus-4-5": 64_000,
    "claude-opus-4-6": 128_000,
    "claude-opus-4-7": 128_000,
    "claude-opus-4-8": 128_000,
    "claude-sonnet-4": 64_000,
    "claude-sonnet-4-6": 128_000,
}
MAX_OUTPUT_TOKENS_OF_THE_UNKNOWN = 16_384


class Rates(NamedTuple):
    """Femto-dollars (10⁻¹⁵ $) per token of each kind; every kind has one."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int

    def dearest_input(self) -> int:
        """The most that an input token can cost, whatever becomes of it."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_input)

    def dearest_output(self) -> int:
        """The most that an output token can cost."""
        return max(self.output, self.reasoning, self.audio_output)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost.

    `tiers` are (start, rates), rising: a call with more than `start` input tokens pays these rates for all its tokens.
    `source` says where the price is from: "genai-prices 0.2.3 openai/gpt-4o", "config", or both.
    """

    base: Rates
    source: str
    tiers: tuple[tuple[int, Rates], ...] = ()

    def rates(self, input_tokens: int) -> Rates:
        """The rates of a call with that many input tokens in total."""
        for start, rates in reversed(self.tiers):
            if input_tokens > start:
                return rates
        return self.base

    def to_wire(self) -> list[Any]:
        """A list that JSON can carry."""
        tiers = [[start, list(rates)] for start, rates in self.tiers]
        return [self.source, list(self.base), tiers]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> Price:
        """The inverse of `to_wire`."""
        source, base, tiers = wire
        return cls(Rates(*base), source, tuple((start, Rates(*rates)) for start, rates in tiers))


def cost(price: Price, usage: Usage) -> int:
    """Nano-dollars of a call, exact, rounded up once at the end."""
    rates = price.rates(usage.input)
    femto = (
        usage.fresh_input * rates.input
        + usage.cache_read * rates.cache_read
        + usage.cache_write_5m * rates.cache_write_5m
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.audio_input * rates.audio_input
        + usage.text_output * rates.output
        + usage.reasoning * rates.reasoning
        + usage.audio_output * rates.audio_output
    )
    return _nano(femto)


def estimate(price: Price, input_bound: int, output_bound: int) -> int:
    """Nano-dollars that no call of at most so many tokens can pass, whatever kinds they turn out to be."""
    within_reach = [price.base, *(rates for start, rates in price.tiers if input_bound > start)]
    return _nano(
        max(input_bound * rates.dearest_input() + output_bound * rates.dearest_output() for rates in within_reach)
    )


def price_for(
    provider: str,
    model: str,
    *,
    input_cost_per_token: Decimal | None = None,
    output_cost_per_token: Decimal | None = None,
    cache_read_input_token_cost: Decimal | None = None,
    cache_creation_input_token_cost: Decimal | None = None,
    at: datetime | None = None,
) -> Price | None:
    """The price of a provider's model, or None where it is not known.

    The four costs are config.yaml's, in dollars per token; each wins over the list's price of its kind, in every tier.
    A list may know of a change to come: `at` (default: now) is the moment whose price counts.
    """
    stated = {
        "input": input_cost_per_token,
        "output": output_cost_per_token,
        "cache_read": cache_read_input_token_cost,
        "cache_write_5m": cache_creation_input_token_cost,
    }
    overrides = {kind: _femto(dollars) for kind, dollars in stated.items() if dollars is not None}
    listed = _listed(provider, model, at or datetime.now(tz=UTC))
    if listed is None:
        if "input" not in overrides or "output" not in overrides:
            return None
        return Price(_complete(overrides), "config")
    source, prices = listed
    base = {kind: _femto_per_token(price, 0) for kind, price in prices.items()} | overrides
    if "input" not in base:
        return None
    tiers = []
    for start in sorted({tier.start for price in prices.values() for tier in _tiers(price)}):
        raised = {kind: _femto_per_token(price, start + 1) for kind, price in prices.items()} | overrides
        tiers.append((start, _complete(raised)))
    return Price(_complete(base), f"config, {source}" if overrides else source, tuple(tiers))


def max_output_tokens(model: str) -> int:
    """The most output tokens of one answer of that model: its family's figure, else its context window, else 16,384."""
    name = model.lower().removeprefix("ft:").rpartition("/")[2]
    fitting = [start for start in MAX_OUTPUT_TOKENS if name.startswith(start)]
    if fitting:
        return MAX_OUTPUT_TOKENS[max(fitting, key=len)]
    found = _model_info(None, name)
    window = found[1].context_window if found else None
    return window or MAX_OUTPUT_TOKENS_OF_THE_UNKNOWN


def _listed(provider: str, model: str, at: datetime) -> tuple[str, dict[str, Decimal | TieredPrices]] | None:
    """genai-prices' own prices of our kinds, in dollars per million tokens, and where they stand."""
    found = _model_info(provider, model)
    if found is None:
        return None
    listed_by, info = found
    prices: ModelPrice = info.get_prices(at)
    by_kind = {}
    for kind, names in LISTED_AS.items():
        price = next((price for name in names if (price := getattr(prices, name)) is not None), None)
        if price is not None:
            by_kind[kind] = price
    if "input" not in by_kind:
        return None
    return f"genai-prices {_list_version()} {listed_by}/{info.id}", by_kind


def _model_info(provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
    try:
        found_provider, info = get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    return found_provider.id, info


@cache
def _list_version() -> str:
    return version("genai-prices")


def _tiers(price: Decimal | TieredPrices) -> list[Any]:
    return price.tiers if isinstance(price, TieredPrices) else []


def _femto_per_token(price: Decimal | TieredPrices, input_tokens: int) -> int:
    """A listed price as it is for a call of that many input tokens."""
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
        price = reached[-1] if reached else price.base
    return _femto(price / TOKENS_PER_LISTED_PRICE)


def _femto(dollars: Decimal) -> int:
    return int((dollars * FEMTO_PER_DOLLAR).to_integral_value(ROUND_CEILING))


def _complete(known: dict[str, int]) -> Rates:
    """A kind without a price falls back to the kind that it is part of, never to 0.

    Embedding models have no output price and no output; their output rate is the input's.
    """
    fresh = known["input"]
    output = known.get("output", fresh)
    write_5m = known.get("cache_write_5m", fresh)
    return Rates(
        input=fresh,
        output=output,
        cache_read=known.get("cache_read", fresh),
        cache_write_5m=write_5m,
        cache_write_1h=known.get("cache_write_1h", max(fresh, write_5m)),
        reasoning=known.get("reasoning", output),
        audio_input=known.get("audio_input", fresh),
        audio_output=known.get("audio_output", output),
    )


def _nano(femto: int) -> int:
    return -(-femto // FEMTO_PER_NANO)
