"""The models of the chaos journey: what the provider says for each, and what that costs."""

from __future__ import annotations

from typing import Any

INPUT_TOKENS = 20
OUTPUT_TOKENS = 100
# Dollars a token.
INPUT_PRICE = 0.0001
OUTPUT_PRICE = 0.001
# What every answer costs by the provider's own count, in nano-dollars.
COST = 102_000_000

USAGE = f"tokens-{INPUT_TOKENS}-{OUTPUT_TOKENS}"
# Whole answers, and streams. Their text is short enough that it never counts for more than what a call holds.
WHOLE = {"quick": f"{USAGE}-slow-0.05", "slow": f"{USAGE}-slow-1"}
STREAMED = {"brief": f"{USAGE}-chunks-12-gap-0.05", "long": f"{USAGE}-chunks-40-gap-0.1"}


def config(provider_url: str) -> dict[str, Any]:
    """config.yaml: each model is a deployment at the scripted provider."""

    def entry(name: str, model: str) -> dict[str, Any]:
        params = {"model": f"openai/{model}", "api_base": f"{provider_url}/v1", "api_key": "sk-provider", "timeout": 10}
        costs = {"input_cost_per_token": INPUT_PRICE, "output_cost_per_token": OUTPUT_PRICE}
        return {"model_name": name, "litellm_params": params | costs}

    models = [entry(name, model) for name, model in (WHOLE | STREAMED).items()]
    # Each call is one attempt, so that calls and rows can be compared one by one.
    return {"model_list": models, "router_settings": {"num_retries": 0, "disable_cooldowns": True}}
