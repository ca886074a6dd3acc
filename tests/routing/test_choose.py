"""Every deployment gets its share, and each turn of a call goes to one that may be asked."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.failures import Failure
from app.model_list import Deployment
from app.routing.choose import Candidates, Rest, Turn, cools_as, order

SHUFFLE = "simple-shuffle"
NOW = 1000.0


def deployment(name: str, **fields: Any) -> Deployment:
    return Deployment(id=name, model_name="m", provider="openai", model="m", price_provider="openai", **fields)


GROUP = tuple(deployment(name) for name in "abc")
A, B, C = GROUP


def no_cost(_: Deployment) -> None:
    return None


def first_of(group: tuple[Deployment, ...], times: int = 3000) -> Counter[str]:
    rng = random.Random(1)
    return Counter(order(group, SHUFFLE, no_cost, rng)[0].id for _ in range(times))


# The order


def test_an_order_has_every_deployment_once() -> None:
    assert sorted(one.id for one in order(GROUP, SHUFFLE, no_cost, random.Random(1))) == ["a", "b", "c"]


def test_each_deployment_comes_first_as_often_as_the_others() -> None:
    assert all(900 < count < 1100 for count in first_of(GROUP).values())


def test_no_deployments_have_an_order() -> None:
    assert order((), SHUFFLE, no_cost, random.Random(1)) == []


@pytest.mark.parametrize("of", ["weight", "rpm", "tpm"])
def test_a_deployment_with_three_times_the_share_comes_first_three_times_as_often(of: str) -> None:
    told = first_of((deployment("small", **{of: 1}), deployment("large", **{of: 3})), 4000)
    assert 2800 < told["large"] < 3200


def test_weights_go_before_rpm() -> None:
    group = deployment("light", weight=1, rpm=1000), deployment("heavy", weight=9, rpm=1)
    assert first_of(group, 1000)["heavy"] > 800


def test_a_deployment_without_weight_stands_behind_all_that_have_one() -> None:
    group = deployment("spare", weight=0), deployment("a", weight=0.0001), deployment("b", weight=1000)
    assert {order(group, SHUFFLE, no_cost, random.Random(seed))[-1].id for seed in range(200)} == {"spare"}


def test_a_higher_order_stands_behind_a_lower_one_whatever_its_weight() -> None:
    group = deployment("second", order=2, weight=1000), deployment("first", order=1, weight=1)
    assert {order(group, SHUFFLE, no_cost, random.Random(seed))[0].id for seed in range(100)} == {"first"}


def test_the_cheapest_comes_first_and_one_without_a_price_last() -> None:
    costs = {"a": 3.0, "b": None, "c": 1.0}
    found = order(GROUP, "cost-based-routing", lambda one: costs[one.id], random.Random(1))
    assert [one.id for one in found] == ["c", "a", "b"]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e6), st.integers(1, 1000)), max_size=8), st.integers())
def test_an_order_is_a_permutation_with_lower_orders_first(shapes: list[tuple[int, float, int]], seed: int) -> None:
    group = [
        deployment(str(number), order=tier, weight=weight, rpm=rpm) for number, (tier, weight, rpm) in enumerate(shapes)
    ]
    found = order(group, SHUFFLE, no_cost, random.Random(seed))
    assert sorted(one.id for one in found) == sorted(one.id for one in group)
    assert [one.order for one in found] == sorted(one.order for one in group)


# Turns


def test_the_first_turn_is_everybodys() -> None:
    assert Candidates(GROUP, {}).turn(NOW) == Turn(GROUP)


def test_one_that_failed_is_asked_after_those_that_did_not() -> None:
    candidates = Candidates(GROUP, {})
    candidates.failed(A, Failure.INTERNAL, 0)
    assert candidates.turn(NOW) == Turn((B, C))


def test_when_all_have_failed_one_is_asked_again_not_before_the_moment_that_it_named() -> None:
    candidates = Candidates((A,), {})
    candidates.failed(A, Failure.UNAVAILABLE, NOW + 3)
    assert candidates.turn(NOW) == Turn((A,), again=True, not_before=NOW + 3)


def test_of_those_that_have_failed_the_one_that_may_be_asked_first_is_next() -> None:
    candidates = Candidates((A, B), {})
    candidates.failed(A, Failure.UNAVAILABLE, NOW + 3)
    candidates.failed(B, Failure.UNAVAILABLE, NOW + 1)
    assert candidates.turn(NOW) == Turn((B,), again=True, not_before=NOW + 1)


@pytest.mark.parametrize("failure", [Failure.RATE_LIMIT, Failure.AUTHENTICATION])
def test_a_deployment_that_refuses_us_is_not_asked_again_in_the_same_call(failure: Failure) -> None:
    candidates = Candidates((A,), {})
    candidates.failed(A, failure, 0)
    assert candidates.turn(NOW) is None


def test_one_that_is_left_alone_is_passed_over() -> None:
    assert Candidates((A, B), {"a": Rest(NOW + 5, told=False)}).turn(NOW) == Turn((B,))


def test_one_whose_time_is_over_is_asked() -> None:
    assert Candidates((A,), {"a": Rest(NOW, told=True)}).turn(NOW) == Turn((A,))


def test_when_all_are_left_alone_the_one_whose_time_ends_first_is_asked_all_the_same() -> None:
    resting = {"a": Rest(NOW + 5, told=False), "b": Rest(NOW + 2, told=False)}
    assert Candidates((A, B), resting).turn(NOW) == Turn((B,))


def test_nobody_is_asked_before_the_moment_that_its_provider_named() -> None:
    assert Candidates((A, B), {"a": Rest(NOW + 5, told=True), "b": Rest(NOW + 2, told=True)}).turn(NOW) is None


def test_the_group_opens_when_the_first_may_be_asked() -> None:
    candidates = Candidates((A, B), {"a": Rest(NOW + 5, told=True), "b": Rest(NOW + 2, told=True)})
    assert candidates.opens(NOW) == NOW + 2


def test_a_group_of_which_one_has_named_no_moment_is_open() -> None:
    candidates = Candidates((A, B), {"a": Rest(NOW + 5, told=True), "b": Rest(NOW + 2, told=False)})
    assert candidates.opens(NOW) is None


def test_one_that_cannot_serve_the_call_has_no_turn() -> None:
    candidates = Candidates((A, B), {})
    candidates.drop(A)
    assert candidates.turn(NOW) == Turn((B,))


def test_models_behind_one_wildcard_are_left_alone_each_for_itself() -> None:
    def filled(model: str) -> Deployment:
        return Deployment(id="w", model_name="openai/*", provider="openai", model=model)

    assert cools_as(filled("x")) != cools_as(filled("y"))


RESTS = st.dictionaries(
    st.sampled_from("abc"), st.builds(Rest, st.floats(NOW - 5, NOW + 5, allow_nan=False), st.booleans())
)
FAILURES = st.dictionaries(st.sampled_from("abc"), st.sampled_from(Failure))


@given(RESTS, FAILURES)
def test_no_turn_goes_to_one_whose_provider_asked_to_be_left_alone(
    rests: dict[str, Rest], failures: dict[str, Failure]
) -> None:
    candidates = Candidates(GROUP, rests)
    for one in GROUP:
        if one.id in failures:
            candidates.failed(one, failures[one.id], 0)
    turn = candidates.turn(NOW)
    asked = () if turn is None else turn.deployments
    told = {name for name, rest in rests.items() if rest.told and rest.until > NOW}
    assert told.isdisjoint(one.id for one in asked)


@given(RESTS)
def test_a_group_is_never_empty_but_for_moments_that_providers_named(rests: dict[str, Rest]) -> None:
    candidates = Candidates(GROUP, rests)
    assert (candidates.turn(NOW) is None) == (candidates.opens(NOW) is not None)
