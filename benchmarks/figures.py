"""The arithmetic of the figures: percentiles, medians, ratios, and what makes a figure worthless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of the values do not exceed (nearest rank); 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(round(share * len(values), 6)) - 1)]


def ratio(theirs: float | None, ours: float | None) -> str:
    """How many times as much theirs is: "25.0", or "1 : 4.0" where it is less; "" where either is missing or 0."""
    if not theirs or not ours:
        return ""
    return f"{theirs / ours:.1f}" if theirs >= ours else f"1 : {ours / theirs:.1f}"


@dataclass(slots=True)
class Found:
    """What the rounds of one system gave: figures by name, and for those that are worthless the first reason."""

    values: dict[str, list[float]] = field(default_factory=dict)
    invalid: dict[str, str] = field(default_factory=dict)

    def add(self, problems: Sequence[str], **figures: float) -> None:
        """Figures of one measurement. A problem, as a failed call, makes all of them worthless, in every round."""
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)
            if problems:
                self.invalid.setdefault(name, problems[0])

    def median(self, name: str) -> float | None:
        """None where it was never measured."""
        return median(self.values[name]) if self.values.get(name) else None

    def told(self) -> dict[str, dict[str, float | str]]:
        """For the JSON: medians, lowest and highest of each valid figure, and the reasons for those that are not."""
        valid = {name: values for name, values in self.values.items() if name not in self.invalid}
        return {
            "median": {name: median(values) for name, values in valid.items()},
            "lowest": {name: min(values) for name, values in valid.items()},
            "highest": {name: max(values) for name, values in valid.items()},
            "invalid": dict(self.invalid),
        }
