"""What is held for a call is never less than what it is charged in the end, as far as a provider keeps to its caps."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateway.admit import estimated
from app.gateway.asked import Asked, Request, parse
from app.gateway.offers import Offer, most_input, offer
from app.ledger.pricing import cost
from app.ledger.usage import Usage
from app.model_list import Deployment

MODELS = [
    *(("openai", "openai", name) for name in ("gpt-4o", "gpt-5.4", "gpt-4o-audio-preview", "o3-mini", "gpt-3.5-turbo")),
    *(("anthropic", "anthropic", name) for name in ("claude-opus-5", "claude-sonnet-4-5", "claude-3-haiku-20240307")),
    *(("gemini", "google", name) for name in ("gemini-2.5-pro", "gemini-3-pro-preview")),
    ("perplexity", "perplexity", "sonar-pro"),
    ("xai", "x-ai", "grok-4"),
]
PARTS = st.sampled_from(
    [
        {"type": "text", "text": "π" * 50},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
)
TOOLS = st.sampled_from([{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}, {"googleSearch": {}}])
# By kind: what an adversary would have a provider tell.
SHARES = st.fixed_dictionaries(
    {kind: st.floats(0, 1) for kind in ("input", "read", "hour", "five", "audio", "output", "reasoning", "spoken")}
)


@st.composite
def conversations(draw: st.DrawFn) -> Asked:
    route = draw(st.sampled_from(["chat/completions", "messages", "responses"]))
    content = draw(st.lists(PARTS, min_size=1, max_size=4))
    body: dict[str, Any] = {"model": "m", "input" if route == "responses" else "messages": [{"content": content}]}
    body |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "max_output_tokens" if route == "responses" else "max_tokens": st.integers(1, 10_000),
                "tools": st.lists(TOOLS, max_size=2),
                "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
                "inference_geo": st.sampled_from(["global", "us"]),
                "n": st.integers(1, 3),
            },
        )
    )
    return parse(Request(route, orjson.dumps(body), {}))


def used(call: Asked, one: Offer, share: dict[str, float]) -> Usage:
    """A usage within the call's bounds."""
    read = int(most_input([one], call) * share["input"])
    cap = one.max_output if call.output_cap is None else call.output_cap
    written = int(cap * call.choices * share["output"])
    counts = {"input": read, "output": written, "web_searches": call.others.get("web_searches", 0), "requests": 1}
    left = read
    for kind, name in (("cache_read", "read"), ("cache_write_1h", "hour"), ("cache_write_5m", "five")):
        counts[kind] = int(left * share[name])
        left -= counts[kind]
    counts["audio_input"] = int(left * share["audio"])
    counts["reasoning"] = int(written * share["reasoning"])
    counts["audio_output"] = int((written - counts["reasoning"]) * share["spoken"])
    return Usage.from_counts(counts)


@settings(deadline=None, max_examples=400)
@given(
    call=conversations(),
    models=st.lists(st.sampled_from(MODELS), min_size=1, max_size=3),
    share=SHARES,
    served_as_asked=st.booleans(),
)
def test_no_call_costs_more_than_was_held_for_it(
    *, call: Asked, models: list[tuple[str, str, str]], share: dict[str, float], served_as_asked: bool
) -> None:
    offers = [offer(Deployment(name, "m", vendor, name, price_provider=prices)) for vendor, prices, name in models]
    held = estimated(call, offers, None)
    for one in offers:
        assert one.price is not None
        tier = call.tier if served_as_asked else None
        assert cost(one.price.in_tier(tier), used(call, one, share)) <= held
