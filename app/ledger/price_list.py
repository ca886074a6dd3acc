"""Prices from the price list and from what config.yaml states, compiled to integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache

from app.ledger.listed.find import all_models, list_source, listed_model
from app.ledger.listed.model import LISTED_AS, Model, Prices, TieredPrice
from app.ledger.pricing import CHEAP_TIERS, DEAR_TIERS, FEMTO_PER_DOLLAR, PLACES, UNKNOWN_TIER, Price, Rates
from app.ledger.usage import KINDS
from app.price_names import Place, Stated

# By whose models are listed: the tiers that are capacity bought ahead, at a discount (Anthropic, "Service tiers"). They
# are given without being asked for, and cost callers the usual.
BOUGHT_AHEAD = {"anthropic": ("priority",)}
TOKENS = ("input", "output")
ZERO = Decimal(0)
# What a model can be paid by that is not paid by its tokens.
PIECES = ("images", "audio_ms", "characters", "requests", "pages")
# The kinds of them, and searches in the web, that the list has prices of.
NO_TOKENS = ("web_searches", "audio_ms", "characters", "pages")
# The same as rates.
PIECED = ("web_searches", "images", "audio_hour", "characters", "requests", "pages")
# What is paid by tokens where it has no price of its own.
BY_TOKENS = ("images", "audio_ms", "characters", "pages")
# Above what vendors document for one image of the largest size and quality (OpenAI's "Image generation" guide: 6,240).
MOST_TOKENS_OF_AN_IMAGE = 16_384

# Dollars for one of each kind, or for an hour of audio.
Dollars = dict[str, Decimal]
# The list's prices by our kinds: dollars for one, or for so many as LISTED_AS says.
Listed = dict[str, Decimal | TieredPrice]


@dataclass(frozen=True, slots=True)
class _Sources:
    """All that is known of a model's price in one service tier.

    `stated` goes before `listed`. `dearness` is how many times a dear tier costs what is stated for the standard.
    """

    listed: Listed
    stated: Mapping[Place, Decimal]
    tier: str = ""
    dearness: Decimal = Decimal(1)
    provider: str = ""


def price_for(
    provider: str, model: str, stated: Stated = (), *, default: Stated = (), at: datetime | None = None
) -> Price | None:
    """The price of a provider's model, or None where it is not known.

    What is `stated` in config.yaml wins over the list, kind by kind: without a size it holds for all sizes of the
    input. `default` is for a model of which nothing is known. A list may know of a change to come, and of hours of the
    day: `at` (default: now) is the moment whose price counts.
    """
    at = at or datetime.now(tz=UTC)
    found = listed_model(provider, model)
    listed = {} if found is None else _of_our_kinds(found.prices(at))
    sources = _Sources(listed, dict(stated), provider="" if found is None else found.provider)
    names = ["config"] if stated else []
    if found is not None and listed:
        names.append(f"{list_source()} {found.provider}/{found.id}")
    standard = _price(sources, ", ".join(names))
    if standard is None:
        standard = _price(_Sources({}, dict(default)), "default price")
        return standard and replace(standard, served=_multiplied(standard))
    served = _multiplied(standard) | dict.fromkeys(BOUGHT_AHEAD.get(sources.provider, ()), standard)
    for tier in (*CHEAP_TIERS, *DEAR_TIERS):
        if (one := _in_tier(sources, standard, found, tier, at)) is not None:
            served[tier] = one
    for place, factor in PLACES.items():
        # Elsewhere a place is a model, a region or an address of its own, and so is its price.
        times = factor if sources.provider == "anthropic" else Decimal(1)
        served |= {f"{tier} {place}": _tokens_times(served[tier], times, place) for tier in DEAR_TIERS}
        served[place] = _tokens_times(standard, times, place)
    return replace(standard, served=served)


def _in_tier(sources: _Sources, standard: Price, found: Model | None, tier: str, at: datetime) -> Price | None:
    """The price in a service tier that has one of its own, listed or stated; else None."""
    listed = None if found is None else _listed_in_tier(found, tier, at)
    if listed is None and not any(place.tier == tier for place in sources.stated):
        return None
    dearness = Decimal(1)
    if tier in DEAR_TIERS:
        ratios = [] if listed is None else list(_ratios(sources.listed, listed))
        dearness = max(ratios, default=_dearest_factors()[tier])
    own = replace(sources, listed=sources.listed if listed is None else listed, tier=tier, dearness=dearness)
    return _price(own, f"{standard.source}, {tier}")


def _listed_in_tier(model: Model, tier: str, at: datetime) -> Listed | None:
    """The list's prices in a service tier. A cheap one is believed only of the provider for whom it is listed."""
    if not model.has_tier(tier, at) or (tier in CHEAP_TIERS and not model.own):
        return None
    return _of_our_kinds(model.prices(at, tier))


def _multiplied(standard: Price) -> dict[str, Price]:
    """The prices in tiers of which nothing is known."""
    factors = _dearest_factors()
    dear = {
        tier: Price(
            _times(standard.base, factor),
            f"{standard.source}, {tier}: {factor.normalize()} times",
            tuple((start, _times(rates, factor)) for start, rates in standard.tiers),
            standard.by_tokens,
        )
        for tier, factor in factors.items()
    }
    return dict.fromkeys(CHEAP_TIERS, standard) | dear


def _tokens_times(price: Price, factor: Decimal, name: str) -> Price:
    """A price whose tokens cost so many times as much, and everything else as before."""
    dear = {
        start: _times(rates, factor)._replace(
            **{kind: getattr(rates, kind) for kind in Rates._fields if kind in PIECED}
        )
        for start, rates in ((0, price.base), *price.tiers)
    }
    return Price(dear.pop(0), f"{price.source}, {name}: {factor} times", tuple(dear.items()), price.by_tokens)


def _times(rates: Rates, factor: Decimal) -> Rates:
    return Rates(*(int((rate * factor).to_integral_value(ROUND_CEILING)) for rate in rates))


@cache
def _dearest_factors() -> dict[str, Decimal]:
    """By dear tier: the most times that any listed model costs its standard price in it."""
    at, factors = datetime.now(tz=UTC), dict.fromkeys(DEAR_TIERS, Decimal(1))
    for model in all_models():
        for tier in DEAR_TIERS:
            if (listed := _listed_in_tier(model, tier, at)) is not None:
                factors[tier] = max(factors[tier], *_ratios(_of_our_kinds(model.prices(at)), listed))
    return factors | {UNKNOWN_TIER: max(factors.values())}


def _ratios(standard: Listed, listed: Listed) -> Iterator[Decimal]:
    """How many times the standard price of a small call each kind of token costs."""
    for kind, price in listed.items():
        usual = _at_size(standard[kind], 0) if kind in standard else 0
        if usual and kind not in PIECES:
            yield _at_size(price, 0) / usual


def _dearest_piece(kind: str, provider: str) -> Decimal:
    """The dearest price that the list has for a kind that is no token: at that provider, else anywhere."""
    found = _dearest_pieces()[kind]
    return found.get(provider, found.get("", ZERO))


@cache
def _dearest_pieces() -> dict[str, dict[str, Decimal]]:
    """By kind that is no token, and by provider ("": all of them): the dearest price that the list has."""
    at = datetime.now(tz=UTC)
    found: dict[str, dict[str, Decimal]] = {kind: {} for kind in NO_TOKENS}
    for model in all_models():
        prices = model.prices(at)
        for kind, dearest in found.items():
            names, per = LISTED_AS[kind]
            for price in (prices[name] for name in names if name in prices):
                for place in ("", model.provider):
                    dearest[place] = max(dearest.get(place, ZERO), _at_size(price, 0) / per)
    return found


def _of_our_kinds(prices: Prices) -> Listed:
    there = {kind: [prices[name] for name in names if name in prices] for kind, (names, _) in LISTED_AS.items()}
    return {kind: found[0] for kind, found in there.items() if found}


def _price(sources: _Sources, source: str) -> Price | None:
    """Compiles one price; None where too little is known: what a call is paid by."""
    known = _known(sources, 0)
    needed = TOKENS if not sources.listed else ("input",)
    if not all(kind in known for kind in needed) and not any(kind in known for kind in PIECES):
        return None
    raised = (price.tiers for price in sources.listed.values() if isinstance(price, TieredPrice))
    starts = {start for tiers in raised for start, _ in tiers}
    starts |= {place.above for place in sources.stated if place.above and place.tier in ("", sources.tier)}
    has_tokens = any(kind in known for kind in TOKENS)
    return Price(
        _complete(known, sources.provider),
        source,
        tuple((start, _complete(_known(sources, start + 1), sources.provider)) for start in sorted(starts)),
        tuple(kind for kind in BY_TOKENS if has_tokens and kind not in known),
    )


def _known(sources: _Sources, input_tokens: int) -> Dollars:
    """Dollars for one of each kind that has a price of its own, in a call of that many input tokens."""
    known = {kind: _at_size(price, input_tokens) / LISTED_AS[kind][1] for kind, price in sources.listed.items()}
    for tier, times in (("", sources.dearness), (sources.tier, Decimal(1))):
        of_tier = sorted((place.above, place) for place in sources.stated if place.tier == tier)
        for above, place in of_tier:
            if not above or input_tokens > above:
                known[place.kind] = sources.stated[place] * times
    return known


def _at_size(price: Decimal | TieredPrice, input_tokens: int) -> Decimal:
    """A listed price as it is for a call of that many input tokens."""
    if isinstance(price, TieredPrice):
        reached = [dollars for start, dollars in price.tiers if input_tokens > start]
        return reached[-1] if reached else price.base
    return price


def _complete(known: Dollars, provider: str) -> Rates:
    """A kind of token without a price falls back to the kind that it is part of, never to 0.

    Cached audio is part of two: the dearer of those that have a price of their own counts. Embedding models have no
    output price and no output; their output rate is the input's. A search in the web costs as much as the dearest that
    the provider lists, or anybody; so does what is paid by tokens where there are none. Requests cost nothing.
    """
    fresh = known.get("input", known.get("output", ZERO))
    output = known.get("output", fresh)
    write_5m = known.get("cache_write_5m", fresh)
    dollars = {
        "input": fresh,
        "output": output,
        "cache_read": fresh,
        "cache_write_5m": write_5m,
        "cache_write_1h": max(fresh, write_5m),
        "reasoning": output,
        "audio_input": fresh,
        "audio_output": output,
        "cache_read_audio": _cached("audio_input", known, fresh),
        "cache_read_image": _cached("image_input", known, fresh),
        "image_input": fresh,
        "image_output": output,
        "images": MOST_TOKENS_OF_AN_IMAGE * max(output, known.get("image_output", output)),
    }
    pieces = {kind: _dearest_piece(kind, provider) for kind in NO_TOKENS}
    if not any(kind in known for kind in TOKENS):
        pieces |= dict.fromkeys(BY_TOKENS, ZERO)
    dollars |= pieces | {"requests": ZERO} | known
    return Rates(*(_femto(dollars[kind]) for kind in KINDS))


def _cached(medium: str, known: Dollars, fresh: Decimal) -> Decimal:
    return max((known[kind] for kind in (medium, "cache_read") if kind in known), default=fresh)


def _femto(dollars: Decimal) -> int:
    return int((dollars * FEMTO_PER_DOLLAR).to_integral_value(ROUND_CEILING))
