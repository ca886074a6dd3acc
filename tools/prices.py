"""Writes Tollgate's price list: what it uses of genai-prices, in a form that takes little memory (`make prices`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.metadata import distribution
from typing import Any

import orjson
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from app.ledger.listed.find import LIST, Rule
from app.ledger.listed.model import LISTED_AS, When, Written
from app.ledger.pricing import CHEAP_TIERS, DEAR_TIERS

PACKAGE = "genai-prices"
NAMES = {name for names, _ in LISTED_AS.values() for name in names}
# What the package chooses a price in a service tier by.
CONTEXT = {"service_tier", "speed", "processing"}
TEXTS = ("equals", "starts_with", "ends_with", "contains")


def price_list() -> bytes:
    """The whole file: the same bytes for the same version of the package."""
    written = (orjson.dumps(line, option=orjson.OPT_SORT_KEYS) for line in _lines())
    return b"\n".join(written) + b"\n"


def _lines() -> Iterator[Any]:
    yield {"from": PACKAGE, "version": distribution(PACKAGE).version, "licence": _licence()}
    for provider in get_snapshot().providers:
        yield _provider(provider)
        yield from (_model(model) for model in provider.models)


def _licence() -> str:
    """The package's licence, which asks to stand in every copy."""
    [path] = [path for path in distribution(PACKAGE).files or () if path.name == "LICENSE"]
    return path.read_text()


def _provider(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "named": provider.provider_match and _rule(provider.provider_match),
        "meant": provider.model_match and _rule(provider.model_match),
        "borrows": provider.fallback_model_providers or [],
    }


def _model(model: ModelInfo) -> list[Any]:
    stated = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    return [
        model.id,
        _rule(model.match),
        model.context_window,
        [[_when(one.constraint), _prices(one.prices)] for one in stated],
        [[*_tier(one), _when(one.constraint), _prices(one.prices)] for one in model.price_variants or () if _tier(one)],
    ]


def _tier(variant: PriceVariant) -> set[str]:
    """The one service tier whose price a variant is; none where it is for something else that callers cannot choose."""
    tiers = set(variant.when.values())
    return tiers & {*CHEAP_TIERS, *DEAR_TIERS} if len(tiers) == 1 and variant.when.keys() <= CONTEXT else set()


def _rule(match: Any) -> Rule:
    for clause in ("or", "and"):
        if (parts := getattr(match, f"{clause}_", None)) is not None:
            return {clause: [_rule(part) for part in parts]}
    for clause in TEXTS:
        if (text := getattr(match, clause, None)) is not None:
            return {clause: text.lower()}
    return {"regex": match.regex}


def _when(constraint: StartDateConstraint | TimeOfDateConstraint | None) -> When:
    if constraint is None:
        return None
    if isinstance(constraint, StartDateConstraint):
        return constraint.start_date.isoformat()
    ends = (datetime.combine(date(1970, 1, 1), one) for one in (constraint.start_time, constraint.end_time))
    return [(one if one.tzinfo is None else one.astimezone(UTC)).time().isoformat() for one in ends]


def _prices(prices: ModelPrice) -> Written:
    return {name: _price(price) for name, price in prices.__dict__.items() if name in NAMES and price is not None}


def _price(price: Any) -> str | list[Any]:
    if isinstance(price, TieredPrices):
        return [str(price.base), *([tier.start, str(tier.price)] for tier in price.tiers)]
    return str(price)


if __name__ == "__main__":
    # Never half of it, and not in place: running processes have read the former one.
    new = LIST.with_suffix(".new")
    new.write_bytes(price_list())
    new.replace(LIST)
