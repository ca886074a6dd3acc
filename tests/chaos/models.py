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
# The first deployment fails, and the second, which has room for a few, answers; the model that fails has a stand-in.
SHAKY, FAILING, STAND_IN = "shaky", "failing", "quick"
FAILS = "status-500-slow-0.05"
ROOM = 4
# What callers of models that fail are told where their stand-in is refused, or finds no room.
FAILURES = ("500 None", "429 deployment_limit")


def config(provider_url: str) -> dict[str, Any]:
    """config.yaml: each model is a deployment at the scripted provider."""

    def entry(name: str, model: str, **more: Any) -> dict[str, Any]:
        params = {"model": f"openai/{model}", "api_base": f"{provider_url}/v1", "api_key": "sk-provider", "timeout": 10}
        costs = {"input_cost_per_token": INPUT_PRICE, "output_cost_per_token": OUTPUT_PRICE}
        return {"model_name": name, "litellm_params": params | costs | more}

    models = [entry(name, model) for name, model in (WHOLE | STREAMED).items()]
    models += [entry(SHAKY, f"{FAILS}-of-{SHAKY}", order=1), entry(FAILING, f"{FAILS}-of-{FAILING}")]
    models.append(entry(SHAKY, f"{USAGE}-slow-0.3", order=2, max_parallel_requests=ROOM))
    router = {
        # Each call of the other models is one attempt.
        "num_retries": 0,
        "model_group_retry_policy": {SHAKY: {"InternalServerErrorRetries": 1}},
        "fallbacks": [{FAILING: [STAND_IN]}],
        "cooldown_time": 1,
    }
    return {"model_list": models, "router_settings": router}
