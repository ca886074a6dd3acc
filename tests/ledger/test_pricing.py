"""A call's cost is exact, and no call costs more than its estimate."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.price_list import price_for
from app.ledger.pricing import Price, cost, estimate
from app.ledger.usage import KINDS, Usage
from app.price_names import Place

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-audio"),
    ("openai", "gpt-realtime"),
    ("openai", "gpt-image-1"),
    ("openai", "whisper-1"),
    ("openai", "tts-1"),
    ("openai", "text-embedding-3-small"),
    ("azure", "gpt-4o"),
    ("anthropic", "claude-opus-5"),
    ("google", "gemini-2.5-flash"),
    ("perplexity", "sonar-pro"),
    ("mistral", "voxtral-small-24b-2507"),
]
TIERS = [None, "default", "flex", "batch", "priority", "fast", "unheard of"]
COUNTS = st.dictionaries(st.sampled_from(KINDS), st.one_of(st.integers(0, 50), st.integers(90_000, 10**7)))


def known(provider: str, model: str) -> Price:
    price = price_for(provider, model, at=NOW)
    assert price is not None
    return price


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(MODELS), COUNTS, st.integers(0, 10**6), st.sampled_from(TIERS))
def test_no_usage_within_its_bounds_costs_more_than_its_estimate(
    which: tuple[str, str], counts: dict[str, int], more: int, tier: str | None
) -> None:
    price, usage = known(*which), Usage.from_counts(counts)
    others = Usage.from_counts({kind: count + more for kind, count in counts.items()})
    # A call whose output is bounded is one that has tokens, and they pay for what has no price of its own.
    output = usage.output + more if usage.input or usage.output else 0
    assert cost(price.in_tier(tier), usage) <= estimate(price, usage.input + more, output, others, tier)


def test_a_plain_models_estimate_is_the_cost_of_its_bounds() -> None:
    price = known("openai", "gpt-4o")
    assert estimate(price, 100, 200) == cost(price, Usage(100, 200, requests=1))


def test_an_estimate_counts_a_request() -> None:
    assert estimate(known("perplexity", "sonar-pro"), 0, 0) == 14_000_000


@pytest.mark.parametrize(("tier", "dollars"), [(None, "2.5"), ("priority", "5"), ("unknown", "6.25")])
def test_an_estimate_is_that_of_the_tier_that_is_asked_for(tier: str | None, dollars: str) -> None:
    assert estimate(known("openai", "gpt-5.4"), 1000, 0, tier=tier) == Decimal(dollars) * 10**6


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_an_estimate_does_not_rely_on_a_cheap_tier_that_the_provider_may_not_give(tier: str) -> None:
    price = known("openai", "gpt-5.4")
    assert estimate(price, 1000, 500, tier=tier) == estimate(price, 1000, 500)


def test_an_estimate_bounds_images_that_are_paid_by_tokens() -> None:
    price = known("openai", "gpt-image-1")
    high = Usage(0, 6_240, image_output=6_240, images=1)
    assert cost(price, high) <= estimate(price, 0, 0, Usage(0, 0, images=1))


def test_images_whose_tokens_are_bounded_are_not_bounded_twice() -> None:
    price = known("openai", "gpt-image-1")
    assert estimate(price, 0, 408, Usage(0, 0, images=1)) == 408 * 40_000


def test_a_cost_is_rounded_up_once_at_the_end() -> None:
    # 0.4 nano-dollars for each of ten input tokens, and 0.3 for the one output token.
    costs = ((Place("input"), Decimal("4e-10")), (Place("output"), Decimal("3e-10")))
    price = price_for("openai", "no such model", costs)
    assert price is not None
    assert cost(price, Usage(input=10, output=1)) == 5


def test_nothing_costs_nothing() -> None:
    assert cost(known("openai", "gpt-4o"), Usage(input=0, output=0)) == 0


def test_a_cached_audio_token_is_paid_once() -> None:
    price = known("openai", "gpt-realtime")
    usage = Usage(100, 0, cache_read=50, audio_input=60, cache_read_audio=30)
    # 20 fresh tokens of text, 20 cached ones, 30 fresh ones of audio and 30 cached.
    assert cost(price, usage) == 20 * 4_000 + 20 * 400 + 30 * 32_000 + 30 * 400
