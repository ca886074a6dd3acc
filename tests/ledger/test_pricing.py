"""Costs are exact: they agree with genai-prices' own arithmetic, and no estimate is below what it estimates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import Usage as ListUsage
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.pricing import Price, Rates, cost, estimate, max_output_tokens, price_for
from app.ledger.usage import Usage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4.1-nano"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "gpt-6.1-terra"),
    ("openai", "gpt-4o-audio-preview"),
    ("openai", "o3"),
    ("openai", "o1-pro"),
    ("openai", "text-embedding-3-small"),
    ("azure", "gpt-4o"),
    ("azure", "gpt-4"),
    ("azure", "text-embedding-3-large"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("anthropic", "claude-3-haiku"),
]
FEW_OR_MANY = st.one_of(st.integers(0, 50), st.integers(90_000, 300_000), st.integers(0, 10**8))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    fresh, cache_read, write_5m, write_1h, text, reasoning, audio_output = (draw(FEW_OR_MANY) for _ in range(7))
    # Cached audio has a price of its own in the list, and no count of its own on the wire.
    audio_input = 0 if cache_read else draw(FEW_OR_MANY)
    return Usage(
        input=fresh + cache_read + write_5m + write_1h + audio_input,
        output=text + reasoning + audio_output,
        cache_read=cache_read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        reasoning=reasoning,
        audio_input=audio_input,
        audio_output=audio_output,
    )


def listed_cost(provider: str, model: str, usage: Usage) -> int:
    """What genai-prices itself says, rounded up to the nano-dollar."""
    usage_there = ListUsage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_5m_tokens=usage.cache_write_5m,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.audio_input,
        output_audio_tokens=usage.audio_output,
        cache_audio_read_tokens=0,
    )
    found_provider, info = get_snapshot().find_provider_model(model, None, provider, None)
    dollars = info.calc_price(usage_there, found_provider, genai_request_timestamp=NOW).total_price
    return int((dollars * 10**9).to_integral_value(ROUND_CEILING))


def known(provider: str, model: str) -> Price:
    price = price_for(provider, model, at=NOW)
    assert price is not None
    return price


@pytest.mark.parametrize(("provider", "model"), MODELS)
@settings(max_examples=40, deadline=None)
@given(usage=usages())
def test_costs_agree_with_the_lists_own_arithmetic(provider: str, model: str, usage: Usage) -> None:
    if "embedding" in model:
        usage = Usage(input=usage.input, output=0)
    assert cost(known(provider, model), usage) == listed_cost(provider, model, usage)


@settings(deadline=None)
@given(st.sampled_from(MODELS), usages(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_usage_within_its_bounds_costs_more_than_its_estimate(
    which: tuple[str, str], usage: Usage, more_input: int, more_output: int
) -> None:
    price = known(*which)
    assert cost(price, usage) <= estimate(price, usage.input + more_input, usage.output + more_output)


def test_a_plain_models_estimate_is_the_cost_of_its_bounds() -> None:
    price = price_for("openai", "gpt-4-turbo", at=NOW)
    assert price is not None
    assert estimate(price, 100, 200) == cost(price, Usage(input=100, output=200))


def test_a_cost_is_rounded_up_once_at_the_end() -> None:
    # 0.4 nano-dollars for each of ten input tokens, and 0.3 for the one output token.
    price = price_for(
        "openai", "no such model", input_cost_per_token=Decimal("4e-10"), output_cost_per_token=Decimal("3e-10")
    )
    assert price is not None
    assert cost(price, Usage(input=10, output=1)) == 5


def test_nothing_costs_nothing() -> None:
    assert cost(known("openai", "gpt-4o"), Usage(input=0, output=0)) == 0


def test_a_long_context_raises_the_price_of_every_token() -> None:
    price = known("openai", "gpt-5.4")
    below, above = cost(price, Usage(272_000, 10)), cost(price, Usage(272_001, 10))
    assert (below, above) == (272_000 * 2_500 + 10 * 15_000, 272_001 * 5_000 + 10 * 22_500)


def test_a_price_says_where_it_is_from() -> None:
    name, version, model = known("openai", "gpt-4o").source.split()
    assert (name, model) == ("genai-prices", "openai/gpt-4o")
    assert version[0].isdigit()


def test_azure_falls_back_to_openais_list() -> None:
    assert known("azure", "o3").base == known("openai", "o3").base


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no such model"), ("nobody", "gpt-4o"), ("openai", "whisper-1")]
)
def test_a_model_that_is_not_priced_by_the_token_has_no_price(provider: str, model: str) -> None:
    assert price_for(provider, model) is None


def test_one_stated_cost_of_an_unknown_model_is_not_a_price() -> None:
    assert price_for("openai", "no such model", input_cost_per_token=Decimal("0.001")) is None


def test_stated_costs_are_the_price_of_an_unknown_model() -> None:
    price = price_for(
        "openai", "no such model", input_cost_per_token=Decimal("0.001"), output_cost_per_token=Decimal("0.002")
    )
    assert price is not None
    assert price.source == "config"
    assert cost(price, Usage(input=10, output=20)) == 50_000_000


def test_a_stated_cost_wins_over_the_list_kind_by_kind() -> None:
    price = price_for("openai", "gpt-4o", output_cost_per_token=Decimal("0.002"), at=NOW)
    listed = known("openai", "gpt-4o")
    assert price is not None
    assert price.base == listed.base._replace(output=2 * 10**12, reasoning=2 * 10**12, audio_output=2 * 10**12)
    assert price.source == f"config, {listed.source}"


def test_a_stated_cost_holds_in_every_tier() -> None:
    price = price_for("openai", "gpt-5.4", input_cost_per_token=Decimal("0.001"), at=NOW)
    assert price is not None
    assert price.rates(10).input == price.rates(10**6).input == 10**12


def test_a_stated_cost_of_nothing_is_free() -> None:
    price = price_for("openai", "gpt-4-turbo", input_cost_per_token=Decimal(0), output_cost_per_token=Decimal(0))
    assert price is not None
    assert cost(price, Usage(input=10**6, output=10**6, cache_read=10)) == 0


def test_a_kind_without_a_price_falls_back_to_what_it_is_part_of() -> None:
    price = price_for(
        "openai",
        "no such model",
        input_cost_per_token=Decimal("0.001"),
        output_cost_per_token=Decimal("0.002"),
        cache_creation_input_token_cost=Decimal("0.0015"),
    )
    one, two, one_and_a_half = 10**12, 2 * 10**12, 15 * 10**11
    assert price is not None
    assert price.base == Rates(
        input=one,
        output=two,
        cache_read=one,
        cache_write_5m=one_and_a_half,
        cache_write_1h=one_and_a_half,
        reasoning=two,
        audio_input=one,
        audio_output=two,
    )


def test_a_price_that_changes_on_a_day_changes_on_that_day() -> None:
    before, after = (price_for("openai", "o3", at=datetime(2025, 6, day, 12, tzinfo=UTC)) for day in (9, 10))
    assert before is not None
    assert after is not None
    assert before.base.input == 5 * after.base.input


@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_a_price_survives_json(provider: str, model: str) -> None:
    price = known(provider, model)
    assert Price.from_wire(json.loads(json.dumps(price.to_wire()))) == price


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-2024-08-06", 16_384),
        ("gpt-4.1-mini", 32_768),
        ("gpt-4-0613", 8_192),
        ("gpt-4-turbo-2024-04-09", 4_096),
        ("gpt-3.5-turbo", 4_096),
        ("gpt-35-turbo", 4_096),
        ("gpt-5-mini", 128_000),
        ("o4-mini", 100_000),
        ("GPT-4o", 16_384),
        ("ft:gpt-4o-mini:acme::x", 16_384),
        ("openai/gpt-4o", 16_384),
        ("claude-3-5-haiku-latest", 8_192),
        ("nobody-knows-this", 16_384),
    ],
)
def test_an_answers_largest_size_is_known_by_family(model: str, tokens: int) -> None:
    assert max_output_tokens(model) == tokens


def test_a_family_that_is_not_known_can_fill_its_context_window() -> None:
    _, info = get_snapshot().find_provider_model("deepseek-chat", None, None, None)
    assert max_output_tokens("deepseek-chat") == info.context_window
