"""Admission of one call: its meters, its estimate, the wait for money that calls in flight hold."""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from app.access.path import Limits
from app.errors import LimitsUnavailable, UnpricedModel
from app.gateway import rates, refusals
from app.gateway.asked import Asked
from app.gateway.asked_routes import rules_of
from app.gateway.offers import Offer, dearest, largest_cap, most_input
from app.gateway.parties import Parties
from app.gateway.running import has_closed
from app.ledger import balances
from app.ledger.event import CallEvent
from app.ledger.pricing import is_known_tier
from app.limits import admission
from app.limits.admission import Cooling, Verdict
from app.limits.meters import Meter, Tokens
from app.routing.choose import cools_as
from app.settings import Settings

# How long a call that waits for held money sleeps between two looks, in seconds: it grows from one to the other.
SHORTEST_NAP, LONGEST_NAP = 0.01, 0.15
# Of those who wait for a slot, each looks a little less often than the one before, up to this place.
FARTHEST = 4


class Stale(Exception):
    """The caller's policy has changed since the snapshot was taken."""


@dataclass(slots=True)
class Permit:
    """What an admitted call holds. `left` is what the tightest budget has left, nano-dollars (None: no budget).

    `stated_cap` is the output cap (tokens) that the gateway states because a strict budget allows no more. `tokens` is
    what the call is reckoned with; `rates` are the headers that say how limits on requests and tokens stand.
    `cooling` are the deployments that are left alone at this moment, by `cools_as`.
    """

    event: CallEvent
    meters: tuple[Meter, ...]
    left: int | None
    stated_cap: int | None
    tokens: Tokens
    rates: dict[str, str]
    cooling: Mapping[str, Cooling]


@dataclass(slots=True)
class OnPath:
    """The meters on a call's path as they stand from `since` until `until` (epoch seconds).

    Those without a limit are among `meters`, for their spend is counted; admission looks at the `limited` ones.
    `counted` are the balances that a call is part of: for each meter "ever", and its window where it has one.
    """

    meters: tuple[Meter, ...]
    limited: tuple[Meter, ...]
    counted: list[list[object]]
    since: float
    until: float


def on_path(limits: tuple[Limits, ...], at: float) -> OnPath:
    """The meters as they stand at `at` (epoch seconds): worked out anew only where something has become another."""
    kept = _kept(limits)
    if not kept or not kept[0].since <= at < kept[0].until:
        meters = tuple(meter_of(one, at) for one in limits)
        limited = tuple(meter for meter in meters if meter.has_limits())
        until = min((one.stands_until(at) for one in limits), default=math.inf)
        kept[:] = [OnPath(meters, limited, counted_in(meters), at, until)]
    return kept[0]


@lru_cache(maxsize=admission.MOST_PREPARED)
def _kept(_limits: tuple[Limits, ...]) -> list[OnPath]:
    """Where the meters of these limits are kept."""
    return []


def meter_of(limits: Limits, at: float) -> Meter:
    """One meter as it stands at `at` (epoch seconds)."""
    window, previous = limits.window(at), limits.previous(at)
    return Meter(
        name=limits.meter,
        max_budget=limits.budget(at),
        strict=limits.strict,
        window_start=0 if window is None else window.start,
        resets_at=None if window is None else window.end,
        max_parallel=limits.max_parallel,
        rpm=limits.rpm,
        tpm=limits.tpm,
        previous_start=None if previous is None else previous.start,
        rolls_over=0 if previous is None else limits.max_budget or 0,
        queue_ms=limits.queue_ms,
    )


def counted_in(meters: Sequence[Meter]) -> list[list[object]]:
    """The balances that a call on these meters is part of; see OnPath."""
    counted: list[list[object]] = []
    for meter in meters:
        has_budget = meter.max_budget is not None
        counted.append([meter.name, 0, int(has_budget and not meter.window_start)])
        if meter.window_start:
            counted.append([meter.name, meter.window_start, int(has_budget)])
    return counted


def admit(
    parties: Parties,
    draft: Callable[[int, list[list[object]]], CallEvent],
    settings: Settings,
    client: socket.socket | None,
) -> Permit:
    """One permit or one refusal; waits for money that calls in flight hold, and in the queues for parallel slots.

    `draft(estimate, counted)` makes the event that stands for the call while it runs.

    Raises Stale, a LimitReached, UnpricedModel, LimitsUnavailable, DatabaseUnavailable.
    """
    asked, offers = parties.asked, parties.offers
    check_priced(parties, settings.unpriced)
    cap = None
    deployments = () if settings.router.disable_cooldowns else tuple(cools_as(one.deployment) for one in offers)
    with _Waiting(settings.budget_wait, client) as waiting:
        while True:
            path = on_path(parties.limits, time.time())
            limited = path.limited
            tokens = rates.reckoned(limited, offers, asked, cap)
            estimate = estimated(asked, offers, cap)
            event = draft(estimate, path.counted)
            verdict = admission.admit(
                *(event.request_id, limited, parties.policies, estimate),
                *(int(settings.lease * 1000), event.to_bytes(), tokens),
                deployments=deployments,
            )
            match verdict.reason:
                case "permit":
                    left = None if verdict.meter is None else verdict.left
                    return Permit(event, limited, left, cap, tokens, rates.headers(verdict), verdict.cooling)
                case "stale":
                    raise Stale
                case "cold":
                    _warm_up(waiting)
                case "unseeded":
                    seed(verdict)
                case "short":
                    cap = _fitting_cap(verdict, asked, offers)
                case "held" if waiting.for_money():
                    pass
                case "queued" if waiting.for_slot(event.request_id, limited, verdict):
                    pass
                case _:
                    raise refusals.refusal(verdict, tokens)


class _Waiting:
    """As a context: how long one call has waited for what, and the queues that it stands in."""

    def __init__(self, budget_wait: float, client: socket.socket | None) -> None:
        """`budget_wait` is seconds; `client` is the caller's socket where it is known."""
        self._since = time.monotonic()
        self._budget_wait = budget_wait
        self._client = client
        self._nap = SHORTEST_NAP
        self._queued: tuple[str, Sequence[Meter]] | None = None

    def for_money(self) -> bool:
        """A nap; False where the call has waited for long enough."""
        return self._sleep(self._budget_wait, LONGEST_NAP)

    def for_slot(self, request_id: str, meters: Sequence[Meter], verdict: Verdict) -> bool:
        """A nap in the queues; False where the call has waited for long enough, or its client has left."""
        assert verdict.meter is not None  # noqa: S101 - "queued" always names its meter
        self._queued = request_id, meters
        if self._client is not None and has_closed(self._client):
            return False
        # Who is next looks more often.
        return self._sleep(verdict.meter.queue_ms / 1000, LONGEST_NAP * min(1 + verdict.place, FARTHEST))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._queued is not None:
            # The call is not made: nobody shall wait behind it.
            with suppress(LimitsUnavailable):
                admission.leave_queues(*self._queued)

    def is_over(self) -> bool:
        """Whether the call has waited for as long as calls wait for money."""
        return time.monotonic() >= self._since + self._budget_wait

    def _sleep(self, longest: float, longest_nap: float) -> bool:
        if time.monotonic() >= self._since + longest:
            return False
        time.sleep(self._nap * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the waiting, keeps no secret
        self._nap = min(self._nap * 1.5, longest_nap)
        return True


def _warm_up(waiting: _Waiting) -> None:
    """Redis has lost its data. Web processes get a moment to put back what is in flight, unless nothing ever was."""
    if admission.warm_up(at_once=not balances.any_at_all()):
        return
    if waiting.is_over():
        raise LimitsUnavailable("Redis has lost its data and is being filled again. Try again in a moment.")
    time.sleep(LONGEST_NAP)


def estimated(asked: Asked, offers: Sequence[Offer], cap: int | None) -> int:
    """What a call may cost at the most, nano-dollars; `cap` is an output cap that the gateway states for it."""
    bounds = (most_input(offers, asked), cap or asked.output_cap, asked.choices)
    return dearest(offers, asked.route, *bounds, asked.others_bound, asked.tier)


def check_priced(parties: Parties, unpriced: str) -> None:
    """A budget cannot be kept on a model whose price nobody knows: refused, unless the settings allow it."""
    asked = parties.asked
    if unpriced == "allow" or rules_of(asked.route).free or all(limits.max_budget is None for limits in parties.limits):
        return
    if not is_known_tier(asked.tier):
        raise UnpricedModel(
            f"A budget cannot be kept on service_tier '{asked.tier}', whose price is not known. "
            "Leave it out, or use a key without a budget.",
            param="service_tier",
        )
    if any(offer.price is None for offer in parties.offers):
        raise UnpricedModel(
            f"The price of model '{asked.model}' is not known, so a budget cannot be kept on it. An admin can state it "
            "in config.yaml (input_price_per_million, output_price_per_million) or in general_settings.unpriced.",
            param="model",
        )


def seed(verdict: Verdict) -> None:
    """Redis does not know a balance: the first call that notices tells it what SQL knows."""
    assert verdict.meter is not None  # noqa: S101 - "unseeded" always names its meter
    window = (verdict.meter.name, verdict.window_start)
    known = balances.settled([window])[window]
    admission.seed(admission.Balance(*window, known.spend, known.version))


def _fitting_cap(verdict: Verdict, asked: Asked, offers: Sequence[Offer]) -> int:
    """A strict budget has some money left: the output cap that fits it, where the caller stated none."""
    cap = largest_cap(
        *(offers, asked.route, most_input(offers, asked), asked.choices, verdict.left), asked.others_bound, asked.tier
    )
    if asked.output_cap is None and cap > 0:
        return cap
    raise refusals.too_small(verdict, cap)
