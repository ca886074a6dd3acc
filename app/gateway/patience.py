"""How long a provider is waited for: the model's own times before the router's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.router_settings import Timeouts


@dataclass(slots=True)
class Patience:
    """Seconds of one attempt: to connect, until the first byte, between two pieces, and for all of it."""

    connect: float
    first: float
    idle: float
    length: float


def patience(router: Timeouts, own: Timeouts, *, stream: bool) -> Patience:
    """How long one deployment, which may have times of its own, is waited for."""
    timeout = own.timeout or router.timeout or math.inf
    # LiteLLM's stream_timeout is the wait for a stream's first chunk, and its timeout the time for a whole answer
    # ("Timeouts" in its documentation); a stream lasts as long as it does not fall silent.
    first = (own.stream_timeout or router.stream_timeout or timeout) if stream else timeout
    return Patience(
        connect=own.connect_timeout or router.connect_timeout or timeout,
        first=first,
        idle=own.idle_timeout or router.idle_timeout or timeout,
        length=min(own.total_timeout or math.inf, math.inf if stream else timeout),
    )


def total(router: Timeouts) -> float:
    """Seconds for a call with all that it takes: its attempts, its fallbacks, its stream."""
    return router.total_timeout or math.inf
