"""Admission of one call: its meters, its estimate, the wait for money that calls in flight hold."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app import durations, money
from app.access.callers import Caller, Limits
from app.errors import (
    BudgetExceeded,
    BudgetHeld,
    BudgetTooSmall,
    LimitReached,
    LimitsUnavailable,
    ParallelLimitReached,
    UnpricedModel,
)
from app.gateway import rates
from app.gateway.asked import Asked
from app.gateway.offers import Offer, dearest, largest_cap
from app.ledger import balances
from app.ledger.event import CallEvent
from app.limits import admission
from app.limits.admission import Verdict
from app.limits.meters import Meter, Tokens

# How long a call that waits for held money sleeps between two looks, in seconds: it grows from one to the other.
SHORTEST_NAP, LONGEST_NAP = 0.01, 0.15
# What is held by calls in flight comes back when they end, and nobody knows when that is; sooner than this is no use.
HELD_RETRY_AFTER = 2
PARALLEL_RETRY_AFTER = 1
STANDARD_TIERS = (None, "auto", "default")


class Stale(Exception):
    """The caller's policy has changed since the snapshot was taken."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What an admitted call holds. `left` is what the tightest budget has left, nano-dollars (None: no budget).

    `stated_cap` is the output cap (tokens) that the gateway states because a strict budget allows no more. `tokens` is
    what the call is reckoned with; `rates` are the headers that say how limits on requests and tokens stand.
    """

    event: CallEvent
    meters: tuple[Meter, ...]
    left: int | None
    stated_cap: int | None
    tokens: Tokens
    rates: dict[str, str]


def meters_of(caller: Caller, now: float) -> tuple[Meter, ...]:
    """The caller's meters as they stand in this second; those without a limit too, for their spend is counted."""
    return tuple(_meter(limits, now) for limits in caller.limits)


def _meter(limits: Limits, now: float) -> Meter:
    start, end = 0, None
    if limits.budget_duration is not None:
        window = durations.window_at(limits.budget_duration, limits.since, datetime.fromtimestamp(now, UTC))
        start, end = window.start, window.end
    return Meter(
        name=limits.meter,
        max_budget=limits.max_budget,
        strict=limits.strict,
        window_start=start,
        resets_at=end,
        max_parallel=limits.max_parallel,
        rpm=limits.rpm,
        tpm=limits.tpm,
    )


def counted_in(meters: Sequence[Meter]) -> list[list[object]]:
    """The balances that a call on these meters is part of: for each meter "ever", and its window where it has one."""
    counted: list[list[object]] = []
    for meter in meters:
        has_budget = meter.max_budget is not None
        counted.append([meter.name, 0, int(has_budget and not meter.window_start)])
        if meter.window_start:
            counted.append([meter.name, meter.window_start, int(has_budget)])
    return counted


def admit(
    caller: Caller,
    asked: Asked,
    offers: Sequence[Offer],
    draft: Callable[[int, list[list[object]]], CallEvent],
    *,
    lease_ms: int,
    wait: float,
    unpriced: str,
) -> Permit:
    """One permit or one refusal; waits up to `wait` seconds for money that calls in flight hold.

    `draft(estimate, counted)` makes the event that stands for the call while it runs.

    Raises Stale, a LimitReached, UnpricedModel, LimitsUnavailable, DatabaseUnavailable.
    """
    deadline = time.monotonic() + wait
    nap, cap = SHORTEST_NAP, None
    _check_priced(caller, offers, asked, unpriced)
    while True:
        meters = meters_of(caller, time.time())
        limited = tuple(meter for meter in meters if meter.has_limits())
        tokens = rates.reckoned(limited, offers, asked, cap)
        estimate = dearest(offers, asked.route, asked.input_bound, cap or asked.output_cap, asked.choices)
        event = draft(estimate, counted_in(meters))
        verdict = admission.admit(
            event.request_id, limited, caller.policies, estimate, lease_ms, event.to_bytes(), tokens
        )
        match verdict.reason:
            case "permit":
                left = None if verdict.meter is None else verdict.left
                return Permit(event, limited, left, cap, tokens, rates.headers(verdict))
            case "stale":
                raise Stale
            case "cold":
                _warm_up(deadline)
            case "unseeded":
                _seed(verdict)
            case "short":
                cap = _fitting_cap(verdict, asked, offers)
            case "held" if time.monotonic() < deadline:
                time.sleep(nap * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the waiting, keeps no secret
                nap = min(nap * 1.5, LONGEST_NAP)
            case _:
                raise refusal(verdict, tokens)


def _warm_up(deadline: float) -> None:
    """Redis has lost its data. Web processes get a moment to put back what is in flight, unless nothing ever was."""
    if admission.warm_up(at_once=not balances.any_at_all()):
        return
    if time.monotonic() >= deadline:
        raise LimitsUnavailable("Redis has lost its data and is being filled again. Try again in a moment.")
    time.sleep(LONGEST_NAP)


def _check_priced(caller: Caller, offers: Sequence[Offer], asked: Asked, unpriced: str) -> None:
    """A budget cannot be kept on a model whose price nobody knows: refused, unless the settings allow it."""
    if unpriced == "allow" or all(limits.max_budget is None for limits in caller.limits):
        return
    tier = asked.body.get("service_tier")
    if tier not in STANDARD_TIERS:
        raise UnpricedModel(
            f"A budget cannot be kept on service_tier '{tier}', which has prices of its own. "
            "Leave it out, or use a key without a budget.",
            param="service_tier",
        )
    if any(offer.price is None for offer in offers):
        raise UnpricedModel(
            f"The price of model '{asked.model}' is not known, so a budget cannot be kept on it. An admin can state it "
            "in config.yaml (input_cost_per_token, output_cost_per_token) or set general_settings.unpriced: allow.",
            param="model",
        )


def _seed(verdict: Verdict) -> None:
    """Redis does not know a balance: the first call that notices tells it what SQL knows."""
    assert verdict.meter is not None  # noqa: S101 - "unseeded" always names its meter
    window = (verdict.meter.name, verdict.window_start)
    known = balances.settled([window])[window]
    admission.seed(admission.Balance(*window, known.spend, known.version))


def _fitting_cap(verdict: Verdict, asked: Asked, offers: Sequence[Offer]) -> int:
    """A strict budget has some money left: the output cap that fits it, where the caller stated none."""
    cap = largest_cap(offers, asked.route, asked.input_bound, asked.choices, verdict.left)
    if asked.output_cap is None and cap > 0:
        return cap
    # Nothing is in flight, so what is taken is the cost of finished calls that the worker is about to book.
    error = _limit_error(BudgetTooSmall, verdict, verdict.spend + verdict.taken)
    error.rates = rates.headers(verdict)
    error.message += f" {money.shown(verdict.left)} is left, which covers at most {cap} output tokens for this request."
    raise error


def refusal(verdict: Verdict, tokens: Tokens) -> LimitReached:
    """The error that a refused caller sees; `tokens` is what the call was reckoned with."""
    error = _refusal(verdict, tokens)
    error.rates = rates.headers(verdict)
    return error


def _refusal(verdict: Verdict, tokens: Tokens) -> LimitReached:
    meter = verdict.meter
    assert meter is not None  # noqa: S101 - a refusal always names its meter
    if verdict.reason in {"rpm", "tpm"}:
        return rates.refusal(verdict, meter, _whose(meter), tokens)
    if verdict.reason in {"parallel", "queued"}:
        return ParallelLimitReached(
            f"{_whose(meter)} already has {verdict.taken} of {meter.max_parallel} parallel requests running.",
            scope=meter.name,
            limit=meter.max_parallel or 0,
            current=verdict.taken,
            retry_after=PARALLEL_RETRY_AFTER,
        )
    if verdict.reason == "exceeded":
        return _limit_error(BudgetExceeded, verdict, verdict.spend)
    error = _limit_error(BudgetHeld, verdict, verdict.spend)
    error.retry_after = HELD_RETRY_AFTER
    error.message += f" Calls in flight hold {money.shown(verdict.taken)} of the rest; try again when they have ended."
    return error


def _limit_error(kind: type[LimitReached], verdict: Verdict, spend: int) -> LimitReached:
    meter = verdict.meter
    assert meter is not None  # noqa: S101 - a refusal always names its meter
    resets_at = None if meter.resets_at is None else datetime.fromtimestamp(meter.resets_at, UTC)
    return kind(
        f"{_whose(meter)} has spent {money.shown(spend)} of a budget of {money.shown(verdict.budget)}.",
        scope=meter.name,
        limit=money.to_json(verdict.budget),
        current=money.to_json(spend),
        resets_at=None if resets_at is None else resets_at.isoformat().replace("+00:00", "Z"),
        retry_after=None if meter.resets_at is None else meter.resets_at - time.time(),
    )


def _whose(meter: Meter) -> str:
    kind, _, subject = meter.name.partition(":")
    return f"User '{subject}'" if kind == "user" else "This key"
