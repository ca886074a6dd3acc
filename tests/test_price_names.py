"""Prices have LiteLLM's names, in dollars per token, and names of our own, in dollars per million."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.ledger.usage import KINDS
from app.price_names import NAMES, Place, meaning


@pytest.mark.parametrize(
    ("name", "place", "dollars"),
    [
        ("input_cost_per_token", Place("input"), "1"),
        ("cache_creation_input_token_cost", Place("cache_write_5m"), "1"),
        ("cache_creation_input_token_cost_above_1hr", Place("cache_write_1h"), "1"),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", Place("cache_write_1h", "", 200_000), "1"),
        ("output_cost_per_token_above_200k_tokens", Place("output", "", 200_000), "1"),
        ("input_cost_per_token_above_272k_tokens_priority", Place("input", "priority", 272_000), "1"),
        ("output_cost_per_token_flex", Place("output", "flex"), "1"),
        ("input_cost_per_token_batches", Place("input", "batch"), "1"),
        ("output_cost_per_reasoning_token", Place("reasoning"), "1"),
        ("input_cost_per_audio_token", Place("audio_input"), "1"),
        ("cache_read_input_image_token_cost", Place("cache_read_image"), "1"),
        ("output_cost_per_image", Place("images"), "1"),
        ("output_cost_per_image_token", Place("image_output"), "1"),
        ("input_cost_per_second", Place("audio_ms"), "3600"),
        ("input_cost_per_character", Place("characters"), "1"),
        ("input_cost_per_query", Place("requests"), "1"),
        ("input_price_per_million", Place("input"), "0.000001"),
        ("output_price_per_million_above_200k", Place("output", "", 200_000), "0.000001"),
        ("cache_read_price_per_million_priority", Place("cache_read", "priority"), "0.000001"),
        ("characters_price_per_million", Place("characters"), "0.000001"),
        ("price_per_audio_minute", Place("audio_ms"), "60"),
        ("price_per_web_search", Place("web_searches"), "1"),
    ],
)
def test_a_name_says_what_a_price_is_for(name: str, place: Place, dollars: str) -> None:
    found = meaning(name)
    assert found is not None
    # The second is what one dollar under that name is for one unit, or for an hour of audio.
    assert (found.place, found.factor) == (place, Decimal(dollars))


@pytest.mark.parametrize(
    "name",
    [
        "input_cost",
        "input_cost_per_token_above_0k",
        "input_cost_per_token_soon",
        "price",
        "xinput_cost_per_token",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert meaning(name) is None


def test_every_kind_of_usage_can_have_a_price() -> None:
    found = [meaning(name) for name in NAMES]
    assert {one.place.kind for one in found if one is not None} == set(KINDS)
