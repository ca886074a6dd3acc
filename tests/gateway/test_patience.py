"""How long a provider is waited for."""

from __future__ import annotations

import math

from app.gateway.patience import Patience, patience, total
from app.router_settings import USUAL, Timeouts

NONE = Timeouts()


def test_what_nobody_states_is_as_usual() -> None:
    assert patience(USUAL, NONE, stream=False) == Patience(connect=10, first=600, idle=600, length=600)
    assert total(USUAL) == 6000


def test_a_stream_lasts_as_long_as_it_does_not_fall_silent() -> None:
    assert patience(USUAL, NONE, stream=True) == Patience(connect=10, first=600, idle=600, length=math.inf)


def test_a_models_own_times_go_before_the_routers() -> None:
    router = Timeouts(timeout=50, stream_timeout=10, connect_timeout=5, idle_timeout=20, total_timeout=100)
    own = Timeouts(timeout=5, stream_timeout=1, connect_timeout=0.5, idle_timeout=2, total_timeout=10)
    assert patience(router, own, stream=True) == Patience(connect=0.5, first=1, idle=2, length=10)
    assert patience(router, NONE, stream=True) == Patience(connect=5, first=10, idle=20, length=math.inf)


def test_the_first_piece_of_a_stream_has_a_time_of_its_own_and_a_whole_answer_has_not() -> None:
    found = [patience(USUAL, Timeouts(stream_timeout=3), stream=stream).first for stream in (True, False)]
    assert found == [3, 600]
