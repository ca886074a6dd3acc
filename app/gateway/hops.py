"""The hops of a call: the model that was asked for and, where it fails, those that stand in for it.

Each hop is a call of its own to the limits and to the ledger, admitted at its own price under its own access check. The
one before is booked, and what it held given back, before the next is admitted: a process that dies between two hops
leaves nothing behind but the rows of those that have ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.errors import TollgateError
from app.failures import Failure
from app.router_settings import Router
from app.routing.fallbacks import stand_ins


@dataclass(slots=True)
class Answer:
    """What goes back to the client: `body` is bytes as they come; it has a `close()` that must be called."""

    status: int
    headers: dict[str, str]
    body: Iterable[bytes]


class HopFailed(Exception):
    """A hop without a good answer, which is over and booked. Another model may do better.

    `model` is the one that failed; `counted` are the meters whose requests per minute the call is counted in.
    """

    def __init__(self, model: str, failure: Failure, said: Answer | TollgateError, counted: frozenset[str]) -> None:
        """`said` is what the client gets where nothing else answers."""
        super().__init__(f"{model}: {failure}")
        self.model = model
        self.failure = failure
        self.said = said
        self.counted = counted


@dataclass(frozen=True, slots=True)
class Hop:
    """The hop of that number, from 0; `model` None: the one that was asked for."""

    number: int = 0
    model: str | None = None
    counted: frozenset[str] = frozenset()

    def id_of(self, request_id: str) -> str:
        """Its request id: that of the call and, after it, the number of a hop that stands in."""
        return request_id if self.number == 0 else f"{request_id}-{self.number}"


FIRST = Hop()


def through(router: Router, call: Callable[[Hop], Answer], until: float = math.inf) -> Answer:
    """The answer of the first hop that has a good one; else what the first of all said.

    `call` raises HopFailed, or what refuses the hop: one that stands in is passed over then. None begins after `until`
    (time.monotonic()). Raises any TollgateError.
    """
    try:
        return call(FIRST)
    except HopFailed as failed:
        first = failed
    wanted = list(stand_ins(router, first.model, first.failure))
    tried, counted, number = {first.model}, first.counted, 0
    while wanted and number < router.max_fallbacks and time.monotonic() < until:
        model = wanted.pop(0)
        if model in tried:
            continue
        tried.add(model)
        number += 1
        try:
            return call(Hop(number, model, counted))
        except HopFailed as failed:
            counted |= failed.counted
            wanted = [*stand_ins(router, failed.model, failed.failure), *wanted]
        except TollgateError:
            # It is not for this caller, or does not fit into a limit: what the first hop said is the better answer.
            continue
    if isinstance(first.said, TollgateError):
        raise first.said
    return first.said
