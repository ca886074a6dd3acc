"""How meters stand at this moment, and which of them would refuse a call. Takes nothing from any of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.access.path import Limits
from app.errors import LimitReached, TollgateError
from app.gateway import rates, refusals
from app.gateway.admit import check_priced, estimated, meter_of, seed
from app.gateway.parties import Parties
from app.ledger import balances
from app.limits import admission, holds
from app.limits.admission import Verdict
from app.limits.holds import Live
from app.limits.meters import Meter, Tokens
from app.settings import Settings

# A Redis that has just lost its data is asked again by whoever wants to know, not here.
MOST_ASKED = 5
OPEN, WAITS, REFUSES = "passes", "waits", "refuses"


@dataclass(frozen=True, slots=True)
class Standing:
    """One meter: its limits, how it stands in Redis, and the nano-dollars that SQL says were spent in the window."""

    limits: Limits
    meter: Meter
    live: Live
    spend: int
    carry: int

    @property
    def budget(self) -> int | None:
        """Nano-dollars that may be spent in the present window, with what has rolled over."""
        return None if self.meter.max_budget is None else self.meter.max_budget + self.carry

    @property
    def left(self) -> int | None:
        """Nano-dollars of the budget that nobody has spent or holds; never below 0."""
        return None if self.budget is None else max(0, self.budget - self.spend - self.live.held - self.live.due)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one meter says to a call: OPEN, WAITS or REFUSES; `error` is what a caller would be told in the end."""

    meter: Meter
    says: str
    error: LimitReached | None


@dataclass(frozen=True, slots=True)
class Explained:
    """`estimate` is what the call would hold, nano-dollars; `tokens` what it would count as per minute.

    `error` is what refuses the call whatever the limits say.
    """

    estimate: int
    tokens: int
    opinions: Sequence[Opinion]
    error: TollgateError | None


def standings(limits: Iterable[Limits]) -> list[Standing]:
    """How these meters stand. Raises LimitsUnavailable, DatabaseUnavailable."""
    at = time.time()
    found = list(limits)
    meters = [meter_of(one, at) for one in found]
    starts = ((meter.name, start) for meter in meters for start in (meter.window_start, meter.previous))
    spend = balances.spend((name, start) for name, start in starts if start is not None)
    return [
        Standing(
            limits=one,
            meter=meter,
            live=live,
            spend=spend[meter.name, meter.window_start],
            carry=0 if meter.previous is None else max(0, meter.rolls_over - spend[meter.name, meter.previous]),
        )
        for one, meter, live in zip(found, meters, holds.peek(meters), strict=True)
    ]


def explain(parties: Parties, settings: Settings) -> Explained:
    """What each meter on the path would say. Raises LimitsUnavailable, DatabaseUnavailable."""
    asked, at = parties.asked, time.time()
    meters = [meter for meter in (meter_of(limits, at) for limits in parties.limits) if meter.has_limits()]
    tokens = rates.reckoned(meters, parties.offers, asked, None)
    estimate = estimated(asked, parties.offers, None)
    opinions = [_opinion(meter, estimate, tokens, capped=asked.output_cap is not None) for meter in meters]
    error = None
    try:
        check_priced(parties, settings.unpriced)
    except TollgateError as unpriced:
        error = unpriced
    return Explained(estimate, tokens.likely, opinions, error)


def _opinion(meter: Meter, estimate: int, tokens: Tokens, *, capped: bool) -> Opinion:
    verdict = _dry(meter, estimate, tokens)
    if verdict.reason == "permit" or (verdict.reason == "short" and not capped):
        return Opinion(meter, OPEN, None)
    if verdict.reason == "short":
        return Opinion(meter, REFUSES, refusals.too_small(verdict, 0))
    says = WAITS if verdict.reason in {"held", "queued"} else REFUSES
    return Opinion(meter, says, refusals.refusal(verdict, tokens))


def _dry(meter: Meter, estimate: int, tokens: Tokens) -> Verdict:
    for _ in range(MOST_ASKED):
        verdict = admission.admit("dry_" + secrets.token_hex(8), [meter], [], estimate, 0, b"", tokens, dry=True)
        if verdict.reason == "unseeded":
            seed(verdict)
        elif verdict.reason == "cold":
            admission.warm_up(at_once=not balances.any_at_all())
            time.sleep(admission.WARM_UP_MS / 1000 / (MOST_ASKED - 1))
        else:
            break
    return verdict
