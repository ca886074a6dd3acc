"""Asking for admission as the gateway does, and what stands in Valkey before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.extensions import redis
from app.ledger.event import CallEvent
from app.limits import admission
from app.limits.admission import Balance, Verdict
from app.limits.meters import EPOCH, WAKE, Meter, Tokens, asked_key, budget_key

LEASE_MS = 30_000
LONGEST_WAIT_SECONDS = 30


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


def ask(
    request_id: str, *meters: Meter, estimate: int = 0, tokens: Tokens = admission.NO_TOKENS, dry: bool = False
) -> Verdict:
    template = CallEvent(
        request_id=request_id,
        key_id="k1",
        token="0" * 64,
        user_id="ada",
        end_user=None,
        route="chat/completions",
        model_name="m",
        stream=False,
        started_ms=1,
        hold=estimate,
        meters=[[meter.name, meter.window_start, int(meter.max_budget is not None)] for meter in meters],
    ).to_bytes()
    return admission.admit(request_id, meters, [], estimate, LEASE_MS, template, tokens, dry=dry)


def end(request_id: str, *meters: Meter, cost: int = 0) -> None:
    admission.finish(request_id, meters, cost, b"event")


def seed(name: str, window_start: int, spend: int = 0, version: int = 0) -> None:
    admission.seed(Balance(name, window_start, spend, version))


def held(meter: Meter) -> int:
    return int(store().hget(budget_key(meter.name, meter.window_start), "held") or 0)


def contents() -> dict[bytes, tuple[bytes, int]]:
    """Every key with its value and the moment at which it expires; but for those that end by themselves in a moment."""
    keys = sorted(set(store().scan_iter(count=1000)) - {EPOCH.encode(), WAKE.encode()})
    return {key: (store().dump(key) or b"", store().pexpiretime(key)) for key in keys}


def stop_asking(request_id: str, *meters: Meter) -> None:
    """As if the process of this waiter had died long ago."""
    for meter in meters:
        store().zadd(asked_key(meter.name), {request_id: 1}, xx=True)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)
