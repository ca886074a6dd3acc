"""Events on their way to the ledger: in bytes and back, and those that earlier versions have left in the stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask

from app.extensions import write_transaction
from app.ledger import balances, post, rows
from app.ledger.event import UNPRICED, CallEvent
from tests.ledger.test_post import event

# As versions wrote it that left the arithmetic to the worker: the source, the rates in femto-dollars, the tiers by the
# size of the input, and the kinds that tokens pay for.
RATES = [2 * 10**6, 3 * 10**6, *[10**6] * 14, 7 * 10**6, 10**6]
DEAR = [20 * 10**6, *RATES[1:]]
PRICE = ["genai-prices 0.2.3 openai/gpt", RATES, [[100, DEAR]], ["images"]]


@pytest.fixture(autouse=True)
def database(gateway_app: Flask) -> Iterator[None]:
    with gateway_app.app_context():
        yield


def of_an_earlier_version(request_id: str, *attempts: tuple[list[int], list[Any] | None]) -> CallEvent:
    """What is read of an event whose attempts have these usages and prices."""
    written = orjson.loads(event(request_id).to_bytes())
    (attempt,) = written["attempts"]
    del attempt["cost"]
    written["attempts"] = [attempt | {"usage": usage, "price": price} for usage, price in attempts]
    return CallEvent.from_bytes(orjson.dumps(written))


def booked(one: CallEvent) -> list[tuple[int, str, int, int, int]]:
    """(cost, price, input tokens, output tokens, requests) of its rows."""
    with write_transaction() as session:
        post.post(session, [post.rows_of(one, None)])
    found, _ = rows.find(request_id=one.request_id)
    return [(row.cost, row.price, row.input_tokens, row.output_tokens, row.requests) for row in found]


def usage(**amounts: int) -> list[int]:
    return [amounts.get("input", 0), amounts.get("output", 0), *[0] * 14, amounts.get("requests", 0), 0]


def test_an_event_survives_its_bytes() -> None:
    assert CallEvent.from_bytes(event("r1").to_bytes()) == event("r1")


def test_an_event_of_an_earlier_version_is_booked_at_its_price() -> None:
    one = of_an_earlier_version(
        "r1",
        (usage(), PRICE),
        (usage(input=10, output=5, requests=1), PRICE),
        (usage(input=101), PRICE),
    )
    assert booked(one) == [
        (0, PRICE[0], 0, 0, 0),
        (10 * 2 + 5 * 3 + 7, PRICE[0], 10, 5, 1),
        (101 * 20, PRICE[0], 101, 0, 0),
    ]
    assert balances.spend([("user:ada", 0)])["user:ada", 0] == 42 + 2020


def test_an_event_of_an_earlier_version_without_a_price_is_booked_as_unpriced() -> None:
    assert booked(of_an_earlier_version("r1", (usage(input=9), None))) == [(0, UNPRICED, 9, 0, 0)]


def test_the_first_versions_knew_eight_kinds() -> None:
    price = ["old", [2 * 10**6, 3 * 10**6, *[10**6] * 6], []]
    assert booked(of_an_earlier_version("r1", ([4, 1, 0, 0, 0, 0, 0, 0], price))) == [(11, "old", 4, 1, 0)]


@pytest.mark.parametrize("amounts", [[-1, *[0] * 7], [0] * 19])
def test_a_usage_that_nobody_can_read_is_refused(amounts: list[int]) -> None:
    one = event("r1")
    one.attempts[0].usage = amounts
    with pytest.raises(ValueError, match="usage"):
        booked(one)
