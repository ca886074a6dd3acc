"""Prices of the list that we use against those of LiteLLM's: two tables that different people keep agree.

LiteLLM's is part of its package, which is installed where the clients' tests have it: `make test` sees to that.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.ledger.listed.find import listed_model
from app.ledger.listed.model import LISTED_AS
from app.ledger.price_list import price_for
from tests.services.stack import REPOSITORY

# Of hours of the day with prices of their own LiteLLM has the dear ones.
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
TABLE = "litellm/model_prices_and_context_window_backup.json"
# By LiteLLM's name of a provider that of our list. Bedrock is left out: LiteLLM has other prices for each region.
PROVIDERS = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}
MODES = ("chat", "completion", "embedding", "responses")
KINDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
TEN_PERCENT = "Azure's data zones cost a tenth more; which one a deployment is in, its name does not say"
AN_ALIAS = "the name stands for another model in each of the tables"
OLD_PRICE = "one of the tables has the price of another year"
ROUNDED = "LiteLLM's has three digits"
DIFFERENT = {
    "azure/ada": TEN_PERCENT,
    "azure/gpt-4-turbo": TEN_PERCENT,
    "azure/gpt-4-turbo-2024-04-09": TEN_PERCENT,
    "azure/text-embedding-3-large": TEN_PERCENT,
    "azure/text-embedding-3-small": TEN_PERCENT,
    "azure/text-embedding-ada-002": TEN_PERCENT,
    "azure/us/o4-mini": TEN_PERCENT,
    "azure/us/o4-mini-2025-04-16": TEN_PERCENT,
    "azure/eu/o4-mini": TEN_PERCENT,
    "azure/eu/o4-mini-2025-04-16": TEN_PERCENT,
    "groq/openai/gpt-oss-safeguard-20b": ROUNDED,
    "mistral/magistral-medium-latest": AN_ALIAS,
    "mistral/magistral-small-latest": AN_ALIAS,
    "mistral/mistral-large-latest": AN_ALIAS,
    "mistral/mistral-medium": AN_ALIAS,
    "mistral/open-mistral-nemo": OLD_PRICE,
    "deepseek-chat": AN_ALIAS,
    "deepseek-reasoner": AN_ALIAS,
    "deepseek/deepseek-chat": AN_ALIAS,
    "deepseek/deepseek-reasoner": AN_ALIAS,
    "deepseek/deepseek-v3.2": OLD_PRICE,
    "xai/grok-code-fast": OLD_PRICE,
    "xai/grok-code-fast-1": OLD_PRICE,
    "xai/grok-code-fast-1-0825": OLD_PRICE,
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo": OLD_PRICE,
    "together_ai/Qwen/Qwen3.8-2.4T-A95B": OLD_PRICE,
    "together_ai/mistralai/Mixtral-8x7B-Instruct-v0.1": OLD_PRICE,
    "fireworks_ai/accounts/fireworks/models/llama-v3p1-8b-instruct": OLD_PRICE,
    "fireworks_ai/accounts/fireworks/models/gemma-3-27b-it": OLD_PRICE,
    "fireworks_ai/accounts/fireworks/models/deepseek-v4-flash-0731": OLD_PRICE,
    "fireworks_ai/accounts/fireworks/models/deepseek-v4-pro": OLD_PRICE,
}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    found = sorted(Path(REPOSITORY).glob(f".venv-clients/lib/python*/site-packages/{TABLE}"))
    if not found:
        pytest.fail("LiteLLM is not installed in .venv-clients, where its price table is read; `make test` installs it")
    read: dict[str, dict[str, Any]] = json.loads(found[0].read_bytes())
    return {name: one for name, one in read.items() if one.get("litellm_provider") in PROVIDERS}


def differences(name: str, one: dict[str, Any]) -> dict[str, tuple[int, int]] | None:
    """Femto-dollars per token, ours and theirs, by kind that both have a price of; None where we do not know it."""
    provider, model = PROVIDERS[one["litellm_provider"]], name.removeprefix(f"{one['litellm_provider']}/")
    price, found = price_for(provider, model, at=NOW), listed_model(provider, model)
    if price is None or found is None or one.get("mode") not in MODES:
        return None
    listed = found.prices(NOW)
    pairs = {
        kind: (getattr(price.base, kind), round(Decimal(str(one[theirs])) * 10**15))
        for kind, theirs in KINDS.items()
        if theirs in one and any(price_name in listed for price_name in LISTED_AS[kind][0])
    }
    # Floating point numbers are exact to less than a femto-dollar.
    return {kind: pair for kind, pair in pairs.items() if abs(pair[0] - pair[1]) > 1}


def test_prices_that_both_tables_have_are_the_same(table: dict[str, dict[str, Any]]) -> None:
    found = {name: differences(name, one) for name, one in table.items()}
    assert {name: pairs for name, pairs in found.items() if pairs and name not in DIFFERENT} == {}


def test_hundreds_of_models_are_compared(table: dict[str, dict[str, Any]]) -> None:
    assert sum(differences(name, one) is not None for name, one in table.items()) > 300


def test_every_exception_is_one(table: dict[str, dict[str, Any]]) -> None:
    same = {name for name in DIFFERENT if name in table and not differences(name, table[name])}
    assert same == set()
