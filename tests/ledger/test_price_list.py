"""Prices come from the list, and from what config.yaml states kind by kind."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from app.ledger.listed.find import all_models, listed_model
from app.ledger.output_sizes import max_output_tokens
from app.ledger.price_list import MOST_TOKENS_OF_AN_IMAGE, price_for
from app.ledger.pricing import Price, Rates, cost
from app.ledger.usage import Usage
from app.price_names import Place, Stated

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def known(provider: str, model: str, stated: Stated = (), at: datetime = NOW) -> Price:
    price = price_for(provider, model, stated, at=at)
    assert price is not None
    return price


def stated(**dollars: str) -> Stated:
    """Dollars by kind; `output_priority` is a price in a service tier, `output_above_200` one of large calls."""
    found = []
    for name, amount in dollars.items():
        base, _, above = name.partition("_above_")
        kind, tier = (base.removesuffix("_priority"), "priority") if base.endswith("_priority") else (base, "")
        kind, tier = (kind.removesuffix("_flex"), "flex") if kind.endswith("_flex") else (kind, tier)
        found.append((Place(kind, tier, int(above or 0) * 1000), Decimal(amount)))
    return tuple(found)


# --- the list


def test_a_long_context_raises_the_price_of_every_token() -> None:
    price = known("openai", "gpt-5.4")
    below, above = cost(price, Usage(272_000, 10)), cost(price, Usage(272_001, 10))
    assert (below, above) == (272_000 * 2_500 + 10 * 15_000, 272_001 * 5_000 + 10 * 22_500)


def test_a_price_says_where_it_is_from() -> None:
    name, version, model = known("openai", "gpt-4o").source.split()
    assert (name, model) == ("genai-prices", "openai/gpt-4o")
    assert version[0].isdigit()


def test_azure_falls_back_to_openais_list() -> None:
    assert known("azure", "o3").base.input == known("openai", "o3").base.input


@pytest.mark.parametrize(("provider", "model"), [("openai", "no such model"), ("nobody", "gpt-4o")])
def test_a_model_on_no_list_has_no_price(provider: str, model: str) -> None:
    assert price_for(provider, model) is None


def test_a_price_that_changes_on_a_day_changes_on_that_day() -> None:
    before, after = (known("openai", "o3", at=datetime(2025, 6, day, 12, tzinfo=UTC)) for day in (9, 10))
    assert before.base.input == 5 * after.base.input


def test_a_price_that_changes_by_the_hour_changes_at_that_hour() -> None:
    dear, cheap = (known("deepseek", "deepseek-v4-flash", at=NOW.replace(hour=hour)) for hour in (2, 5))
    assert dear.base.input > cheap.base.input


def test_hours_of_the_list_begin_at_full_quarters() -> None:
    """Prices are looked up again every quarter of an hour."""
    hours = [when for model in all_models() for when, _ in model.written if isinstance(when, list)]
    moments = [time.fromisoformat(moment) for when in hours for moment in when]
    assert moments
    assert [moment for moment in moments if (moment.minute % 15, moment.second, moment.microsecond) != (0, 0, 0)] == []


def test_speech_is_paid_by_its_characters() -> None:
    assert cost(known("openai", "tts-1"), Usage(0, 0, characters=1_000_000)) == 15 * 10**9


def test_transcription_is_paid_by_its_time() -> None:
    assert cost(known("openai", "whisper-1"), Usage(0, 0, audio_ms=60_000)) == 6 * 10**6


def test_time_is_paid_exactly_where_a_price_per_millisecond_is_not_even() -> None:
    # $0.111 an hour.
    price = known("groq", "whisper-large-v3")
    assert [cost(price, Usage(0, 0, audio_ms=hours * 3_600_000)) for hours in (1, 100)] == [111 * 10**6, 111 * 10**8]


def test_a_search_is_paid_beside_the_tokens() -> None:
    price = known("anthropic", "claude-opus-4-6")
    assert cost(price, Usage(0, 0, web_searches=3)) == 30 * 10**6


def test_a_request_is_paid_where_the_provider_charges_for_it() -> None:
    paid, free = known("perplexity", "sonar-pro"), known("openai", "gpt-4o")
    assert [cost(price, Usage(0, 0, requests=1)) for price in (paid, free)] == [14 * 10**6, 0]


# --- what has no price of its own


def test_images_without_a_price_of_their_own_are_paid_by_their_tokens() -> None:
    price = known("openai", "gpt-image-1")
    assert cost(price, Usage(0, 1000, image_output=1000, images=1)) == 1000 * 40_000


def test_images_without_a_price_and_without_tokens_are_not_free() -> None:
    price = known("openai", "gpt-image-1")
    assert cost(price, Usage(0, 0, images=2)) == 2 * MOST_TOKENS_OF_AN_IMAGE * 40_000


@pytest.mark.parametrize("kind", ["web_searches", "images", "audio_ms", "characters", "pages"])
def test_nothing_that_a_chat_model_does_beside_its_tokens_is_free(kind: str) -> None:
    assert cost(known("openai", "gpt-3.5-turbo"), Usage(0, 0, **{kind: 1000})) > 0


def test_a_search_without_a_price_costs_as_much_as_the_providers_dearest() -> None:
    assert known("openai", "gpt-3.5-turbo").base.web_searches == 10 * 10**12


def test_a_kind_without_a_price_falls_back_to_what_it_is_part_of() -> None:
    price = known("openai", "no such model", stated(input="0.001", output="0.002", cache_write_5m="0.0015"))
    one, two, one_and_a_half = 10**12, 2 * 10**12, 15 * 10**11
    tokens = dict(zip(Rates._fields[:12], price.base[:12], strict=True))
    assert tokens == dict.fromkeys(Rates._fields[:12], one) | {
        "output": two,
        "reasoning": two,
        "audio_output": two,
        "image_output": two,
        "cache_write_5m": one_and_a_half,
        "cache_write_1h": one_and_a_half,
    }


@pytest.mark.parametrize(
    ("more", "cached_audio"),
    [
        ({}, "0.001"),
        ({"cache_read": "0.0001"}, "0.0001"),
        ({"audio_input": "0.005"}, "0.005"),
        ({"cache_read": "0.0001", "audio_input": "0.005"}, "0.005"),
        ({"cache_read": "0.0001", "audio_input": "0.005", "cache_read_audio": "0.0002"}, "0.0002"),
    ],
)
def test_cached_audio_without_a_price_costs_what_it_is_part_of(more: dict[str, str], cached_audio: str) -> None:
    price = known("openai", "no such model", stated(input="0.001", output="0.002", **more))
    assert price.base.cache_read_audio == Decimal(cached_audio) * 10**15


# --- what is stated


def test_one_stated_cost_of_an_unknown_model_is_not_a_price() -> None:
    assert price_for("openai", "no such model", stated(input="0.001")) is None


def test_stated_costs_are_the_price_of_an_unknown_model() -> None:
    price = known("openai", "no such model", stated(input="0.001", output="0.002"))
    assert price.source == "config"
    assert cost(price, Usage(input=10, output=20)) == 50_000_000


def test_a_price_per_image_is_a_price() -> None:
    assert cost(known("openai", "no such model", stated(images="0.04")), Usage(0, 0, images=3)) == 120_000_000


def test_images_with_a_price_of_their_own_are_paid_beside_their_tokens() -> None:
    price = known("openai", "gpt-image-1", stated(images="0.01"))
    assert cost(price, Usage(0, 1000, images=1)) == 1000 * 40_000 + 10_000_000


def test_a_stated_cost_wins_over_the_list_kind_by_kind() -> None:
    price, listed = known("openai", "gpt-4-turbo", stated(output="0.002")), known("openai", "gpt-4-turbo")
    dear = dict.fromkeys(("output", "reasoning", "audio_output", "image_output"), 2 * 10**12)
    assert price.base == listed.base._replace(**dear, images=MOST_TOKENS_OF_AN_IMAGE * 2 * 10**12)
    assert price.source == f"config, {listed.source}"


def test_a_stated_cost_holds_for_every_size() -> None:
    price = known("openai", "gpt-5.4", stated(input="0.001"))
    assert price.rates(10).input == price.rates(10**6).input == 10**12


def test_a_stated_cost_of_large_calls_holds_for_large_calls() -> None:
    price = known("openai", "no such model", stated(input="0.001", output="0.002", input_above_200="0.003"))
    assert [price.rates(size).input for size in (200_000, 200_001)] == [10**12, 3 * 10**12]
    assert price.rates(200_001).output == 2 * 10**12


def test_a_stated_cost_of_nothing_is_free() -> None:
    price = known("openai", "gpt-4-turbo", stated(input="0", output="0"))
    assert cost(price, Usage(input=10**6, output=10**6, cache_read=10)) == 0


def test_a_default_price_is_that_of_a_model_without_any() -> None:
    default = stated(input="0.001", output="0.002")
    price = price_for("openai", "no such model", default=default)
    assert price is not None
    assert (price.source, cost(price, Usage(1, 1))) == ("default price", 3_000_000)
    assert price_for("openai", "gpt-4o", default=default, at=NOW) == known("openai", "gpt-4o")


# --- service tiers


@pytest.mark.parametrize("word", [None, "", "auto", "default", "standard"])
def test_the_usual_service_has_the_usual_price(word: str | None) -> None:
    price = known("openai", "gpt-5.4")
    assert price.in_tier(word) is price


@pytest.mark.parametrize(
    ("provider", "model", "tier", "dollars"),
    [
        ("openai", "gpt-5.4", "flex", 1.25),
        ("openai", "gpt-5.4", "priority", 5),
        ("openai", "gpt-5.4", "batch", 1.25),
        ("anthropic", "claude-opus-5", "fast", 10),
        ("google", "gemini-3.8-flash-tts", "priority", 0.9),
    ],
)
def test_a_listed_tier_has_its_own_price(provider: str, model: str, tier: str, dollars: float) -> None:
    assert known(provider, model).in_tier(tier).base.input == dollars * 10**9


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_a_cheap_tier_without_a_price_costs_the_usual(tier: str) -> None:
    price = known("anthropic", "claude-3-haiku")
    assert price.in_tier(tier).base == price.base


@pytest.mark.parametrize("tier", ["priority", "fast", "nobody knows this"])
def test_a_dear_tier_without_a_price_costs_as_many_times_as_the_dearest_known(tier: str) -> None:
    price = known("openai", "gpt-3.5-turbo")
    assert price.in_tier(tier).base.output == price.base.output * Decimal("2.5")


@pytest.mark.parametrize(
    ("provider", "model", "tier"), [("anthropic", "claude-opus-5", "priority"), ("openai", "gpt-5.4", "scale")]
)
def test_capacity_that_was_bought_ahead_costs_the_usual(provider: str, model: str, tier: str) -> None:
    price = known(provider, model)
    assert price.in_tier(tier).base == price.base


def test_a_tier_at_a_provider_that_borrows_its_list_is_never_cheaper() -> None:
    price = known("azure", "o3")
    assert price.in_tier("flex").base.input == price.base.input
    assert price.in_tier("priority").base.input > price.base.input


def test_a_stated_cost_in_a_tier_is_the_price_in_it() -> None:
    price = known("openai", "gpt-3.5-turbo", stated(input_priority="0.001", output_priority="0.002"))
    assert cost(price.in_tier("priority"), Usage(10, 20)) == 50_000_000


def test_a_stated_cost_is_as_much_dearer_in_a_dear_tier_as_the_listed_one() -> None:
    # gpt-5.4 costs twice as much with priority.
    price = known("openai", "gpt-5.4", stated(input="0.001"))
    assert [price.in_tier(tier).base.input for tier in ("priority", "flex")] == [2 * 10**12, 10**12]


@pytest.mark.parametrize(("tier", "times"), [("us", "1.1"), ("fast us", "2.2")])
def test_tokens_of_anthropics_cost_more_where_the_place_is_chosen(tier: str, times: str) -> None:
    # Data residency, Pricing: 1.1 times for all kinds of tokens, upon the other factors.
    price = known("anthropic", "claude-opus-5")
    dear = price.in_tier(tier).base
    assert [Decimal(dear[kind]) for kind in range(5)] == [price.base[kind] * Decimal(times) for kind in range(5)]
    assert dear.web_searches == price.base.web_searches


def test_a_place_costs_nothing_more_where_it_cannot_be_chosen() -> None:
    price = known("aws", "us.anthropic.claude-opus-4-5-20251101-v1:0")
    assert price.in_tier("us").base == price.base


def test_a_price_in_a_tier_says_so() -> None:
    assert known("openai", "gpt-5.4").in_tier("flex").source.endswith("openai/gpt-5.4, flex")


# --- on the wire


def test_a_price_of_an_earlier_version_costs_what_it_did() -> None:
    price = Price.from_wire(["old", [2, 3, 1, 4, 5, 6, 7, 8], [[100, [20, 30, 10, 40, 50, 60, 70, 80]]]])
    million = 10**6
    usage = Usage(15 * million, 30 * million, million, million, million, million, million, million)
    assert cost(price, usage) == 11 * 20 + 10 + 40 + 50 + 70 + 28 * 30 + 60 + 80


# --- how long answers become


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
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", 64_000),
        ("claude-sonnet-4-5@20250929", 64_000),
        ("gemini-2.5-pro", 65_536),
        ("models/gemini-3-pro-preview", 65_536),
        ("gemini-2.0-flash-lite", 8_192),
        ("nobody-knows-this", 16_384),
    ],
)
def test_an_answers_largest_size_is_known_by_family(model: str, tokens: int) -> None:
    assert max_output_tokens(model) == tokens


def test_a_family_that_is_not_known_can_fill_its_context_window() -> None:
    found = listed_model(None, "deepseek-chat")
    assert found is not None
    assert max_output_tokens("deepseek-chat") == found.context_window
