"""Room at the deployments of one call: a place at the best of them, a short wait, or word of what is full."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from app.errors import DeploymentsFull, LimitsUnavailable
from app.gateway import rates
from app.gateway.asked import Asked
from app.gateway.offers import Offer
from app.gateway.running import Leaving, Running
from app.limits import places
from app.limits.meters import Tokens
from app.limits.places import Full, Place, Ranked, Room
from app.model_list import Deployment
from app.router_settings import MOST_COUNT, Router

# What is known of deployments in Redis, by the strategies that go by it.
RANKED: Mapping[str, Ranked] = {
    "least-busy": "busy",
    "latency-based-routing": "pace",
    "usage-based-routing": "usage",
    "usage-based-routing-v2": "usage",
}
# How long a call that waits for a place sleeps between two looks: it grows from one to the other. And what a client is
# told who has to come back. In seconds.
SHORTEST_NAP, LONGEST_NAP, COME_BACK = 0.05, 0.25, 1
SCOPE = "deployment"
FULL = {
    "parallel": "{taken} of {limit} parallel requests are running at a deployment",
    "rpm": "{taken} of {limit} requests of the last 60 seconds were made at a deployment",
    "tpm": "{taken} of {limit} tokens of the last 60 seconds were used at a deployment",
}


class Places:
    """What the deployments of one call have room for. Redis is asked only where something is limited or ranked."""

    def __init__(self, router: Router, offers: Sequence[Offer], asked: Asked, *, lease: float, wait: float) -> None:
        """`lease` and `wait`, for how long a call waits for a place, are seconds."""
        self._ranked: Ranked = RANKED.get(router.strategy, "given") if len(offers) > 1 else "given"
        self._counts = self._ranked != "given" or any(_has_limits(one.deployment, router) for one in offers)
        self._rooms = {one.deployment.id: _room(one.deployment, router) for one in offers if self._counts}
        self._lease_ms, self._wait, self._stream = int(lease * 1000), wait, asked.stream
        self._tokens = self._reckoned(offers, asked) if self._counts else Tokens()
        self._taken = 0
        self.full: Full | None = None

    def take(self, wanted: Sequence[Deployment], running: Running, *, wait: bool) -> Deployment | None:
        """The best of them with room, where the call has a place from now on (`running.place`); None: all are full.

        Waits where calls at a time are limited and `wait` says so. Raises LimitsUnavailable.
        """
        if not self._counts:
            return wanted[0]
        self._taken += 1
        attempt = f"{running.event.request_id}:{self._taken}"
        rooms = [self._rooms[one.id] for one in wanted]
        until = time.monotonic() + (self._wait if wait else 0)
        nap = SHORTEST_NAP
        while True:
            try:
                found = places.take(attempt, rooms, self._ranked, self._lease_ms, self._tokens, stream=self._stream)
            except LimitsUnavailable:
                # Redis may have given a place, and only its answer was lost.
                running.unleft.extend(Leaving(place) for place in places.possible(attempt, rooms))
                raise
            if isinstance(found, Place):
                running.place, self.full = found, None
                return next(one for one in wanted if one.id == found.room.deployment)
            self.full = found
            if found.reason != "parallel" or running.left or time.monotonic() >= min(until, running.deadline):
                return None
            time.sleep(nap)
            nap = min(nap * 1.25, LONGEST_NAP)

    def refusal(self, model: str) -> DeploymentsFull:
        """The error for a caller whose call found no room."""
        full = self.full
        assert full is not None  # noqa: S101 - asked for only after `take` found no room
        what = FULL[full.reason].format(taken=full.taken, limit=full.limit)
        if full.wait_ms is None:
            what += ", and this call can never fit"
        retry_after = None if full.wait_ms is None else max(COME_BACK, full.wait_ms / 1000)
        return DeploymentsFull(
            f"No deployment of model '{model}' has room: {what}.",
            scope=SCOPE,
            limit=full.limit,
            current=full.taken,
            retry_after=retry_after,
        )

    def _reckoned(self, offers: Sequence[Offer], asked: Asked) -> Tokens:
        smallest = min((room.tpm for room in self._rooms.values() if room.tpm is not None), default=MOST_COUNT)
        return rates.reckoned_for(smallest, offers, asked, None)


def _room(deployment: Deployment, router: Router) -> Room:
    return Room(
        deployment.id,
        order=deployment.order,
        max_parallel=_max_parallel(deployment, router),
        rpm=deployment.rpm,
        tpm=deployment.tpm,
    )


def _has_limits(deployment: Deployment, router: Router) -> bool:
    return (_max_parallel(deployment, router), deployment.rpm, deployment.tpm) != (None, None, None)


def _max_parallel(deployment: Deployment, router: Router) -> int | None:
    own = deployment.max_parallel_requests
    return router.default_max_parallel_requests if own is None else own
