"""Admission and its counterparts, each one atomic script: admit, finish, renew, seed, settled, abandon.

What Redis holds is what is in flight. What has been spent stands in SQL and is told to Redis; everything here can be
rebuilt from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from redis.exceptions import RedisError

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.limits.meters import (
    ARRIVALS,
    BUDGETS,
    CALLS,
    EPOCH,
    EVENTS,
    SETTLED,
    TEMPLATES,
    WAKE,
    WARMING,
    Meter,
    Tokens,
    amounts_key,
    asked_key,
    budget_key,
    cooling_key,
    holds_key,
    queue_key,
    requests_key,
    slots_key,
    tokens_key,
)
from app.limits.scripts import Argument, Prepared, Script

# Counters that nothing has touched for a week are forgotten: SQL knows what was spent, and no call lasts that long.
IDLE_MS = 7 * 24 * 3600 * 1000
# While the worker is busy nobody needs to wake it. Should it die, the next call after this time wakes it again.
WAKE_MS = 1000

# How long a Redis without an epoch waits before it admits: longer than the web processes need to put back what they
# know.
WARM_UP_MS = 1500
SCANNED_AT_ONCE = 1000
# A call in a queue that has not asked for this long has no process any more, and nobody waits for it.
WAITER_MS = 2000
# Whoever stands behind so many would wait in vain.
MOST_WAITING = 1000
# Of so many callers what is said to Redis is kept as it goes out: some 2 KB each.
MOST_PREPARED = 4096

Reason = Literal["permit", "cold", "stale", "unseeded", "exceeded", "rpm", "tpm", "held", "short", "parallel", "queued"]

# So many parts has the answer of admit.lua where no deployment is left alone.
WITHOUT_COOLING = 6
_admit, _finish, _renew = Script("used", "rates", "admit"), Script("used", "finish"), Script("renew")
_seed, _settled, _abandon = Script("seed"), Script("settled"), Script("abandon")
_restore, _warm = Script("restore"), Script("warm")
NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Rate:
    """The limit on requests or on tokens with the least left; `reset_ms` None: it never opens.

    `reset_ms` is when the oldest of the last minute ages out or, for the limit that refused, when the call would fit.
    """

    limit: int
    left: int
    reset_ms: int | None


@dataclass(frozen=True, slots=True)
class Cooling:
    """A deployment that is left alone for `ms` more milliseconds, because of `reason`, a Failure.

    `told`: the provider itself has said for how long.
    """

    ms: int
    reason: str
    told: bool = False


@dataclass(slots=True)
class Verdict:
    """What admission answers.

    cold      Redis has lost its data: see `warm_up`
    permit    the call may go; `left` is what the tightest budget (`meter`) has left, nano-dollars
    stale     the caller's policy has changed: load it again
    unseeded  Redis does not know `meter`'s balance in the window that began at `window_start`: seed it from SQL
    exceeded  `meter`'s settled `spend` has reached its budget
    held      what is left of `meter`'s budget is taken by calls in flight or not settled yet (`taken`)
    short     a strict budget with nothing in flight has `left` left, less than the estimate
    rpm       `meter` has made `taken` requests in the last minute; one fits in `wait_ms` (None: never)
    tpm       `meter` has used `taken` tokens in the last minute; the call fits in `wait_ms` (None: never)
    parallel  all of `meter`'s slots are taken (`taken`), and one cannot wait for them or too many do
    queued    the call waits for one of `meter`'s slots (`taken` are taken) behind `place` others: ask again, with the
              same request id and within WAITER_MS, or leave the queues

    `budget` is that of `meter`, nano-dollars, with what has rolled over to it: `left` is `budget` - `spend` - `taken`.
    What calls of the window before hold, or cost and is not settled, of what could roll over is part of `taken`.
    A call that asked from a queue keeps its place when it is told "held" or "short"; it has left when it is told
    "permit", "exceeded", "rpm", "tpm" or "parallel". `requests` and `tokens` are None where nothing limits them.
    A permit says which of the deployments are `cooling`.
    """

    reason: Reason
    meter: Meter | None = None
    spend: int = 0
    taken: int = 0
    left: int = 0
    budget: int = 0
    window_start: int = 0
    place: int = 0
    wait_ms: int | None = None
    requests: Rate | None = None
    tokens: Rate | None = None
    cooling: Mapping[str, Cooling] = field(default_factory=dict)


class Balance(NamedTuple):
    """A settled balance: nano-dollars, and the version that grows with every posting."""

    meter: str
    window_start: int
    spend: int
    version: int


def admit(  # noqa: PLR0913 - everything that one round trip decides about
    request_id: str,
    meters: Sequence[Meter],
    policies: Sequence[tuple[str, str]],
    estimate: int,
    lease_ms: int,
    template: bytes,
    tokens: Tokens = NO_TOKENS,
    *,
    deployments: Sequence[str] = (),
    dry: bool = False,
) -> Verdict:
    """One call against every meter on its path, all or nothing; may be repeated with the same request id.

    `policies` are (Redis key, policy version) pairs; `estimate` is nano-dollars; `template` is the event that is
    booked should this process die; `tokens` counts where they are limited. `deployments` are those that may serve it:
    the permit says which of them are cooling. `dry`: the verdict is given and nothing is taken, nor does the call join
    a queue. Raises LimitsUnavailable.
    """
    # What is asked about one meter alone is not asked again.
    prepare = _admission_of if dry else _kept_admission_of
    admission = prepare(tuple(meters), tuple(policies), tuple(deployments), dry)
    needed = [tokens.needed_of(meter.tpm or 0) for meter in admission.with_tpm]
    answer = admission.script((request_id, estimate, lease_ms, template, WAITER_MS), needed)
    verdict = _verdict(answer, admission)
    if verdict.reason == "permit" and len(answer) > WITHOUT_COOLING:
        verdict.cooling = _cooling(deployments, answer[WITHOUT_COOLING])
    return verdict


@dataclass(slots=True)
class _Admission:
    """The script for these meters, and which of them limit requests and tokens."""

    script: Prepared
    meters: Sequence[Meter]
    with_rpm: Sequence[Meter]
    with_tpm: Sequence[Meter]


def _admission_of(
    meters: tuple[Meter, ...],
    policies: tuple[tuple[str, str], ...],
    deployments: tuple[str, ...],
    dry: bool,  # noqa: FBT001 - lru_cache tells arguments by name from those by place
) -> _Admission:
    """What is the same for all calls of a caller."""
    with_rpm, with_tpm = _with_rates(meters)
    keys = [CALLS, TEMPLATES, EPOCH, ARRIVALS, *(key for key, _ in policies), *map(cooling_key, deployments)]
    arguments: list[Argument] = [len(policies), len(meters), len(with_rpm), len(with_tpm)]
    arguments += [int(dry), IDLE_MS, MOST_WAITING, len(deployments), *(version for _, version in policies)]
    for meter in meters:
        keys += [
            budget_key(meter.name, meter.window_start),
            holds_key(meter.name, meter.window_start),
            slots_key(meter.name),
        ]
        arguments += _limits_of(meter)
    keys += _rate_keys(with_rpm, with_tpm)
    keys += [budget_key(meter.name, meter.previous) for meter in meters if meter.previous is not None]
    keys += _queue_keys(meters)
    arguments += [meter.rpm or 0 for meter in with_rpm]
    arguments += [meter.tpm or 0 for meter in with_tpm]
    return _Admission(Prepared(_admit, keys, arguments), meters, with_rpm, with_tpm)


_kept_admission_of = lru_cache(maxsize=MOST_PREPARED)(_admission_of)


def _limits_of(meter: Meter) -> list[Argument]:
    """Its budget and its slots, as admit.lua reads them."""
    return [
        "" if meter.max_budget is None else meter.max_budget,
        int(meter.strict),
        "" if meter.max_parallel is None else meter.max_parallel,
        "" if meter.previous is None else meter.rolls_over,
        int(meter.has_queue),
    ]


def _queue_keys(meters: Iterable[Meter]) -> list[str]:
    return [key for meter in meters if meter.has_queue for key in (queue_key(meter.name), asked_key(meter.name))]


def _with_rates(meters: Sequence[Meter]) -> tuple[list[Meter], list[Meter]]:
    """Those that limit requests, and those that limit tokens."""
    return [meter for meter in meters if meter.rpm is not None], [meter for meter in meters if meter.tpm is not None]


def _rate_keys(with_rpm: Iterable[Meter], with_tpm: Iterable[Meter]) -> list[str]:
    keys = [requests_key(meter.name) for meter in with_rpm]
    for meter in with_tpm:
        keys += [tokens_key(meter.name), amounts_key(meter.name)]
    return keys


def _verdict(answer: list[Any], asked: _Admission) -> Verdict:
    reason: Reason = answer[0].decode()
    place = int(answer[1])
    named = asked.with_rpm if reason == "rpm" else asked.with_tpm if reason == "tpm" else asked.meters
    meter = named[place - 1] if place and reason != "stale" else None
    if meter is not None and reason == "unseeded":
        before = meter.previous if int(answer[2]) else None
        return Verdict(reason, meter, window_start=meter.window_start if before is None else before)
    if reason in {"cold", "stale"}:
        return Verdict(reason)
    first, second, budget = int(answer[2]), int(answer[3]), int(answer[4])
    verdict = Verdict(reason, meter, budget=budget)
    if rates := answer[5]:
        verdict.requests = _rate([one.rpm or 0 for one in asked.with_rpm], rates[:3])
        verdict.tokens = _rate([one.tpm or 0 for one in asked.with_tpm], rates[3:])
    match reason:
        case "permit":
            verdict.left = max(0, first)
        case "parallel" | "queued":
            verdict.taken, verdict.place = first, second
        case "rpm" | "tpm":
            verdict.taken, verdict.wait_ms = first, None if second < 0 else second
        case _:
            verdict.spend, verdict.taken, verdict.left = first, second, budget - first - second
    return verdict


def _rate(limits: Sequence[int], told: Sequence[int]) -> Rate | None:
    place, left, reset_ms = told
    return Rate(limits[place - 1], left, None if reset_ms < 0 else reset_ms) if place else None


def _cooling(deployments: Sequence[str], told: Sequence[Any]) -> dict[str, Cooling]:
    """(deployment from 1, ms, what for) one after the other."""
    found: dict[str, Cooling] = {}
    for place, ms, what in zip(told[::3], told[1::3], told[2::3], strict=True):
        found[deployments[int(place) - 1]] = cooling_of(int(ms), what)
    return found


def cooling_of(ms: int, what: bytes) -> Cooling:
    """What stands under a cooling_key, and for how long still."""
    return Cooling(max(0, ms), what[1:].decode(), told=what[:1] == b"1")


@dataclass(slots=True)
class Ended:
    """`wake`: the worker has to be told; `place`: the event's id in the stream (b"": there is no event)."""

    wake: bool
    place: bytes


def finish(request_id: str, meters: Sequence[Meter], cost: int, event: bytes, tokens: int = 0) -> Ended:
    """Ends a call: event written, slots free, hold turned into cost (nano-dollars). May be repeated.

    `tokens` is what it has used. An empty `event` gives everything back and books nothing: for a call that never took
    place. Raises LimitsUnavailable.
    """
    wake, place = _end_of(tuple(meters), bool(event))((request_id, cost, event), (tokens,))
    return Ended(bool(wake), place)


@lru_cache(maxsize=MOST_PREPARED)
def _end_of(meters: tuple[Meter, ...], took_place: bool) -> Prepared:  # noqa: FBT001 - as above
    """The script with what is the same for all calls on these meters."""
    budgets = [meter for meter in meters if meter.max_budget is not None]
    keys = [CALLS, TEMPLATES, EVENTS, WAKE]
    for meter in budgets:
        keys += [budget_key(meter.name, meter.window_start), holds_key(meter.name, meter.window_start)]
    slots = slots_of(meters)
    with_rpm, with_tpm = _with_rates(meters)
    if took_place:
        # A request that was made stays counted.
        with_rpm = []
    keys += slots + _rate_keys(with_rpm, with_tpm)
    return Prepared(_finish, keys, (IDLE_MS, WAKE_MS, len(budgets), len(slots), len(with_rpm)))


def restore(
    request_id: str,
    meters: Sequence[Meter],
    hold: int,
    lease_ms: int,
    template: bytes,
    tokens: Tokens = NO_TOKENS,
    age_ms: int = 0,
) -> None:
    """Puts a running call back that Redis has lost; nothing happens where it is known.

    `age_ms` is how long ago it was admitted. Raises LimitsUnavailable.
    """
    budgets = [meter for meter in meters if meter.max_budget is not None]
    keys = [CALLS, TEMPLATES]
    for meter in budgets:
        keys += [budget_key(meter.name, meter.window_start), holds_key(meter.name, meter.window_start)]
    slots = slots_of(meters)
    with_rpm, with_tpm = _with_rates(meters)
    keys += slots + _rate_keys(with_rpm, with_tpm)
    arguments: list[Argument] = [request_id, hold, lease_ms, template, IDLE_MS, len(budgets), len(slots)]
    needed = [tokens.needed_of(meter.tpm or 0) for meter in with_tpm]
    _restore(keys, [*arguments, len(with_rpm), age_ms, *needed])


def doubt_balances(run_id: str) -> None:
    """After a restart of Redis: what it says was spent may be older than what SQL says, so it is asked for anew.

    Done once for each run, by whoever notices first. Raises redis.RedisError.
    """
    if not redis.client.set(f"tollgate:doubted:{run_id}", "1", nx=True, ex=24 * 3600):
        return
    with redis.client.pipeline(transaction=False) as pipeline:
        for key in redis.client.scan_iter(match=BUDGETS + "*", count=SCANNED_AT_ONCE):
            pipeline.hdel(key, "spend", "version")
            if len(pipeline) >= SCANNED_AT_ONCE:
                pipeline.execute()
        pipeline.execute()


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


def leave_queues(request_id: str, meters: Iterable[Meter]) -> None:
    """For a call that has asked from a queue and gives up: nobody stands behind it any more.

    Asks Redis nothing where no meter has a queue. Raises LimitsUnavailable.
    """
    keys = _queue_keys(meters)
    if not keys:
        return
    try:
        with redis.client.pipeline(transaction=True) as pipeline:
            for key in keys:
                pipeline.zrem(key, request_id)
            pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer. Try again.") from error


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
    # A call that has two events in a batch has one cost.
    calls: dict[tuple[str, int], dict[str, None]] = {}
    for meter, window_start, request_id in costs:
        calls.setdefault((meter, window_start), {})[request_id] = None
    for window, request_ids in calls.items():
        keys += [budget_key(*window), holds_key(*window)]
        arguments += [len(request_ids), *request_ids]
    _settled(keys, arguments)


def abandon(most: int) -> int:
    """Books calls whose lease has ended, at most so many; gives how many there were. Raises LimitsUnavailable."""
    return int(_abandon([CALLS, TEMPLATES, EVENTS], [most, IDLE_MS]))
