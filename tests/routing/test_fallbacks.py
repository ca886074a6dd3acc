"""Which models stand in for which."""

from __future__ import annotations

import pytest

from app.failures import Failure
from app.router_settings import Router
from app.routing.fallbacks import stand_ins

ROUTER = Router(
    fallbacks={"a": ("b", "c")},
    default_fallbacks=("d", "e"),
    context_window_fallbacks={"a": ("long",)},
    content_policy_fallbacks={"a": ("lenient",)},
)
OTHERS = [Failure.AUTHENTICATION, Failure.RATE_LIMIT, Failure.TIMEOUT, Failure.UNAVAILABLE, Failure.INTERNAL]


@pytest.mark.parametrize("failure", OTHERS)
def test_a_model_that_fails_has_its_own_stand_ins(failure: Failure) -> None:
    assert stand_ins(ROUTER, "a", failure) == ("b", "c")


def test_a_model_without_its_own_has_the_default_ones() -> None:
    assert stand_ins(ROUTER, "x", Failure.INTERNAL) == ("d", "e")


def test_a_star_stands_for_every_model_without_its_own() -> None:
    router = Router(fallbacks={"a": ("b",), "*": ("any",)}, default_fallbacks=("d",))
    assert [stand_ins(router, name, Failure.INTERNAL) for name in "ax"] == [("b",), ("any",)]


def test_no_model_stands_in_for_itself() -> None:
    assert stand_ins(ROUTER, "d", Failure.INTERNAL) == ("e",)


def test_a_request_that_is_too_long_goes_to_models_with_more_room_only() -> None:
    assert [stand_ins(ROUTER, name, Failure.CONTEXT_WINDOW) for name in "ax"] == [("long",), ()]


def test_a_request_that_a_provider_does_not_like_goes_to_the_models_named_for_that_only() -> None:
    assert [stand_ins(ROUTER, name, Failure.CONTENT_POLICY) for name in "ax"] == [("lenient",), ()]


def test_a_callers_own_mistake_goes_to_no_other_model() -> None:
    assert stand_ins(ROUTER, "a", Failure.BAD_REQUEST) == ()
