"""Dry runs and peeks: they tell what is, and change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.limits import admission, holds
from app.limits.admission import Rate, Verdict
from app.limits.holds import Live
from app.limits.meters import (
    Meter,
    Tokens,
    amounts_key,
    asked_key,
    queue_key,
    requests_key,
    slots_key,
    tokens_key,
)
from tests.limits.asking import ask, contents, end, seed, stop_asking, store

pytestmark = pytest.mark.usefixtures("limits")

ALL = Meter("key:k1", max_budget=100, max_parallel=1, queue_ms=5000, rpm=5, tpm=500)
ROLLING = Meter("user:ada", max_budget=100, window_start=200, previous_start=100, rolls_over=100)
TEN = Tokens(10, 10)
NOTHING = Live(spend=None, held=0, due=0, carry=0, slots=0, waiting=0, requests=0, tokens=0)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiter is dropped because this machine is slow."""
    monkeypatch.setattr(admission, "WAITER_MS", 600_000)


def test_a_dry_run_says_permit_and_takes_nothing() -> None:
    seed(ALL.name, 0)
    before = contents()
    verdict = ask("r1", ALL, estimate=30, tokens=TEN, dry=True)
    assert (verdict.reason, verdict.left) == ("permit", 70)
    assert contents() == before


def test_a_dry_run_that_would_wait_joins_no_queue() -> None:
    seed(ALL.name, 0)
    ask("r1", ALL)
    ask("r2", ALL)
    before = contents()
    verdict = ask("r3", ALL, dry=True)
    assert (verdict.reason, verdict.place) == ("queued", 1)
    assert contents() == before


def test_a_dry_run_with_the_id_of_a_waiter_takes_it_out_of_no_queue() -> None:
    seed(ALL.name, 0)
    ask("r1", ALL)
    ask("r2", ALL)
    before = contents()
    assert ask("r2", ALL, Meter("user:bob", rpm=0), dry=True).reason == "rpm"
    end("r1", ALL)
    assert ask("r2", ALL, dry=True).reason == "permit"
    assert {key: before[key] for key in before if b"queue" in key or b"asked" in key} == {
        key: value for key, value in contents().items() if b"queue" in key or b"asked" in key
    }


def test_a_dry_run_says_which_balance_is_not_known() -> None:
    seed("user:ada", 200)
    verdict = ask("r1", ROLLING, estimate=1, dry=True)
    assert (verdict.reason, verdict.window_start) == ("unseeded", 100)


def test_a_dry_run_forgets_what_has_ended_and_nothing_else() -> None:
    seed(ALL.name, 0)
    ask("r1", ALL, tokens=TEN)
    ask("r2", ALL, tokens=TEN)
    for key in (slots_key, requests_key, tokens_key):
        store().zadd(key(ALL.name), {"old": 1})
    store().hset(amounts_key(ALL.name), mapping={"old": 5, "sum": 15})
    store().zadd(queue_key(ALL.name), {"dead": 0})
    store().zadd(asked_key(ALL.name), {"dead": 1})
    assert ask("r3", ALL, tokens=TEN, dry=True).place == 1
    keys = (slots_key, requests_key, tokens_key, queue_key)
    assert [store().zrange(key(ALL.name), 0, -1) for key in keys] == [[b"r1"], [b"r1"], [b"r1"], [b"r2"]]
    assert store().hgetall(amounts_key(ALL.name)) == {b"r1": b"10", b"sum": b"10"}


def test_a_meter_that_nothing_is_known_of_is_empty() -> None:
    assert holds.peek([ALL, Meter("user:ada")]) == [NOTHING, NOTHING]


def test_looking_at_no_meter_tells_nothing() -> None:
    assert holds.peek([]) == []


def test_a_look_tells_money_slots_and_the_last_minute() -> None:
    seed(ALL.name, 0, spend=7)
    wide = replace(ALL, max_parallel=3)
    for number in range(3):
        ask(f"r{number}", wide, estimate=10, tokens=TEN)
    ask("r3", wide)
    admission.finish("r0", [wide], 4, b"event", tokens=25)
    (live,) = holds.peek([wide])
    assert live == Live(spend=7, held=20, due=4, carry=0, slots=2, waiting=1, requests=3, tokens=45)


def test_a_look_does_not_count_what_has_ended() -> None:
    seed(ALL.name, 0)
    ask("r1", ALL, tokens=TEN)
    ask("dead", ALL, tokens=TEN)
    stop_asking("dead", ALL)
    for key in (slots_key, requests_key, tokens_key):
        store().zadd(key(ALL.name), {"r1": 1, "recent": 2**42})
    store().hset(amounts_key(ALL.name), mapping={"recent": 3, "sum": 13})
    before = contents()
    (live,) = holds.peek([ALL])
    assert (live.slots, live.waiting, live.requests, live.tokens) == (1, 0, 1, 3)
    assert contents() == before


def test_a_look_at_thousands_of_old_tokens_counts_none_of_them() -> None:
    store().zadd(tokens_key(ALL.name), {f"r{number}": number for number in range(2345)})
    store().hset(amounts_key(ALL.name), mapping={f"r{number}": 1 for number in range(2345)} | {"sum": 2345})
    assert holds.peek([ALL])[0].tokens == 0


def test_a_look_tells_what_has_rolled_over() -> None:
    seed("user:ada", 200, spend=5)
    seed("user:ada", 100, spend=60)
    assert holds.peek([ALL, ROLLING])[1] == replace(NOTHING, spend=5, carry=40)


def test_a_look_counts_what_calls_of_the_window_before_take_of_what_rolls_over() -> None:
    seed("user:ada", 200)
    seed("user:ada", 100, spend=60)
    before = Meter("user:ada", max_budget=100, window_start=100)
    ask("r1", before, estimate=10)
    ask("r2", before, estimate=30)
    end("r1", before, cost=15)
    # Of the 40 that can roll over 15 are due and the rest is held.
    assert holds.peek([ROLLING]) == [replace(NOTHING, spend=0, carry=40, due=15, held=25)]


def test_a_look_says_where_the_previous_window_is_not_known() -> None:
    seed("user:ada", 200)
    assert holds.peek([ROLLING]) == [replace(NOTHING, spend=0, carry=None)]


def test_a_look_without_redis_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "client", Redis.from_url("redis://127.0.0.1:1/0"))
    with pytest.raises(LimitsUnavailable):
        holds.peek([ALL])


# Whatever has happened before: looking changes nothing, and a dry run says what the call is then told.

NAMES = ["key:k1", "key:k1#gpt", "user:ada", "team:t1"]
METERS = st.builds(
    Meter,
    name=st.just(""),
    max_budget=st.sampled_from([None, 60, 100]),
    strict=st.booleans(),
    window_start=st.just(200),
    max_parallel=st.sampled_from([None, None, None, 1, 2]),
    rpm=st.sampled_from([None, None, None, 4]),
    tpm=st.sampled_from([None, None, None, 100]),
    previous_start=st.sampled_from([None, 100]),
    rolls_over=st.sampled_from([0, 40]),
    queue_ms=st.sampled_from([0, 1000, 1000]),
)
PATHS = st.sets(st.integers(0, len(NAMES) - 1), min_size=1, max_size=3)
CALLS = st.integers(0, 12)
ASKING = st.tuples(st.just("ask"), CALLS, PATHS, st.sampled_from([0, 5, 20, 60]))
ACTS = st.one_of(
    ASKING,
    ASKING,
    ASKING,
    st.tuples(st.just("end"), CALLS, PATHS, st.integers(0, 10)),
    st.tuples(st.just("ask in the window before"), CALLS, PATHS, st.sampled_from([5, 20])),
    st.tuples(st.just("leave"), CALLS, PATHS, st.just(0)),
    st.tuples(st.just("settle"), CALLS, PATHS, st.integers(0, 70)),
    st.tuples(st.just("settle"), CALLS, PATHS, st.integers(0, 70)),
    st.tuples(st.just("forget"), CALLS, PATHS, st.just(0)),
)


def untimed(verdict: Verdict) -> Verdict:
    """Without moments: time goes on between two looks."""

    def still(rate: Rate | None) -> Rate | None:
        return rate and replace(rate, reset_ms=None)

    return replace(verdict, wait_ms=None, requests=still(verdict.requests), tokens=still(verdict.tokens))


def check_looks(request_id: str, path: list[Meter], estimate: int, tokens: Tokens) -> Verdict:
    before = contents()
    lives = holds.peek(path)
    told = ask(request_id, *path, estimate=estimate, tokens=tokens, dry=True)
    assert contents() == before
    for meter, live in zip(path, lives, strict=True):
        if told.reason in {"exceeded", "held", "short"} and told.meter == meter and live.spend is not None:
            left = told.budget - live.spend - live.held - live.due
            assert (live.spend, (meter.max_budget or 0) + (live.carry or 0)) == (told.spend, told.budget)
            assert told.reason == "exceeded" or left == told.left
    verdict = ask(request_id, *path, estimate=estimate, tokens=tokens)
    assert untimed(verdict) == untimed(told)
    return verdict


def play(number: int, act: tuple[str, int, set[int], int], meters: list[Meter]) -> None:
    kind, which, places, amount = act
    path = [meters[place] for place in sorted(places)]
    earlier = [replace(meter, window_start=100, previous_start=None) for meter in path]
    match kind:
        case "ask":
            verdict = check_looks(f"r{which}", path, amount, Tokens(amount, amount))
            if verdict.reason == "unseeded" and verdict.meter is not None:
                seed(verdict.meter.name, verdict.window_start, amount, number)
        case "ask in the window before":
            ask(f"r{which}", *earlier, estimate=amount)
        case "end":
            for start in (100, 200):
                end(f"r{which}", *(replace(meter, window_start=start) for meter in meters), cost=amount)
        case "leave":
            admission.leave_queues(f"r{which}", path)
        case "forget":
            admission.doubt_balances(f"run-{number}")
        case _:
            for meter in meters:
                seed(meter.name, 100, amount, number)
                seed(meter.name, 200, amount // 2, number)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, min_size=20, max_size=40), st.tuples(*[METERS] * len(NAMES)))
def test_looking_changes_nothing_and_a_dry_run_says_what_the_call_is_told(
    story: list[tuple[str, int, set[int], int]], drawn: tuple[Meter, ...]
) -> None:
    store().flushall()
    admission.warm_up(at_once=True)
    meters = [replace(meter, name=name) for name, meter in zip(NAMES, drawn, strict=True)]
    for name in NAMES:
        seed(name, 100)
        seed(name, 200)
    for number, act in enumerate(story):
        play(number + 1, act, meters)
