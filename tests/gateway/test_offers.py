"""An offer has the price of the moment, and what a call may cost is that of the dearest offer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.gateway.offers import dearest, largest_cap, offer
from app.ledger.usage import Usage
from app.model_list import Deployment
from app.price_names import Place, Stated

FLASH = Deployment("d1", "m", "mock", "deepseek-v4-flash", price_provider="deepseek", mock_response="Hi")


def at(monkeypatch: pytest.MonkeyPatch, hour: int, minute: int) -> int | None:
    moment = datetime(2026, 11, 20, hour, minute, tzinfo=UTC).timestamp()
    monkeypatch.setattr(time, "time", lambda: moment)
    price = offer(FLASH).price
    return None if price is None else price.base.input


def test_a_price_that_changes_by_the_hour_changes_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, later = (at(monkeypatch, *when) for when in ((0, 59), (1, 0), (4, 0)))
    assert before == later != after


def costing(identity: str, **dollars: str) -> Deployment:
    costs: Stated = tuple((Place(kind), Decimal(amount)) for kind, amount in dollars.items())
    return Deployment(identity, "m", "mock", "on-no-list", price_provider="x", mock_response="Hi", costs=costs)


def test_the_dearest_offer_decides() -> None:
    offers = [offer(costing("cheap", input="0.001", output="0.001")), offer(costing("dear", input="0.002", output="0"))]
    assert dearest(offers, "chat/completions", 10, 0, 1) == 20_000_000


def test_what_is_no_token_is_bounded_too() -> None:
    offers = [offer(costing("d", images="0.04"))]
    assert dearest(offers, "images/generations", 100, None, 1, Usage(0, 0, images=3)) == 120_000_000


def test_a_service_tier_is_part_of_the_bound() -> None:
    offers = [offer(costing("d", input="0.001", output="0.001"))]
    assert dearest(offers, "embeddings", 10, None, 1, tier="priority") == 25_000_000
    assert largest_cap(offers, "chat/completions", 10, 1, 50_000_000, tier="priority") == 10


def test_a_default_price_is_that_of_a_deployment_without_any() -> None:
    default: Stated = ((Place("input"), Decimal("0.001")), (Place("output"), Decimal("0.002")))
    price = offer(Deployment("d", "m", "openai", "on-no-list", default_costs=default)).price
    assert price is not None
    assert price.source == "default price"
