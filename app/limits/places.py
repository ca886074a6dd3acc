"""Places at deployments: what each takes at a time and in a minute, over all processes; and which are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from redis.exceptions import RedisError

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.limits.admission import Cooling, cooling_of
from app.limits.meters import (
    Tokens,
    amounts_key,
    cooling_key,
    fails_key,
    pace_key,
    places_key,
    requests_key,
    tokens_key,
)
from app.limits.scripts import Argument, Script

# What a deployment's requests and tokens are named among those of meters.
DEPLOYMENT = "deployment:"
# Failures are counted over a minute, as LiteLLM's allowed_fails says.
MINUTE_MS = 60_000
# How much the newest answer says about how fast a deployment is.
NEWEST_PERCENT = 30

Ranked = Literal["given", "busy", "pace", "usage"]
_place, _leave, _cool = Script("used", "rates", "place"), Script("used", "leave"), Script("cool")


@dataclass(frozen=True, slots=True)
class Room:
    """What one deployment takes: calls at a time, requests and tokens in any 60 seconds; None: no limit.

    Deployments of a lower `order` are preferred.
    """

    deployment: str
    order: int = 1
    max_parallel: int | None = None
    rpm: int | None = None
    tpm: int | None = None

    @property
    def meter(self) -> str:
        """By what name its requests and tokens stand in Redis."""
        return DEPLOYMENT + self.deployment


@dataclass(frozen=True, slots=True)
class Place:
    """A place that one attempt has at a deployment. `kind` is "stream" or "whole"."""

    room: Room
    attempt: str
    kind: str

    @property
    def slot(self) -> str:
        """The key of the places that it is one of."""
        return places_key(self.room.deployment)


@dataclass(frozen=True, slots=True)
class Full:
    """No deployment has room: `reason` is "parallel", "rpm" or "tpm", `taken` of `limit` are used.

    `wait_ms` is until there may be room, as far as the limits know (0: when a call ends; None: never).
    """

    reason: str
    taken: int
    limit: int
    wait_ms: int | None


def take(
    attempt: str, rooms: Sequence[Room], ranked: Ranked, lease_ms: int, tokens: Tokens, *, stream: bool
) -> Place | Full:
    """A place for one attempt at the best deployment with room. Raises LimitsUnavailable."""
    kind = "stream" if stream else "whole"
    keys: list[str] = []
    arguments: list[Argument] = [attempt, lease_ms, ranked, kind]
    for room in rooms:
        one, name = room.deployment, room.meter
        keys += [places_key(one), requests_key(name), tokens_key(name), amounts_key(name), pace_key(one)]
        arguments += [
            room.order,
            *("" if limit is None else limit for limit in (room.max_parallel, room.rpm, room.tpm)),
        ]
        arguments.append(tokens.likely if room.tpm is None else tokens.needed_of(room.tpm))
    answer = _place(keys, arguments)
    if answer[0]:
        return Place(rooms[int(answer[0]) - 1], attempt, kind)
    wait = int(answer[4])
    return Full(answer[1].decode(), int(answer[2]), int(answer[3]), None if wait < 0 else wait)


def possible(attempt: str, rooms: Iterable[Room]) -> list[Place]:
    """The places that `take` may have taken where it got no answer: at the most one of them was."""
    return [Place(room, attempt, "whole") for room in rooms]


def leave(place: Place, tokens: int, began_ms: int | None) -> None:
    """The attempt is over and has used so many tokens; its answer began after `began_ms` (None: says nothing).

    Raises LimitsUnavailable.
    """
    name = place.room.meter
    keys = [place.slot, tokens_key(name), amounts_key(name), pace_key(place.room.deployment)]
    _leave(keys, [place.attempt, tokens, place.kind, "" if began_ms is None else began_ms, NEWEST_PERCENT])


def restore(places: Iterable[Place], lease_ms: int) -> None:
    """Puts slots back that Redis has lost. Raises LimitsUnavailable."""
    try:
        with redis.client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            (seconds, micros), *_ = pipeline.execute()
            ends = seconds * 1000 + micros // 1000 + lease_ms
            for place in places:
                pipeline.zadd(place.slot, {place.attempt: ends})
            pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer.") from error


def cool(deployment: str, allowed: int, cooling: Cooling) -> bool:
    """Counts a failure; True where the deployment is left alone now. Raises LimitsUnavailable."""
    what = f"{int(cooling.told)}{cooling.reason}"
    keys = [fails_key(deployment), cooling_key(deployment)]
    return bool(_cool(keys, [allowed, MINUTE_MS, max(1, cooling.ms), what]))


def cooling(deployments: Sequence[str]) -> dict[str, Cooling]:
    """Those of the deployments that are left alone at this moment. Raises LimitsUnavailable."""
    try:
        with redis.client.pipeline(transaction=False) as pipeline:
            for deployment in deployments:
                pipeline.get(cooling_key(deployment))
                pipeline.pttl(cooling_key(deployment))
            told = pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer.") from error
    found = zip(deployments, told[::2], told[1::2], strict=True)
    return {deployment: cooling_of(ms, what) for deployment, what, ms in found if what is not None}
