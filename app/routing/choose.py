"""Which deployment of a model is asked, which one next when it fails, and which must not be asked yet."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.failures import Failure
from app.model_list import Deployment

COST = "cost-based-routing"
# Failures that the same deployment will repeat at once: only another one may do better.
ONLY_ELSEWHERE = frozenset({Failure.RATE_LIMIT, Failure.AUTHENTICATION})


def order(
    group: Sequence[Deployment], strategy: str, cost: Callable[[Deployment], float | None], rng: random.Random
) -> list[Deployment]:
    """The group as it is tried: by `order`, then shuffled, or by cost (None: nobody knows it, so it comes last).

    Which one is least busy, fastest or least used is known in Redis: there these stand shuffled, too.
    """
    if len(group) == 1:
        return list(group)
    shuffled = _shuffled(group, rng)
    if strategy == COST:
        shuffled.sort(key=lambda one: math.inf if (known := cost(one)) is None else known)
    return sorted(shuffled, key=lambda one: one.order)


def _shuffled(group: Sequence[Deployment], rng: random.Random) -> list[Deployment]:
    """Each stands first as often as its share says: by weights, else by rpm, else by tpm, else equally.

    One with no share where others have some stands behind all of them: it is for their failures.
    """
    shares = _shares(group)
    drawn = [(_drawn(share, rng), one) for one, share in shares]
    return [one for _, one in sorted(drawn, key=lambda pair: pair[0], reverse=True)]


def _drawn(share: float, rng: random.Random) -> tuple[bool, float]:
    """Efraimidis and Spirakis, "Weighted random sampling with a reservoir": the largest of these comes first."""
    # 1 - random() is never 0, which has no logarithm.
    chance = math.log(1.0 - rng.random())
    return (True, chance / share) if share else (False, chance)


def _shares(group: Sequence[Deployment]) -> list[tuple[Deployment, float]]:
    for of in (_weight, _rpm, _tpm):
        stated = [of(one) or 0 for one in group]
        if any(stated):
            return list(zip(group, stated, strict=True))
    return [(one, 1.0) for one in group]


def _weight(one: Deployment) -> float | None:
    return one.weight


def _rpm(one: Deployment) -> float | None:
    return one.rpm


def _tpm(one: Deployment) -> float | None:
    return one.tpm


def cools_as(deployment: Deployment) -> str:
    """By what name it is left alone: the models behind one wildcard are left alone each for itself."""
    return f"{deployment.id}:{deployment.model}" if "*" in deployment.model_name else deployment.id


@dataclass(frozen=True, slots=True)
class Rest:
    """A deployment is left alone until then (time.monotonic()); `told`: the provider itself said so."""

    until: float
    told: bool


@dataclass(slots=True)
class Turn:
    """Who may be asked next, the most wanted first; `again`: they have failed in this call already.

    They must not be asked before `not_before` (time.monotonic()).
    """

    deployments: tuple[Deployment, ...]
    again: bool = False
    not_before: float = 0.0


class Candidates:
    """The deployments of one call, in the order in which they are wanted."""

    def __init__(self, deployments: Sequence[Deployment], resting: Mapping[str, Rest]) -> None:
        """`resting` are those that are left alone, by `cools_as`."""
        self._all = tuple(deployments)
        self._resting = dict(resting)
        self._failed: dict[str, Failure] = {}
        self._not_before: dict[str, float] = {}

    def turn(self, now: float) -> Turn | None:
        """Who is asked next; None: nobody may be.

        Those that have not failed yet come first; of those that are left alone, when there is nobody else, the one
        whose time ends first. Nobody is asked before the moment that a provider has named.
        """
        fresh = [one for one in self._all if one.id not in self._failed]
        if ready := [one for one in fresh if not self._rests(one, now)]:
            return Turn(tuple(ready))
        again = [one for one in self._all if self._failed.get(one.id) not in {None, *ONLY_ELSEWHERE}]
        if ready := [one for one in again if not self._rests(one, now)]:
            first = min(ready, key=self._earliest)
            return Turn((first,), again=True, not_before=self._earliest(first))
        if resting := [one for one in (*fresh, *again) if not self._resting[cools_as(one)].told]:
            first = min(resting, key=lambda one: self._resting[cools_as(one)].until)
            return Turn((first,), again=first.id in self._failed, not_before=self._earliest(first))
        return None

    def failed(self, one: Deployment, failure: Failure, not_before: float) -> None:
        """It was asked in vain; the provider does not want it to be asked before that moment (0: it has not said)."""
        self._failed[one.id] = failure
        self._not_before[one.id] = not_before

    def drop(self, one: Deployment) -> None:
        """It cannot serve this call at all."""
        self._all = tuple(other for other in self._all if other.id != one.id)

    def rest(self, one: Deployment, rest: Rest) -> None:
        """It is left alone from now on, by others too."""
        self._resting[cools_as(one)] = rest

    def opens(self, now: float) -> float | None:
        """When the first of them may be asked again, where providers have said so of them all; else None."""
        told = [rest for one in self._all if (rest := self._rests(one, now)) and rest.told]
        return min(rest.until for rest in told) if told and len(told) == len(self._all) else None

    def _rests(self, one: Deployment, now: float) -> Rest | None:
        rest = self._resting.get(cools_as(one))
        return rest if rest is not None and rest.until > now else None

    def _earliest(self, one: Deployment) -> float:
        return self._not_before.get(one.id, 0.0)
