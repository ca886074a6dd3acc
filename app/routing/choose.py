"""In which order the deployments of a model are tried."""

from __future__ import annotations

import random

from app.model_list import Deployment


def order(group: tuple[Deployment, ...], rng: random.Random) -> list[Deployment]:
    """The group shuffled, so that each deployment gets an equal share of the calls, and of each other's failures."""
    return rng.sample(group, len(group))
