"""Our arithmetic on integers against that of genai-prices: every model of its list, all kinds that it prices."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, TieredPrices
from genai_prices.types import Usage as ListUsage
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.listed.model import LISTED_AS
from app.ledger.price_list import price_for
from app.ledger.pricing import CHEAP_TIERS, DEAR_TIERS, cost
from app.ledger.usage import Usage
from tests.ledger.listed_names import CONTEXT, texts

# On both sides of a date from which on, and of hours in which, prices of the list are others.
MOMENTS = [
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    datetime(2026, 9, 1, 2, tzinfo=UTC),
    datetime(2027, 2, 1, tzinfo=UTC),
]
TIERS = ("", *CHEAP_TIERS, *DEAR_TIERS)
# What the list calls our kinds.
THERE = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "output_reasoning_tokens",
    "audio_input": "input_audio_tokens",
    "audio_output": "output_audio_tokens",
    "cache_read_audio": "cache_audio_read_tokens",
    "cache_read_image": "cache_image_read_tokens",
    "image_input": "input_image_tokens",
    "image_output": "output_image_tokens",
    "web_searches": "web_searches",
    "characters": "input_characters",
    "pages": "input_document_pages",
}
# Groq counts a recording as ten seconds at least, which is the provider's rule and not the price's.
SHORTEST_AUDIO_MS = 10_000


def models() -> dict[tuple[str, str], tuple[Provider, ModelInfo]]:
    """What the list finds by provider and name, for a name of each of its models."""
    snapshot, found = get_snapshot(), {}
    for provider in snapshot.providers:
        for model in provider.models:
            for name in (model.id, *texts(model.match)):
                if (info := provider.find_model(name)) is model:
                    found[provider.id, name] = provider, info
                    break
    return found


MODELS = models()


def amounts(info: ModelInfo, at: datetime, draw: Any) -> dict[str, int]:
    """Amounts of the kinds that a model has prices of; `draw(least, most)` is a whole number."""
    prices = info.get_prices(at)
    priced = {
        kind for kind, (names, _) in LISTED_AS.items() if any(getattr(prices, name) is not None for name in names)
    }
    size = draw(0, 2)
    drawn = {kind: draw(0, (50, 300_000, 10**7)[size]) for kind in priced & THERE.keys()}
    drawn |= {kind: draw(SHORTEST_AUDIO_MS, 10**8) for kind in priced & {"audio_ms"}}
    # Parts are drawn first, then what they are parts of grows by them. What has no price has no amount.
    return {kind: amount for kind, amount in drawn.items() if amount}


def told(usage: Usage, info: ModelInfo, at: datetime) -> ListUsage:
    """The usage as genai-prices wants it: only what the model has a price of."""
    prices = info.get_prices(at)
    given: dict[str, Any] = {there: getattr(usage, kind) for kind, there in THERE.items()}
    # Videos are counted as images.
    for side, tokens in (("input", usage.image_input), ("output", usage.image_output)):
        if getattr(prices, f"{side}_image_mtok") is None and getattr(prices, f"{side}_video_mtok") is not None:
            given |= {f"{side}_image_tokens": 0, f"{side}_video_tokens": tokens}
    given["cache_write_tokens"] = usage.cache_write_5m + usage.cache_write_1h
    if usage.audio_ms:
        seconds = Decimal(usage.audio_ms) / 1000
        for name in ("audio", "input_audio", "output_audio"):
            if getattr(prices, f"{name}_hours") is not None:
                given[f"{name}_seconds"] = seconds
    return ListUsage(**given)


def there_it_costs(provider: Provider, info: ModelInfo, usage: Usage, at: datetime, tier: str) -> int:
    """What genai-prices itself says: nano-dollars, rounded up."""
    context = dict.fromkeys(CONTEXT, tier) if tier else None
    found = info.calc_price(told(usage, info, at), provider, genai_request_timestamp=at, price_context=context)
    return int((found.total_price * 10**9).to_integral_value(ROUND_CEILING))


def listed_tiers(info: ModelInfo, at: datetime) -> set[str]:
    """The tiers that have a price of their own at that moment."""
    variants = info.price_variants or ()
    active = (one for one in variants if one.constraint is None or one.constraint.active(at))
    return {tier for one in active for name, tier in one.when.items() if name in CONTEXT}


def is_uneven(info: ModelInfo, at: datetime, tier: str) -> bool:
    """Whether a price of the list has more than nine digits behind the point; OpenRouter's have."""
    prices = info.get_prices(at, dict.fromkeys(CONTEXT, tier))
    stated = [price for price in prices.__dict__.values() if price is not None]
    tiered = [one for one in stated if isinstance(one, TieredPrices)]
    plain = [one for one in stated if isinstance(one, Decimal)]
    plain += [price for one in tiered for price in (one.base, *(tier.price for tier in one.tiers))]
    return any(price != round(price, 9) for price in plain)


def compare(name: tuple[str, str], at: datetime, tier: str, draw: Any) -> None:
    price, (provider, info) = price_for(*name, at=at), MODELS[name]
    counts = amounts(info, at, draw)
    if price is None or not counts:
        return
    usage = Usage.from_counts(counts | {"requests": 1})
    here, there = cost(price.in_tier(tier), usage), there_it_costs(provider, info, usage, at, tier)
    if tier in DEAR_TIERS and tier not in listed_tiers(info, at):
        # The list has no price of the tier, so that its arithmetic takes the usual one.
        assert here >= there, (provider.id, info.id, tier, usage)
    elif is_uneven(info, at, tier):
        # A token costs no whole number of femto-dollars; each of its kinds is rounded up.
        assert there <= here <= there + 1 + (usage.input + usage.output) // 10**6, (provider.id, info.id, tier, usage)
    else:
        assert here == there, (provider.id, info.id, tier, usage)


def test_every_model_of_the_list_costs_what_the_list_says() -> None:
    numbers = random.Random(1)
    for name, (_, info) in MODELS.items():
        for at in MOMENTS:
            for tier in ("", *sorted(listed_tiers(info, at) & {*TIERS})):
                compare(name, at, tier, numbers.randint)


@settings(max_examples=2_000, deadline=None)
@given(st.data(), st.sampled_from(list(MODELS)), st.sampled_from(MOMENTS), st.sampled_from(TIERS))
def test_any_usage_costs_what_the_list_says(
    data: st.DataObject, name: tuple[str, str], at: datetime, tier: str
) -> None:
    compare(name, at, tier, lambda least, most: data.draw(st.integers(least, most)))


def test_every_model_of_the_list_is_compared() -> None:
    of_list = {(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models}
    compared = {(provider.id, model.id) for provider, model in MODELS.values()}
    assert of_list - compared == set()


def test_the_models_without_a_price_are_those_of_which_the_list_knows_nothing_that_we_count() -> None:
    for name, (_, info) in MODELS.items():
        prices = info.get_prices(MOMENTS[0])
        knows = any(getattr(prices, one) is not None for names, _ in LISTED_AS.values() for one in names)
        assert (price_for(*name, at=MOMENTS[0]) is not None) == knows, name
