"""Admission and its counterparts, each one atomic script: admit, finish, renew, seed, settled, abandon.

What Redis holds is what is in flight. What has been spent stands in SQL and is told to Redis; everything here can be
rebuilt from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.extensions import redis
from app.limits.meters import (
    CALLS,
    EPOCH,
    EVENTS,
    SETTLED,
    TEMPLATES,
    WAKE,
    WARMING,
    Meter,
    budget_key,
    holds_key,
    slots_key,
)
from app.limits.scripts import Argument, Script

# Counters that nothing has touched for a week are forgotten: SQL knows what was spent, and no call lasts that long.
IDLE_MS = 7 * 24 * 3600 * 1000
# While the worker is busy nobody needs to wake it. Should it die, the next call after this time wakes it again.
WAKE_MS = 1000

# How long a Redis without an epoch waits before it admits: longer than the web processes need to put back what they
# know.
WARM_UP_MS = 1500

Reason = Literal["permit", "cold", "stale", "unseeded", "exceeded", "held", "short", "parallel"]

_admit, _finish, _renew = Script("admit"), Script("finish"), Script("renew")
_seed, _settled, _abandon = Script("seed"), Script("settled"), Script("abandon")
_restore, _warm = Script("restore"), Script("warm")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What admission answers.

    cold      Redis has lost its data: see `warm_up`
    permit    the call may go; `left` is what the tightest budget (`meter`) has left, nano-dollars
    stale     the caller's policy has changed: load it again
    unseeded  Redis does not know `meter`'s balance: seed it from SQL
    exceeded  `meter`'s settled `spend` has reached its budget
    held      what is left of `meter`'s budget is taken by calls in flight or not settled yet (`taken`)
    short     a strict budget with nothing in flight has `left` left, less than the estimate
    parallel  all of `meter`'s slots are taken (`taken`)
    """

    reason: Reason
    meter: Meter | None = None
    spend: int = 0
    taken: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """A settled balance: nano-dollars, and the version that grows with every posting."""

    meter: str
    window_start: int
    spend: int
    version: int


def admit(
    request_id: str,
    meters: Sequence[Meter],
    policies: Sequence[tuple[str, str]],
    estimate: int,
    lease_ms: int,
    template: bytes,
) -> Verdict:
    """One call against every meter on its path, all or nothing; may be repeated with the same request id.

    `policies` are (Redis key, policy version) pairs; `estimate` is nano-dollars; `template` is the event that is
    booked should this process die. Raises LimitsUnavailable.
    """
    keys = [CALLS, TEMPLATES, EPOCH, *(key for key, _ in policies)]
    arguments: list[Argument] = [request_id, estimate, lease_ms, template, IDLE_MS, len(policies)]
    arguments += [version for _, version in policies]
    for meter in meters:
        keys += [
            budget_key(meter.name, meter.window_start),
            holds_key(meter.name, meter.window_start),
            slots_key(meter.name),
        ]
        arguments += [
            "" if meter.max_budget is None else meter.max_budget,
            "1" if meter.strict else "0",
            "" if meter.max_parallel is None else meter.max_parallel,
        ]
    answer = _admit(keys, arguments)
    return _verdict(answer, meters)


def _verdict(answer: list[bytes | int], meters: Sequence[Meter]) -> Verdict:
    reason: Reason = answer[0].decode()  # type: ignore[union-attr,assignment]
    place = int(answer[1])
    meter = meters[place - 1] if place and reason != "stale" else None
    if reason == "permit":
        return Verdict(reason, meter, left=max(0, int(answer[2])))
    if reason in {"cold", "stale", "unseeded"} or meter is None:
        return Verdict(reason, meter)
    if reason == "parallel":
        return Verdict(reason, meter, taken=int(answer[2]))
    spend, taken = int(answer[2]), int(answer[3])
    return Verdict(reason, meter, spend, taken, left=(meter.max_budget or 0) - spend - taken)


@dataclass(frozen=True, slots=True)
class Ended:
    """`wake`: the worker has to be told; `place`: the event's id in the stream (b"": there is no event)."""

    wake: bool
    place: bytes


def finish(request_id: str, meters: Sequence[Meter], cost: int, event: bytes) -> Ended:
    """Ends a call: event written, slots free, hold turned into cost (nano-dollars). May be repeated.

    An empty `event` gives everything back and books nothing: for a call that never took place. Raises
    LimitsUnavailable.
    """
    budgets = [meter for meter in meters if meter.max_budget is not None]
    keys = [CALLS, TEMPLATES, EVENTS, WAKE]
    for meter in budgets:
        keys += [budget_key(meter.name, meter.window_start), holds_key(meter.name, meter.window_start)]
    keys += slots_of(meters)
    wake, place = _finish(keys, [request_id, cost, event, IDLE_MS, WAKE_MS, len(budgets)])
    return Ended(bool(wake), place)


def restore(request_id: str, meters: Sequence[Meter], hold: int, lease_ms: int, template: bytes) -> None:
    """Puts a running call back that Redis has lost; nothing happens where it is known. Raises LimitsUnavailable."""
    budgets = [meter for meter in meters if meter.max_budget is not None]
    keys = [CALLS, TEMPLATES]
    for meter in budgets:
        keys += [budget_key(meter.name, meter.window_start), holds_key(meter.name, meter.window_start)]
    keys += slots_of(meters)
    _restore(keys, [request_id, hold, lease_ms, template, IDLE_MS, len(budgets)])


def warm_up(*, at_once: bool = False) -> str:
    """Which life of Redis this is; "" while a Redis that lost its data waits for what the web processes know.

    `at_once` where there is nothing to wait for. Raises LimitsUnavailable.
    """
    epoch: bytes = _warm([EPOCH, WARMING], [secrets.token_hex(8), 0 if at_once else WARM_UP_MS])
    return epoch.decode()


def slots_of(meters: Iterable[Meter]) -> list[str]:
    """The Redis keys of the slots that a call on these meters takes."""
    return [slots_key(meter.name) for meter in meters if meter.max_parallel is not None]


def free_slots(request_id: str, meters: Iterable[str]) -> None:
    """Gives back the slots of one call on these meters, and nothing else. Raises redis.RedisError."""
    with redis.client.pipeline(transaction=False) as pipeline:
        for meter in meters:
            pipeline.zrem(slots_key(meter), request_id)
        pipeline.execute()


def renew(lease_ms: int, calls: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Renews the leases of running calls: (request id, keys of its slots) each. Raises LimitsUnavailable."""
    ids: list[Argument] = []
    keys, slot_ids = [CALLS], list[Argument]()
    for request_id, slots in calls:
        ids.append(request_id)
        keys += slots
        slot_ids += [request_id] * len(slots)
    _renew(keys, [lease_ms, len(ids), *ids, *slot_ids])


def seed(balance: Balance) -> None:
    """Tells Redis a balance that it does not know. Raises LimitsUnavailable."""
    _seed([budget_key(balance.meter, balance.window_start)], [balance.spend, balance.version, IDLE_MS])


def settled(
    balances: Sequence[Balance],
    limiting: Container[tuple[str, int]],
    entries: Sequence[bytes],
    costs: Sequence[tuple[str, int, str]],
) -> None:
    """Tells Redis what SQL has booked; balances that are not among the `limiting` only where Redis has them already.

    `entries` are the stream ids of the events; `costs` are (meter, window start, request id) of costs that are part of
    the balances now. Raises LimitsUnavailable.
    """
    keys = [EVENTS, SETTLED, *(budget_key(balance.meter, balance.window_start) for balance in balances)]
    arguments: list[Argument] = [len(balances), len(entries), IDLE_MS]
    for balance in balances:
        limits = (balance.meter, balance.window_start) in limiting
        arguments += [balance.spend, balance.version, "1" if limits else "0"]
    arguments += entries
    for meter, window_start, request_id in costs:
        keys += [budget_key(meter, window_start), holds_key(meter, window_start)]
        arguments.append(request_id)
    _settled(keys, arguments)


def abandon(most: int) -> int:
    """Books calls whose lease has ended, at most so many; gives how many there were. Raises LimitsUnavailable."""
    return int(_abandon([CALLS, TEMPLATES, EVENTS], [most, IDLE_MS]))
