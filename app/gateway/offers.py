"""An offer: one deployment that could serve a call, with where it lives and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.gateway.asked import Asked
from app.ledger.context_windows import context_window
from app.ledger.pricing import Price, estimate, max_output_tokens, price_for
from app.model_list import Deployment
from app.providers import provider_of
from app.providers.base import LocalProvider, Provider, Target, WireFormat
from app.vendors import SECRET_OPTIONS

# Routes whose output is paid for; all others are paid by their input alone.
GENERATING = frozenset(
    {
        *("chat/completions", "completions", "messages", "responses", "responses/compact"),
        *("images/generations", "images/edits", "audio/speech", "audio/transcriptions", "audio/translations"),
    }
)


@dataclass(frozen=True, slots=True)
class Offer:
    """`price` is None where nobody knows it; `max_output` is tokens."""

    deployment: Deployment
    provider: Provider | LocalProvider
    target: Target
    price: Price | None
    max_output: int

    @property
    def secrets(self) -> list[str]:
        """What must not be told to a client."""
        options = (self.target.options.get(name) for name in SECRET_OPTIONS)
        return [secret for secret in (self.target.api_key, *options) if secret]

    def format_of(self, route: str) -> WireFormat:
        """How the provider is spoken to on a route that it has."""
        return self.provider.formats[route]


@lru_cache(maxsize=10_000)
def offer(deployment: Deployment) -> Offer:
    """The offer of a deployment. Prices are looked up once for each."""
    return Offer(
        deployment=deployment,
        provider=provider_of(deployment.provider, deployment.base_model or deployment.model),
        target=Target(
            model=deployment.model,
            api_base=deployment.api_base,
            api_key=deployment.api_key,
            api_version=deployment.api_version,
            mock_response=deployment.mock_response,
            options=dict(deployment.options),
        ),
        price=price_for(
            deployment.price_provider,
            deployment.base_model or deployment.model,
            input_cost_per_token=deployment.input_cost_per_token,
            output_cost_per_token=deployment.output_cost_per_token,
            cache_read_input_token_cost=deployment.cache_read_input_token_cost,
            cache_creation_input_token_cost=deployment.cache_creation_input_token_cost,
        ),
        max_output=deployment.max_output_tokens or max_output_tokens(deployment.base_model or deployment.model),
    )


def most_input(offers: Sequence[Offer], asked: Asked) -> int:
    """No deployment takes more input tokens for the call: what its body bounds, or what a model can read at all."""
    if not asked.unbounded_input:
        return asked.input_bound
    windows = (
        one.deployment.max_input_tokens
        or context_window(one.deployment.price_provider, one.deployment.base_model or one.deployment.model)
        for one in offers
    )
    return max(asked.input_bound, *windows)


def dearest(offers: Sequence[Offer], route: str, input_bound: int, output_cap: int | None, choices: int) -> int:
    """What the call may cost at the most on any of the offers: nano-dollars. An offer without a price counts as 0."""
    return max(
        (
            estimate(one.price, input_bound, _output_bound(one, route, output_cap, choices))
            for one in offers
            if one.price is not None
        ),
        default=0,
    )


def _output_bound(one: Offer, route: str, output_cap: int | None, choices: int) -> int:
    if route not in GENERATING:
        return 0
    return (one.max_output if output_cap is None else output_cap) * choices


def largest_cap(offers: Sequence[Offer], route: str, input_bound: int, choices: int, money: int) -> int:
    """The largest output cap with which the call costs at most `money` nano-dollars on every offer; 0: none."""
    if dearest(offers, route, input_bound, 0, choices) > money:
        return 0
    low, high = 0, max(one.max_output for one in offers)
    while low < high:
        middle = (low + high + 1) // 2
        if dearest(offers, route, input_bound, middle, choices) <= money:
            low = middle
        else:
            high = middle - 1
    return low
