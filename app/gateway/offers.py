"""An offer: one deployment that could serve a call, with where it lives and what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from app.gateway.asked import Asked
from app.ledger.context_windows import context_window
from app.ledger.output_sizes import max_output_tokens
from app.ledger.price_list import price_for
from app.ledger.pricing import ONE_REQUEST, Price, estimate
from app.ledger.usage import Usage
from app.model_list import Deployment
from app.providers import provider_of
from app.providers.base import LocalProvider, Provider, Target, WireFormat
from app.vendors import SECRET_OPTIONS

# A price may change by date or by the hour of the day: it is looked up again when so many seconds have passed, counted
# from the epoch. Prices change at full quarters of an hour.
PRICE_SECONDS = 900
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

    def without_secrets(self, said: bytes) -> bytes:
        """An error's text may quote the key that we sent."""
        for secret in self.secrets:
            said = said.replace(secret.encode(), b"[redacted]")
        return said

    def format_of(self, route: str) -> WireFormat:
        """How the provider is spoken to on a route that it has."""
        return self.provider.formats[route]


def offer(deployment: Deployment) -> Offer:
    """The offer of a deployment, at the price of this moment."""
    return _offer(deployment, int(time.time()) // PRICE_SECONDS)


@lru_cache(maxsize=10_000)
def _offer(deployment: Deployment, period: int) -> Offer:
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
        price=price_of(deployment, datetime.fromtimestamp(period * PRICE_SECONDS, UTC)),
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


def price_of(deployment: Deployment, at: datetime) -> Price | None:
    """What a deployment costs at that moment; None where nobody knows it."""
    model = deployment.base_model or deployment.model
    return price_for(deployment.price_provider, model, deployment.costs, default=deployment.default_costs, at=at)


def dearest(
    offers: Sequence[Offer],
    route: str,
    input_bound: int,
    output_cap: int | None,
    choices: int,
    others: Usage = ONE_REQUEST,
    tier: str | None = None,
) -> int:
    """What the call may cost at the most on any of the offers: nano-dollars. An offer without a price counts as 0.

    `others` bounds what is no token (images, characters, …), `tier` is the service tier that it asks for.
    """
    return max(
        (
            estimate(one.price, input_bound, _output_bound(one, route, output_cap, choices), others, tier)
            for one in offers
            if one.price is not None
        ),
        default=0,
    )


def _output_bound(one: Offer, route: str, output_cap: int | None, choices: int) -> int:
    if route not in GENERATING:
        return 0
    return (one.max_output if output_cap is None else output_cap) * choices


def largest_cap(
    offers: Sequence[Offer],
    route: str,
    input_bound: int,
    choices: int,
    money: int,
    others: Usage = ONE_REQUEST,
    tier: str | None = None,
) -> int:
    """The largest output cap with which the call costs at most `money` nano-dollars on every offer; 0: none.

    `others` and `tier` as in `dearest`.
    """
    if dearest(offers, route, input_bound, 0, choices, others, tier) > money:
        return 0
    low, high = 0, max(one.max_output for one in offers)
    while low < high:
        middle = (low + high + 1) // 2
        if dearest(offers, route, input_bound, middle, choices, others, tier) <= money:
            low = middle
        else:
            high = middle - 1
    return low
