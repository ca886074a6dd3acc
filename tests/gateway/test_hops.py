"""From the model that was asked for to those that stand in for it."""

from __future__ import annotations

import pytest

from app.errors import ModelNotAllowed, ProviderFailed, TollgateError
from app.failures import Failure
from app.gateway.hops import Answer, Hop, HopFailed, through
from app.router_settings import Router

GOOD, BAD = Answer(200, {}, [b"good"]), Answer(500, {}, [b"bad"])
ASKED = "asked"


class Story:
    """What each model says when it is called; `hops` are the calls that were made."""

    def __init__(self, **says: Answer | TollgateError | Failure) -> None:
        self.says = says
        self.hops: list[Hop] = []

    def call(self, hop: Hop) -> Answer:
        self.hops.append(hop)
        model = hop.model or ASKED
        said = self.says[model]
        if isinstance(said, TollgateError):
            raise said
        if isinstance(said, Failure):
            raise HopFailed(model, said, BAD, frozenset({f"counted by {model}"}))
        return said

    def models(self) -> list[str]:
        return [hop.model or ASKED for hop in self.hops]


def router(**fallbacks: tuple[str, ...]) -> Router:
    return Router(fallbacks=fallbacks)


def test_a_model_that_answers_needs_nobody_to_stand_in() -> None:
    story = Story(asked=GOOD)
    assert through(router(asked=("b",)), story.call) is GOOD
    assert story.models() == [ASKED]


def test_stand_ins_are_tried_in_order_each_with_a_number() -> None:
    story = Story(asked=Failure.INTERNAL, b=Failure.TIMEOUT, c=GOOD)
    assert through(router(asked=("b", "c")), story.call) is GOOD
    assert [hop.id_of("req_1") for hop in story.hops] == ["req_1", "req_1-1", "req_1-2"]


def test_a_stand_in_knows_which_meters_have_counted_the_request() -> None:
    story = Story(asked=Failure.INTERNAL, b=Failure.INTERNAL, c=GOOD)
    through(router(asked=("b", "c")), story.call)
    assert story.hops[-1].counted == {"counted by asked", "counted by b"}


def test_stand_ins_of_a_stand_in_go_before_the_rest() -> None:
    story = Story(asked=Failure.INTERNAL, b=Failure.INTERNAL, c=GOOD, d=GOOD)
    through(router(asked=("b", "c"), b=("d",)), story.call)
    assert story.models() == [ASKED, "b", "d"]


def test_models_that_stand_in_for_each_other_are_tried_once() -> None:
    story = Story(asked=Failure.INTERNAL, b=Failure.INTERNAL)
    assert through(router(asked=("b",), b=(ASKED, "b")), story.call) is BAD
    assert story.models() == [ASKED, "b"]


def test_a_stand_in_that_is_refused_is_passed_over() -> None:
    story = Story(asked=Failure.INTERNAL, b=ModelNotAllowed("no"), c=GOOD)
    assert through(router(asked=("b", "c")), story.call) is GOOD


def test_where_nobody_answers_the_first_said_it() -> None:
    first = ProviderFailed("first")

    def call(hop: Hop) -> Answer:
        raise HopFailed(hop.model or ASKED, Failure.INTERNAL, first if hop.model is None else BAD, frozenset())

    with pytest.raises(ProviderFailed) as raised:
        through(router(asked=("b",)), call)
    assert raised.value is first


def test_the_model_that_was_asked_for_is_refused_as_it_is() -> None:
    story = Story(asked=ModelNotAllowed("no"), b=GOOD)
    with pytest.raises(ModelNotAllowed):
        through(router(asked=("b",)), story.call)
    assert story.models() == [ASKED]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_stand_ins_are_tried_than_may_be(most: int) -> None:
    says = dict.fromkeys((ASKED, "b", "c", "d"), Failure.INTERNAL)
    story = Story(**says)
    through(Router(fallbacks={ASKED: ("b", "c", "d")}, max_fallbacks=most), story.call)
    assert len(story.hops) == 1 + most
