"""Places at deployments, and deployments that are left alone, on a real Valkey."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.extensions import redis
from app.limits import places
from app.limits.admission import Cooling
from app.limits.meters import Tokens, fails_key, pace_key
from app.limits.places import Full, Place, Ranked, Room

pytestmark = pytest.mark.usefixtures("limits")

LEASE_MS = 30_000
NO_TOKENS = Tokens()
_attempts = itertools.count()


def take(*rooms: Room, ranked: Ranked = "given", tokens: Tokens = NO_TOKENS, lease_ms: int = LEASE_MS) -> Place | Full:
    return places.take(f"req:{next(_attempts)}", rooms, ranked, lease_ms, tokens, stream=False)


def where(found: Place | Full) -> str:
    return found.room.deployment if isinstance(found, Place) else found.reason


def given_place(found: Place | Full) -> Place:
    assert isinstance(found, Place)
    return found


# Room


def test_a_deployment_without_limits_has_room_for_all() -> None:
    assert [where(take(Room("a"))) for _ in range(3)] == ["a", "a", "a"]


def test_a_full_deployment_is_passed_over_and_one_that_empties_is_not() -> None:
    first, second = Room("a", max_parallel=1), Room("b", max_parallel=1)
    held = given_place(take(first, second))
    assert [where(take(first, second)) for _ in range(2)] == ["b", "parallel"]
    places.leave(held, 0, None)
    assert where(take(first, second)) == "a"


def test_a_lower_order_is_filled_first_wherever_it_stands() -> None:
    rooms = Room("second", order=2), Room("first", order=1, max_parallel=1)
    assert [where(take(*rooms)) for _ in range(2)] == ["first", "second"]


def test_a_slot_ends_with_its_lease() -> None:
    room = Room("a", max_parallel=1)
    take(room, lease_ms=30)
    time.sleep(0.05)
    assert where(take(room)) == "a"


def test_slots_that_redis_has_lost_are_put_back() -> None:
    room = Room("a", max_parallel=1)
    held = given_place(take(room))
    redis.client.flushall()
    places.restore([held], LEASE_MS)
    assert where(take(room)) == "parallel"


def test_the_requests_of_a_minute_stay_counted_when_they_are_over() -> None:
    room = Room("a", rpm=2)
    for _ in range(2):
        places.leave(given_place(take(room)), 0, None)
    full = take(room)
    assert isinstance(full, Full)
    assert (full.reason, full.taken, full.limit) == ("rpm", 2, 2)
    assert full.wait_ms is not None
    assert 0 < full.wait_ms <= 60_001


def test_tokens_count_as_reckoned_and_later_as_used() -> None:
    room = Room("a", tpm=100)
    held = given_place(take(room, tokens=Tokens(80, 80)))
    assert where(take(room, tokens=Tokens(30, 30))) == "tpm"
    places.leave(held, 20, None)
    assert where(take(room, tokens=Tokens(80, 80))) == "a"


def test_a_call_that_no_minute_has_room_for_is_told_that_it_never_fits() -> None:
    full = take(Room("a", tpm=100), tokens=Tokens(101, 101))
    assert isinstance(full, Full)
    assert full.wait_ms is None


def test_a_refused_call_takes_nothing_from_any_deployment() -> None:
    room = Room("a", max_parallel=2, rpm=1)
    take(room)
    assert [where(take(room)) for _ in range(5)] == ["rpm"] * 5
    assert redis.client.zcard(places.Place(room, "x", "whole").slot) == 1


def test_of_full_deployments_the_one_that_opens_first_is_told() -> None:
    never, soon = Room("a", tpm=1), Room("b", max_parallel=1)
    take(soon)
    assert where(take(never, soon, tokens=Tokens(5, 5))) == "parallel"


def test_many_at_once_take_no_more_than_there_is() -> None:
    rooms = Room("a", max_parallel=3), Room("b", rpm=4)
    with ThreadPoolExecutor(8) as pool:
        found = [where(one) for one in pool.map(lambda _: take(*rooms), range(30))]
    assert {name: found.count(name) for name in ("a", "b")} == {"a": 3, "b": 4}


# Ranks


def test_the_least_busy_is_taken() -> None:
    rooms = Room("a"), Room("b"), Room("c")
    assert sorted(where(take(*rooms, ranked="busy")) for _ in range(6)) == list("aabbcc")


def test_the_fastest_is_taken_and_one_that_nobody_knows_is_tried_first() -> None:
    rooms = Room("slow"), Room("fast"), Room("new")
    for room, took in zip(rooms, (900, 100), strict=False):
        places.leave(given_place(take(room)), 0, took)
    assert where(take(*rooms, ranked="pace")) == "new"
    assert where(take(*rooms[:2], ranked="pace")) == "fast"


def test_a_slow_answer_weighs_less_than_all_before_and_is_forgotten_in_a_minute() -> None:
    room = Room("a")
    for took in (100, 200):
        places.leave(given_place(take(room)), 0, took)
    assert redis.client.hget(pace_key("a"), "whole") == b"130"
    assert 0 < redis.client.pttl(pace_key("a")) <= 60_001


def test_the_least_used_is_taken() -> None:
    rooms = Room("a"), Room("b")
    places.leave(given_place(take(*rooms, ranked="usage", tokens=Tokens(10, 10))), 100, None)
    assert where(take(*rooms, ranked="usage", tokens=Tokens(10, 10))) == "b"


# Left alone


def test_failures_beyond_what_is_allowed_leave_a_deployment_alone() -> None:
    told = [places.cool("a", 2, Cooling(5000, "internal")) for _ in range(3)]
    assert told == [False, False, True]
    found = places.cooling(["a", "b"])
    assert list(found) == ["a"]
    assert (found["a"].reason, found["a"].told) == ("internal", False)
    assert 0 < found["a"].ms <= 5000


def test_failures_are_forgotten_after_a_minute() -> None:
    places.cool("a", 5, Cooling(5000, "internal"))
    assert 0 < redis.client.pttl(fails_key("a")) <= places.MINUTE_MS


def test_the_longer_of_two_times_counts() -> None:
    places.cool("a", 0, Cooling(9000, "rate_limit", told=True))
    places.cool("a", 0, Cooling(100, "internal"))
    found = places.cooling(["a"])["a"]
    assert (found.told, found.reason) == (True, "rate_limit")
    assert found.ms > 8000
