"""The price list finds what genai-prices finds, and reads the same prices: all of its models, and any name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.listed import find
from app.ledger.listed.find import all_models, listed_model
from app.ledger.listed.model import LISTED_AS, Model, Prices, TieredPrice
from app.ledger.pricing import CHEAP_TIERS, DEAR_TIERS
from tests.ledger.listed_names import CONTEXT, patterns, texts
from tools import prices as written

TIERS = ("", *CHEAP_TIERS, *DEAR_TIERS)
USED = {name for names, _ in LISTED_AS.values() for name in names}
LONG_AGO, IN_YEARS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
# Without a zone, which Hypothesis adds.
START, END = (datetime.fromisoformat(day) for day in ("2023-01-01", "2028-01-01"))
EAST, WEST = timezone(timedelta(hours=8)), timezone(timedelta(hours=-9, minutes=-30))
MICROSECOND = timedelta(microseconds=1)

PROVIDERS = get_snapshot().providers
MODELS = [(provider, model) for provider in PROVIDERS for model in provider.models]
LISTED = list(all_models())
NAMES = {
    provider.id: sorted({name for model in provider.models for name in (model.id, *texts(model.match))})
    for provider in PROVIDERS
}
MATCHES = [
    *(one for provider in PROVIDERS for one in (provider.provider_match, provider.model_match) if one),
    *(model.match for _, model in MODELS),
]
ALL_NAMES = sorted({name for names in NAMES.values() for name in names})
PATTERNS = sorted({pattern for match in MATCHES for pattern in patterns(match)})
PROVIDER_NAMES = sorted(
    {
        *(provider.id for provider in PROVIDERS),
        *(text for provider in PROVIDERS for text in texts(provider.provider_match)),
    }
)


def there(provider: str | None, name: str) -> tuple[Provider, ModelInfo] | None:
    """What genai-prices finds."""
    try:
        return get_snapshot().find_provider_model(name, None, provider, None)
    except LookupError:
        return None


def prices_there(info: ModelInfo, at: datetime, tier: str) -> Prices:
    """The prices of genai-prices that we use."""
    prices: ModelPrice = info.get_prices(at, dict.fromkeys(CONTEXT, tier) if tier else None)
    return {name: read(price) for name, price in prices.__dict__.items() if name in USED and price is not None}


def read(price: Any) -> Decimal | TieredPrice:
    if isinstance(price, TieredPrices):
        return TieredPrice(price.base, tuple((tier.start, tier.price) for tier in price.tiers))
    assert isinstance(price, Decimal)
    return price


def has_tier_there(info: ModelInfo, at: datetime, tier: str) -> bool:
    context = dict.fromkeys(CONTEXT, tier)
    return any(
        (one.constraint is None or one.constraint.active(at))
        and all(context.get(name) == value for name, value in one.when.items())
        for one in info.price_variants or ()
    )


def moments(info: ModelInfo) -> Iterator[datetime]:
    """All on both sides of which prices differ, as several zones tell them, and as one who tells no zone."""
    conditional = [] if isinstance(info.prices, ModelPrice) else info.prices
    for constraint in [one.constraint for one in (*conditional, *(info.price_variants or ()))]:
        if (day := getattr(constraint, "start_date", None)) is not None:
            yield from around(datetime(day.year, day.month, day.day, tzinfo=UTC))
        for hour in (getattr(constraint, "start_time", None), getattr(constraint, "end_time", None)):
            if hour is not None:
                yield from around(datetime.combine(date(2026, 11, 20), hour, hour.tzinfo or UTC))
    yield from (LONG_AGO, IN_YEARS)


def around(moment: datetime) -> Iterator[datetime]:
    for one in (moment - MICROSECOND, moment, moment + MICROSECOND):
        yield from (one, one.astimezone(WEST), one.astimezone(UTC).replace(tzinfo=None))


def compare_prices(model: Model, info: ModelInfo, at: datetime) -> None:
    for tier in TIERS:
        assert model.prices(at, tier) == prices_there(info, at, tier), (model.provider, model.id, at, tier)
        assert model.has_tier(tier, at) == has_tier_there(info, at, tier), (model.provider, model.id, at, tier)


def compare(provider: str | None, name: str) -> None:
    ours, found = listed_model.__wrapped__(provider, name), there(provider, name)
    if found is None or ours is None:
        assert (ours, found) == (None, None), (provider, name)
        return
    own = any(found[1] is one for one in found[0].models)
    told = (found[0].id, own, found[1].id, found[1].context_window)
    assert ours[:4] == told, (provider, name)
    compare_prices(ours, found[1], datetime(2026, 11, 20, 12, tzinfo=UTC))


def test_every_model_is_listed_in_its_place() -> None:
    listed = [(one.provider, one.id, one.context_window, one.own) for one in LISTED]
    assert listed == [(provider.id, model.id, model.context_window, True) for provider, model in MODELS]


def test_every_model_has_the_same_prices_at_every_moment() -> None:
    for ours, (_, info) in zip(LISTED, MODELS, strict=True):
        for at in moments(info):
            compare_prices(ours, info, at)


NIGHT = TimeOfDateConstraint(time(22), time(4))
ELSEWHERE = TimeOfDateConstraint(time(1, tzinfo=EAST), time(9, 30, tzinfo=EAST))
SUMMER, WINTER = (StartDateConstraint(date(2026, month, 1)) for month in (6, 12))


@pytest.mark.parametrize(
    "constraints", [(NIGHT, None), (None, NIGHT), (SUMMER, WINTER), (WINTER, SUMMER), (SUMMER, ELSEWHERE), (ELSEWHERE,)]
)
def test_what_a_later_list_may_hold_has_the_same_prices_too(
    constraints: Sequence[StartDateConstraint | TimeOfDateConstraint | None],
) -> None:
    prices = [ModelPrice(input_mtok=Decimal(dollars), cache_write_mtok=Decimal(2)) for dollars in (3, 5)]
    variants = [
        PriceVariant({"service_tier": "flex", "speed": "flex"}, ModelPrice(input_mtok=Decimal("0.10")), constraints[0]),
        PriceVariant({"service_tier": "flex"}, ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(7))),
        PriceVariant({"service_tier": "fast", "speed": "flex"}, ModelPrice(input_mtok=Decimal(1))),
        PriceVariant({"service_tier": "fast", "route": "fast"}, ModelPrice(input_mtok=Decimal(1))),
        PriceVariant({"speed": "fast"}, ModelPrice(storage_searches_kcount=Decimal(1))),
    ]
    conditional = [ConditionalPrice(one, prices=price) for one, price in zip(constraints, prices, strict=False)]
    info = ModelInfo("made-up", ClauseEquals("made-up"), prices=conditional, price_variants=variants)
    listed = find._model("made-up", orjson.loads(orjson.dumps(written._model(info))), own=True)
    for at in moments(info):
        compare_prices(listed, info, at)


@pytest.mark.parametrize("provider", sorted(NAMES))
def test_every_name_in_a_rule_means_the_same_model(provider: str) -> None:
    for name in NAMES[provider]:
        compare(provider, name)


DATED = re.compile(r"-(\d{4})-(\d\d)-(\d\d)")


def test_a_day_in_a_name_may_be_written_without_dashes() -> None:
    dated = {(provider, name) for provider, names in NAMES.items() for name in names if DATED.search(name)}
    for provider, name in dated:
        for end in ("", ":free", "-preview", "1", "\n"):
            compare(provider, DATED.sub(r"-\1\2\3", name) + end)
    assert any(listed_model(provider, DATED.sub(r"-\1\2\3", name)) for provider, name in dated)


@pytest.mark.parametrize(
    "day", ["20260105", "20260231", "20261301", "19991231", "20\u0662\u0666011\u0665", "20260105:free"]
)
def test_a_name_with_any_day_may_be_written_without_dashes(day: str) -> None:
    for provider in ("openai", "azure", "openrouter"):
        for name in ("gpt-5.4", "openai/gpt-5.4", "gpt-5.6-sol"):
            compare(provider, f"{name}-{day}")


@pytest.mark.parametrize("borrower", [provider.id for provider in PROVIDERS if provider.fallback_model_providers])
def test_every_name_of_a_borrowed_list_means_the_same_model(borrower: str) -> None:
    [provider] = [one for one in PROVIDERS if one.id == borrower]
    for lender in provider.fallback_model_providers or ():
        for name in NAMES[lender]:
            compare(borrower, name)


def test_every_name_means_the_same_model_where_nobody_says_whose() -> None:
    for name in ALL_NAMES:
        compare(None, name)
        compare("litellm", name)
        compare("litellm", f"nobody/{name}")


@pytest.mark.parametrize("provider", PROVIDER_NAMES)
def test_every_name_of_a_provider_means_the_same_one(provider: str) -> None:
    for name in (provider, provider.upper(), f" {provider} ", f"{provider}-1", f"my{provider}", provider[1:]):
        for model in (*NAMES.get(provider, [])[:1], "gpt-4o", "claude-opus-4-6"):
            compare(name, model)
            compare("LiteLLM", f"{name}/{model}")


BEFORE = [
    "",
    "models/",
    "openai/",
    "us.",
    "anthropic.",
    "eu.anthropic.",
    "x-ai/",
    "/",
    "accounts/fireworks/models/",
    "x",
]
BEHIND = [
    "",
    "-20251211",
    "-20250231",
    "@20250929",
    "-2024-08-06",
    "-20251211:free",
    "-20251211-v1:0",
    ":free",
    "-latest",
    "\n",
]


@st.composite
def names(draw: st.DrawFn) -> str:
    """A name of the list's, or nearly."""
    name = draw(st.sampled_from(ALL_NAMES) | st.sampled_from(PATTERNS).flatmap(st.from_regex))
    at = draw(st.integers(0, len(name)))
    cut = draw(st.sampled_from([0, 0, 0, 1, 3]))
    name = name[:at] + draw(st.just("") | st.text(max_size=3)) + name[at + cut :]
    if draw(st.booleans()):
        name = DATED.sub(r"-\1\2\3", name)
    name = draw(st.sampled_from(BEFORE)) + name + draw(st.sampled_from(BEHIND))
    return draw(st.sampled_from([name, name, name.upper(), name.title()]))


@settings(max_examples=1_500, deadline=None)
@given(
    st.none()
    | st.sampled_from(PROVIDER_NAMES)
    | st.sampled_from(["litellm", "LITELLM ", "nobody", ""])
    | st.text(max_size=8),
    names(),
)
def test_any_name_means_the_same_model(provider: str | None, name: str) -> None:
    compare(provider, name)


@settings(max_examples=1_000, deadline=None)
@given(
    st.sampled_from(range(len(MODELS))),
    st.datetimes(START, END) | st.datetimes(START, END, timezones=st.timezones()),
)
def test_any_moment_has_the_same_prices(model: int, at: datetime) -> None:
    compare_prices(LISTED[model], MODELS[model][1], at)
