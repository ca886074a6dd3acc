"""What a call would take and cost: the gateway's own counting rule, and the prices that calls are settled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.access.callers import Caller
from app.errors import BadRequest, ModelNotAllowed, NotFound
from app.gateway.asked_input import input_bound
from app.gateway.finish import BYTES_PER_TOKEN
from app.gateway.offers import Offer, offer
from app.ledger.pricing import Price
from app.ledger.pricing import cost as cost_of
from app.ledger.usage import Usage
from app.routing.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Quote:
    """Nano-dollars of one call at the dearest of a model's deployments, and that deployment with its price."""

    cost: int
    price: Price
    offer: Offer


def allowed(catalog: Catalog, caller: Caller | None, model: str) -> str:
    """The model that a name stands for, where the caller (None: the master key) may use it. Raises ModelNotAllowed."""
    if caller is None:
        return model
    name = caller.aliases.get(model, model)
    if not caller.may_use(name, catalog.access_groups(name)):
        raise ModelNotAllowed(
            f"The model '{model}' is not available for this API key, or does not exist. GET /v1/models lists what is.",
            param="model",
        )
    return name


def offers(catalog: Catalog, model: str) -> list[Offer]:
    """Every deployment that may serve a model; empty where nobody knows it."""
    return [offer(deployment) for deployment in catalog.group(model)]


def tokens(content: Mapping[str, Any]) -> int:
    """Input tokens, counted as for an answer of which the provider tells no usage: bytes as JSON by three, rounded up.

    An image or a recording counts as a fixed number, whatever its size. Raises BadRequest for what cannot be written as
    JSON.
    """
    try:
        raw = orjson.dumps(content)
    except orjson.JSONEncodeError as error:
        raise BadRequest("The content is nested too deeply.", param="request_body") from error
    return -(-input_bound(raw, dict(content)) // BYTES_PER_TOKEN)


def quote(candidates: Sequence[Offer], model: str, usage: Usage, tier: str | None = None) -> Quote:
    """What a call with that usage costs in a service tier, by the provider's word for it.

    Raises NotFound for an unknown model, BadRequest where no price is known.
    """
    if not candidates:
        raise NotFound(f"The model '{model}' does not exist, or is switched off.", param="model")
    quotes = []
    for one in candidates:
        if one.price is None:
            raise BadRequest(
                f"The price of model '{model}' is not known. An admin can state it in config.yaml "
                "(input_price_per_million, output_price_per_million).",
                param="model",
            )
        price = one.price.in_tier(tier)
        quotes.append(Quote(cost_of(price, usage), price, one))
    return max(quotes, key=lambda one: one.cost)
