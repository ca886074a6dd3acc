"""How a refusal by a limit reads: whose limit it was, where it stands, when it opens again."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from app import money
from app.errors import BudgetExceeded, BudgetHeld, BudgetTooSmall, LimitReached, ParallelLimitReached
from app.gateway import rates
from app.limits.admission import Verdict
from app.limits.meters import Tokens
from app.meter_names import whose

# What is held by calls in flight comes back when they end, and nobody knows when that is; sooner than this is no use.
HELD_RETRY_AFTER = 2
PARALLEL_RETRY_AFTER = 1


def refusal(verdict: Verdict, tokens: Tokens) -> LimitReached:
    """The error that a refused caller sees; `tokens` is what the call was reckoned with."""
    error = _refusal(verdict, tokens)
    error.rates = rates.headers(verdict)
    return error


def too_small(verdict: Verdict, cap: int) -> LimitReached:
    """The error for a call whose output cap does not fit a strict budget; `cap` (tokens) is the one that would."""
    # Nothing is in flight, so what is taken is the cost of finished calls that the worker is about to book.
    error = _limit_error(BudgetTooSmall, verdict, verdict.spend + verdict.taken)
    error.rates = rates.headers(verdict)
    error.message += f" {money.shown(verdict.left)} is left, which covers at most {cap} output tokens for this request."
    return error


def _refusal(verdict: Verdict, tokens: Tokens) -> LimitReached:
    meter = verdict.meter
    assert meter is not None  # noqa: S101 - a refusal always names its meter
    if verdict.reason in {"rpm", "tpm"}:
        return rates.refusal(verdict, meter, whose(meter.name), tokens)
    if verdict.reason in {"parallel", "queued"}:
        waited = f" None came free within {meter.queue_ms / 1000:g} s." if verdict.reason == "queued" else ""
        running = f"{verdict.taken} of {meter.max_parallel} parallel requests running."
        return ParallelLimitReached(
            f"{whose(meter.name)} already has {running}{waited}",
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
        f"{whose(meter.name)} has spent {money.shown(spend)} of a budget of {money.shown(verdict.budget)}.",
        scope=meter.name,
        limit=money.to_json(verdict.budget),
        current=money.to_json(spend),
        resets_at=None if resets_at is None else resets_at.isoformat().replace("+00:00", "Z"),
        retry_after=None if meter.resets_at is None else meter.resets_at - time.time(),
    )
