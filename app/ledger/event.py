"""A usage event: what the gateway says of one call, on its way from the Redis stream to the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any

import orjson

from app.ledger.pricing import Price, cost
from app.ledger.usage import Usage

UNPRICED = "unpriced"


# Not frozen, as nothing that is made for every call: a frozen one takes Python twice as long to make (2.6 µs, not 1.6).
@dataclass(slots=True)
class Attempt:
    """One try at one deployment. `usage` is in its wire form.

    `cost` is nano-dollars, and `price` says where the price is from; UNPRICED: none was known. `outcome` and
    `usage_source` are the ledger's words (see models/ledger.py). `tier` is the provider's word for how the call was
    served; "": as usual.
    """

    deployment_id: str
    provider: str
    model: str
    outcome: str
    http_status: int
    usage_source: str
    usage: list[int]
    cost: int
    price: str
    tier: str = ""


@dataclass(slots=True)
class CallEvent:
    """One call. Times are milliseconds of the epoch; `hold` is nano-dollars.

    `meters` are [meter, window start, 1 where a budget counts in that window]: the balances that the call's cost is
    part of. `end_user` is whom the caller named, `customer_id` who of the customers that is. An event without attempts
    is the template that stands in Redis while the call runs: it is booked, at the price of its hold, when the process
    dies.
    """

    request_id: str
    key_id: str
    token: str
    user_id: str | None
    end_user: str | None
    route: str
    model_name: str
    stream: bool
    started_ms: int
    hold: int
    meters: list[list[Any]]
    attempts: list[Attempt] = field(default_factory=list)
    first_byte_ms: int | None = None
    ended_ms: int | None = None
    team_id: str | None = None
    customer_id: str | None = None
    tags: list[str] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> CallEvent:
        """Raises ValueError, KeyError or TypeError where the bytes are no event."""
        values = orjson.loads(data)
        values["attempts"] = [_attempt(attempt) for attempt in values["attempts"]]
        # By their place: where values come by name, Python compares each with each. Earlier versions wrote fewer.
        return cls(*_of_call(values)) if len(values) == len(_CALL) else cls(**values)


_CALL = tuple(one.name for one in fields(CallEvent))
_ATTEMPT = tuple(one.name for one in fields(Attempt))
_of_call, _of_attempt = itemgetter(*_CALL), itemgetter(*_ATTEMPT)


def _attempt(values: dict[str, Any]) -> Attempt:
    if "cost" not in values:
        values = _priced(values)
    return Attempt(*_of_attempt(values)) if len(values) == len(_ATTEMPT) else Attempt(**values)


def _priced(attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt as earlier versions wrote it: with its whole price, or None, and without its cost."""
    if attempt["price"] is None:
        return attempt | {"cost": 0, "price": UNPRICED}
    price = Price.from_wire(attempt["price"])
    return attempt | {"cost": cost(price, Usage.from_wire(attempt["usage"])), "price": price.source}
