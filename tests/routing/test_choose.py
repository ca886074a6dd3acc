"""Every deployment gets its share."""

from __future__ import annotations

import random
from collections import Counter

from app.model_list import Deployment
from app.routing.choose import order

GROUP = tuple(
    Deployment(id=name, model_name="m", provider="openai", model="m", price_provider="openai") for name in "abc"
)


def test_an_order_has_every_deployment_once() -> None:
    assert sorted(deployment.id for deployment in order(GROUP, random.Random(1))) == ["a", "b", "c"]


def test_each_deployment_comes_first_as_often_as_the_others() -> None:
    rng = random.Random(1)
    first = Counter(order(GROUP, rng)[0].id for _ in range(3000))
    assert all(900 < count < 1100 for count in first.values())


def test_no_deployments_have_an_order() -> None:
    assert order((), random.Random(1)) == []
