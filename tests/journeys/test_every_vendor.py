"""A call costs the same at every vendor, streamed and not, in its own words and translated, and its row says whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.conftest import Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider

# A hundred tokens in, forty of them from the cache, and fifty out, twenty of them of reasoning.
OPENAIS, ANTHROPICS = "tokens-100-50-cached-40-reasoning-20", "tokens-100-50-cached-40"
COSTS = {
    "input_cost_per_token": 0.0001,
    "output_cost_per_token": 0.001,
    "cache_read_input_token_cost": 0.00001,
    "output_cost_per_reasoning_token": 0.002,
}
CHAT, MESSAGES, RESPONSES = "chat/completions", "messages", "responses"
# Those who are not asked for usage in a stream, and whose usage has more in it, have tests of their own.
VENDORS = [
    *((vendor, "/v1", OPENAIS) for vendor in ("openai", "openai_like", "groq", "deepseek", "together_ai")),
    *((vendor, "/v1", OPENAIS) for vendor in ("fireworks_ai", "openrouter", "cohere", "hosted_vllm", "xai")),
    *((vendor, "", OPENAIS) for vendor in ("ollama", "azure")),
    ("anthropic", "", ANTHROPICS),
]
WITH_RESPONSES = {"openai", "azure", "groq", "fireworks_ai", "openrouter", "xai", "ollama", "hosted_vllm"}
CALLS = [
    (*vendor, route)
    for vendor in VENDORS
    for route in (CHAT, MESSAGES, RESPONSES)
    if route != RESPONSES or vendor[0] in WITH_RESPONSES
]


def asked(route: str, model: str, *, stream: bool) -> dict[str, Any]:
    if route == RESPONSES:
        return {"model": model, "input": "hi", "max_output_tokens": 100, "stream": stream}
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100, "stream": stream}


@pytest.mark.parametrize(("vendor", "path", "behaviour", "route"), CALLS)
def test_a_call_costs_the_same_streamed_and_not(
    admin: Person,
    person: Callable[..., Person],
    ada: str,
    provider: ScriptedProvider,
    vendor: str,
    path: str,
    behaviour: str,
    route: str,
) -> None:
    params = {"model": f"{vendor}/{behaviour}", "api_base": provider.url + path, "api_key": "sk-provider"} | COSTS
    made = admin.post("/model/new", {"model_name": f"of-{ada}", "litellm_params": params})
    assert made.status_code == 200, made.text
    caller = person(user_id=ada, max_budget=5)
    answers = [caller.post(f"/v1/{route}", asked(route, f"of-{ada}", stream=stream)) for stream in (False, True)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    until(lambda: len(admin.get("/spend/logs", user_id=ada).json()) == 2)
    rows = admin.get("/spend/logs", user_id=ada).json()
    reasoning = 0 if behaviour == ANTHROPICS else 20
    cost = 60 * 0.0001 + 40 * 0.00001 + (50 - reasoning) * 0.001 + reasoning * 0.002
    assert [row["spend"] for row in rows] == pytest.approx([cost, cost])
    assert [(row["usage_source"], row["status"]) for row in rows] == [("provider", "success")] * 2
    assert {row["custom_llm_provider"] for row in rows} == {vendor}
