"""Which deployments answer under which model name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from app.model_list import Deployment


class _Wildcard(NamedTuple):
    """Entries with a `*` in their model_name, and the expression that such names fit."""

    pattern: str
    fitting: re.Pattern[str]
    deployments: tuple[Deployment, ...]


class Catalog:
    """The model names that callers use, each with its deployments. Made once, from the settings.

    An exact name goes before any wildcard, and a longer wildcard before a shorter one. That holds while its deployments
    are off, too: a name never means something else only because a variable is not set.
    """

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        """`deployments` are in the order of config.yaml."""
        self._all = tuple(deployments)
        by_name: dict[str, tuple[Deployment, ...]] = {}
        for deployment in self._all:
            by_name[deployment.model_name] = (*by_name.get(deployment.model_name, ()), deployment)
        self._exact = {name: found for name, found in by_name.items() if "*" not in name}
        self._wildcards = [_Wildcard(name, _expression(name), found) for name, found in by_name.items() if "*" in name]
        self._wildcards.sort(key=lambda wildcard: len(wildcard.pattern), reverse=True)

    def group(self, model: str) -> tuple[Deployment, ...]:
        """The usable deployments that answer under that name; empty where it is unknown or all of them are off.

        Behind a wildcard each `*` of a deployment's own model is replaced by what was matched.
        """
        return tuple(deployment for deployment in self._entries(model) if deployment.off is None)

    def access_groups(self, model: str) -> frozenset[str]:
        """The access groups that the name belongs to, by any of its deployments."""
        return frozenset(group for deployment in self._entries(model) for group in deployment.access_groups)

    def names(self) -> tuple[str, ...]:
        """The names of usable deployments, wildcards included, in the order of config.yaml."""
        return tuple(dict.fromkeys(deployment.model_name for deployment in self._all if deployment.off is None))

    def all(self) -> tuple[Deployment, ...]:
        """Every deployment, also those that are off."""
        return self._all

    def off_reason(self, model: str) -> str | None:
        """Why nothing answers under a name that is configured; None where something does or the name is unknown."""
        reasons = [deployment.off for deployment in self._entries(model)]
        return reasons[0] if reasons and None not in reasons else None

    def _entries(self, model: str) -> tuple[Deployment, ...]:
        if found := self._exact.get(model):
            return found
        for wildcard in self._wildcards:
            if match := wildcard.fitting.fullmatch(model):
                return tuple(_filled(deployment, match.groups()) for deployment in wildcard.deployments)
        return ()


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("(.+)".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def _filled(deployment: Deployment, matched: tuple[str, ...]) -> Deployment:
    parts = deployment.model.split("*")
    if len(parts) == 1:
        return deployment
    # A model with more stars than its name has no match for the last ones; they stay as they are.
    stars = [*matched, *("*" for _ in parts)]
    return replace(deployment, model="".join(star + part for star, part in zip(["", *stars], parts, strict=False)))
