"""Requests and tokens per minute: what the scripts promise, on a real Valkey and against a plain reference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.extensions import redis
from app.limits import admission
from app.limits.admission import Balance, Rate, Verdict
from app.limits.meters import EPOCH, Meter, Tokens, amounts_key, requests_key, tokens_key

pytestmark = pytest.mark.usefixtures("limits")

LEASE_MS = 30_000
MINUTE_MS = 60_000
TWO_REQUESTS = Meter("key:k1", rpm=2)
TOKENS = Meter("key:k1", tpm=100)


def store() -> Any:
    """Valkey, untyped: redis-py's answers are unions of everything."""
    return redis.client


def stated(tokens: int) -> Tokens:
    return Tokens(tokens, tokens)


def ask(request_id: str, *meters: Meter, tokens: Tokens = Tokens(10, 10), estimate: int = 0) -> Verdict:  # noqa: B008 - frozen
    template = b'{"hold": 0, "meters": []}'
    return admission.admit(request_id, meters, [], estimate, LEASE_MS, template, tokens)


def pass_time(milliseconds: int) -> None:
    """As if this much time had passed: every moment that is remembered lies further back."""
    for kind in (requests_key(""), tokens_key("")):
        for key in list(store().scan_iter(f"{kind}*")):
            for member, moment in store().zrange(key, 0, -1, withscores=True):
                store().zadd(key, {member: moment - milliseconds})


def everything() -> dict[bytes, bytes]:
    keys = set(store().scan_iter()) - {EPOCH.encode()}
    return {key: store().dump(key) or b"" for key in keys}


def total(meter: Meter) -> int:
    return int(store().hget(amounts_key(meter.name), "sum") or 0)


def test_as_many_requests_as_the_limit_are_admitted() -> None:
    assert [ask(f"r{number}", TWO_REQUESTS).reason for number in range(3)] == ["permit", "permit", "rpm"]


def test_a_refusal_says_how_long_until_the_oldest_request_has_aged_out() -> None:
    ask("r1", TWO_REQUESTS)
    pass_time(20_000)
    ask("r2", TWO_REQUESTS)
    refused = ask("r3", TWO_REQUESTS)
    assert (refused.meter, refused.taken) == (TWO_REQUESTS, 2)
    assert refused.wait_ms == pytest.approx(40_000, abs=500)


def test_a_request_ages_out_after_a_minute_and_not_before() -> None:
    one = Meter("key:k1", rpm=1)
    ask("r1", one)
    pass_time(MINUTE_MS - 1000)
    assert ask("r2", one).reason == "rpm"
    pass_time(1001)
    assert ask("r3", one).reason == "permit"


def test_a_limit_that_was_lowered_waits_until_the_requests_are_fewer() -> None:
    for number in range(4):
        ask(f"r{number}", Meter("key:k1", rpm=4))
        pass_time(10_000)
    # They are 40, 30, 20 and 10 seconds old, and only one may be left.
    assert ask("r4", TWO_REQUESTS).wait_ms == pytest.approx(40_000, abs=500)


def test_a_call_that_asks_again_because_an_answer_was_lost_takes_nothing_twice() -> None:
    both = Meter("key:k1", rpm=5, tpm=100)
    assert [ask("r1", both).reason for _ in range(2)] == ["permit", "permit"]
    assert (total(both), store().zcard(requests_key("key:k1"))) == (10, 1)


def test_a_limit_of_no_requests_can_never_be_waited_for() -> None:
    refused = ask("r1", Meter("key:k1", rpm=0))
    assert (refused.reason, refused.wait_ms) == ("rpm", None)


def test_tokens_count_as_estimated_while_a_call_runs() -> None:
    ask("r1", TOKENS, tokens=stated(60))
    refused = ask("r2", TOKENS, tokens=stated(60))
    assert (refused.reason, refused.taken) == ("tpm", 60)


def test_tokens_count_as_used_when_the_call_has_ended() -> None:
    ask("r1", TOKENS, tokens=stated(60))
    admission.finish("r1", [TOKENS], 0, b"event", tokens=15)
    assert total(TOKENS) == 15
    assert ask("r2", TOKENS, tokens=stated(85)).reason == "permit"


def test_more_tokens_than_estimated_are_counted_too() -> None:
    ask("r1", TOKENS, tokens=stated(10))
    admission.finish("r1", [TOKENS], 0, b"event", tokens=140)
    assert (total(TOKENS), ask("r2", TOKENS, tokens=stated(1)).reason) == (140, "tpm")


def test_an_ending_that_is_told_twice_corrects_once() -> None:
    ask("r1", TOKENS, tokens=stated(60))
    for _ in range(2):
        admission.finish("r1", [TOKENS], 0, b"event", tokens=15)
    assert total(TOKENS) == 15


def test_a_call_that_used_nothing_keeps_its_request_and_gives_its_tokens_back() -> None:
    both = Meter("key:k1", rpm=1, tpm=100)
    ask("r1", both)
    admission.finish("r1", [both], 0, b"event", tokens=0)
    assert (total(both), ask("r2", both).reason) == (0, "rpm")


def test_a_call_that_never_took_place_gives_everything_back() -> None:
    both = Meter("key:k1", rpm=1, tpm=10)
    ask("r1", both)
    admission.finish("r1", [both], 0, b"")
    assert ask("r2", both).reason == "permit"


def test_a_call_of_a_dead_process_keeps_its_request_and_its_estimate_until_they_age_out() -> None:
    both = Meter("key:k1", rpm=1, tpm=100)
    admission.admit("r1", [both], [], 0, 0, b'{"hold": 0, "meters": [["key:k1", 0, 0]]}', stated(60))
    assert admission.abandon(10) == 1
    assert (total(both), ask("r2", both).reason) == (60, "rpm")
    pass_time(MINUTE_MS + 1)
    assert ask("r3", both).reason == "permit"


def test_a_call_longer_than_a_minute_corrects_nothing_when_it_ends() -> None:
    ask("r1", TOKENS, tokens=stated(60))
    pass_time(MINUTE_MS + 1)
    ask("r2", TOKENS, tokens=stated(10))
    admission.finish("r1", [TOKENS], 0, b"event", tokens=90)
    assert total(TOKENS) == 10


def test_a_refusal_for_tokens_says_how_long_until_enough_of_them_have_aged_out() -> None:
    ask("r1", TOKENS, tokens=stated(40))
    pass_time(10_000)
    ask("r2", TOKENS, tokens=stated(40))
    pass_time(10_000)
    assert ask("r3", TOKENS, tokens=stated(50)).wait_ms == pytest.approx(40_000, abs=500)
    assert ask("r3", TOKENS, tokens=stated(90)).wait_ms == pytest.approx(50_000, abs=500)


def test_a_guess_that_is_too_large_for_the_limit_waits_for_an_empty_minute() -> None:
    guessed = Tokens(certain=10, likely=500)
    ask("r1", TOKENS, tokens=stated(1))
    assert ask("r2", TOKENS, tokens=guessed).wait_ms == pytest.approx(MINUTE_MS, abs=500)
    pass_time(MINUTE_MS + 1)
    assert (ask("r3", TOKENS, tokens=guessed).reason, total(TOKENS)) == ("permit", 100)


def test_what_is_stated_beyond_the_limit_can_never_fit() -> None:
    refused = ask("r1", TOKENS, tokens=stated(101))
    assert (refused.reason, refused.taken, refused.wait_ms) == ("tpm", 0, None)


def test_what_can_never_fit_is_said_before_what_can_be_waited_for() -> None:
    full = Meter("user:ada", rpm=1)
    ask("r1", full)
    refused = ask("r2", full, TOKENS, tokens=stated(101))
    assert (refused.reason, refused.meter, refused.wait_ms) == ("tpm", TOKENS, None)


def test_requests_are_told_before_tokens_with_the_longer_of_both_waits() -> None:
    ask("r1", TWO_REQUESTS)
    ask("r2", TWO_REQUESTS)
    pass_time(30_000)
    ask("r3", TOKENS, tokens=stated(100))
    refused = ask("r4", TWO_REQUESTS, TOKENS)
    assert refused.reason == "rpm"
    assert refused.wait_ms == pytest.approx(MINUTE_MS, abs=500)


def test_rates_are_told_after_a_spent_budget_and_before_slots() -> None:
    ask("r1", TWO_REQUESTS)
    ask("r2", TWO_REQUESTS)
    spent, no_slot = Meter("user:ada", max_budget=10), Meter("user:ada", max_parallel=0)
    admission.seed(Balance(spent.name, 0, 10, 1))
    assert ask("r3", TWO_REQUESTS, spent, estimate=1).reason == "exceeded"
    assert ask("r4", TWO_REQUESTS, no_slot).reason == "rpm"


@pytest.mark.parametrize(
    "refusing",
    [Meter("user:ada", rpm=0), Meter("user:ada", tpm=5), Meter("user:ada", max_parallel=0)],
    ids=["rpm", "tpm", "parallel"],
)
def test_a_refused_call_takes_nothing_of_any_limit(refusing: Meter) -> None:
    everything_limited = Meter("key:k1", max_budget=100, max_parallel=5, rpm=5, tpm=500)
    admission.seed(Balance("key:k1", 0, 0, 1))
    ask("r1", everything_limited, estimate=1)
    before = everything()
    assert ask("r2", everything_limited, refusing, estimate=1).reason != "permit"
    assert everything() == before


def test_a_call_that_finds_its_money_held_takes_no_request_and_no_tokens() -> None:
    limited = Meter("key:k1", max_budget=10, rpm=5, tpm=500)
    admission.seed(Balance("key:k1", 0, 0, 1))
    ask("r1", limited, estimate=10)
    before = everything()
    assert ask("r2", limited, estimate=5).reason == "held"
    assert everything() == before


def test_a_meter_without_limits_per_minute_leaves_nothing_about_them() -> None:
    ask("r1", Meter("key:k1", max_parallel=1))
    assert {key.partition(":")[2].partition(":")[0] for key in map(bytes.decode, everything())} == {
        *("calls", "templates", "slots")
    }


def test_what_is_remembered_of_a_minute_ends_by_itself() -> None:
    ask("r1", Meter("key:k1", rpm=1, tpm=100))
    for key in (requests_key("key:k1"), tokens_key("key:k1"), amounts_key("key:k1")):
        assert MINUTE_MS - 5000 < store().pttl(key) <= MINUTE_MS + 1


def test_the_tightest_of_the_limits_is_told() -> None:
    verdict = ask("r1", Meter("key:k1", rpm=10, tpm=50), Meter("user:ada", rpm=5, tpm=900))
    assert verdict.requests is not None
    assert verdict.tokens is not None
    assert (verdict.requests.limit, verdict.requests.left) == (5, 4)
    assert (verdict.tokens.limit, verdict.tokens.left) == (50, 40)


def test_the_reset_is_when_the_oldest_ages_out() -> None:
    ask("r1", TWO_REQUESTS)
    pass_time(45_000)
    requests = ask("r2", TWO_REQUESTS).requests
    assert requests is not None
    assert requests.reset_ms == pytest.approx(15_000, abs=500)


def test_a_refusal_for_something_else_says_how_the_rates_stand() -> None:
    ask("r1", TWO_REQUESTS)
    refused = ask("r2", TWO_REQUESTS, Meter("user:ada", max_parallel=0))
    assert isinstance(refused.requests, Rate)
    assert (refused.reason, refused.requests.left, refused.tokens) == ("parallel", 1, None)


def test_forty_at_once_on_seven_requests_admit_seven() -> None:
    seven = Meter("key:k1", rpm=7)
    with ThreadPoolExecutor(20) as pool:
        reasons = list(pool.map(lambda number: ask(f"r{number}", seven).reason, range(40)))
    assert (reasons.count("permit"), reasons.count("rpm")) == (7, 33)


def test_a_running_call_is_put_back_with_its_request_and_its_tokens_as_old_as_they_are() -> None:
    both = Meter("key:k1", rpm=1, tpm=100)
    for _ in range(2):
        admission.restore("r1", [both], 0, LEASE_MS, b"{}", stated(60), age_ms=50_000)
        store().delete("tollgate:calls")
    refused = ask("r2", both)
    assert (refused.reason, total(both)) == ("rpm", 60)
    assert refused.wait_ms == pytest.approx(10_000, abs=500)


def test_a_call_that_is_older_than_a_minute_is_put_back_without_its_request() -> None:
    admission.restore("r1", [TWO_REQUESTS], 0, LEASE_MS, b"{}", age_ms=MINUTE_MS + 1)
    assert not store().exists(requests_key("key:k1"))


def test_thousands_of_old_tokens_are_forgotten_at_once() -> None:
    store().zadd(tokens_key("key:k1"), {f"r{number}": number for number in range(2345)})
    store().hset(amounts_key("key:k1"), mapping={f"r{number}": 1 for number in range(2345)} | {"sum": 2345})
    assert ask("new", TOKENS, tokens=stated(100)).reason == "permit"
    assert (total(TOKENS), store().zcard(tokens_key("key:k1")), store().hlen(amounts_key("key:k1"))) == (100, 1, 2)


@dataclass
class Reference:
    """A limiter that remembers everything and counts it anew each time; its clock stands still between two acts."""

    meters: list[Meter]
    now: int = 0
    # For each request id: when it was admitted, and its tokens for each of the meters.
    calls: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def last_minute(self) -> list[list[int]]:
        return [amounts for moment, amounts in self.calls.values() if self.now - moment <= MINUTE_MS]

    def admits(self, request_id: str, tokens: Tokens) -> bool:
        needed = [tokens.needed_of(meter.tpm or 0) for meter in self.meters]
        after = [*self.last_minute(), needed]
        for number, meter in enumerate(self.meters):
            if meter.rpm is not None and len(after) > meter.rpm:
                return False
            if meter.tpm is not None and sum(amounts[number] for amounts in after) > meter.tpm:
                return False
        self.calls[request_id] = (self.now, needed)
        return True

    def used(self, request_id: str, tokens: int) -> None:
        if request_id in self.calls:
            self.calls[request_id] = (self.calls[request_id][0], [tokens] * len(self.meters))

    def check_requests(self) -> None:
        for key, meter in ((requests_key(meter.name), meter) for meter in self.meters if meter.rpm is not None):
            times = sorted(moment for _, moment in store().zrange(key, 0, -1, withscores=True))
            in_a_minute = [sum(0 <= later - first <= MINUTE_MS for later in times) for first in times]
            assert max(in_a_minute, default=0) <= (meter.rpm or 0)


# Valkey's own clock goes on between two acts, so none may come close to the end of a minute: time passes in multiples
# of this, and a minute is none.
STEP_MS = 7000
ACTS = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 10), st.just(0)),
    st.tuples(st.just("ask"), st.integers(0, 60), st.integers(0, 60)),
    st.tuples(st.just("end"), st.integers(0, 30), st.integers(0, 90)),
    st.tuples(st.just("undo"), st.integers(0, 30), st.just(0)),
)
LIMITS = st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 120))


def play(reference: Reference, number: int, act: str, first: int, second: int) -> None:
    """One act on Valkey and on the reference. `first` is a step, an input, or the number of an earlier act."""
    earlier = f"r{first}"
    match act:
        case "pass":
            pass_time(first * STEP_MS)
            reference.now += first * STEP_MS
        case "ask":
            tokens = Tokens(first, first + second)
            admitted = ask(f"r{number}", *reference.meters, tokens=tokens).reason == "permit"
            assert admitted == reference.admits(f"r{number}", tokens)
        case "end":
            admission.finish(earlier, reference.meters, 0, b"event", tokens=second)
            reference.used(earlier, second)
        case _:
            admission.finish(earlier, reference.meters, 0, b"")
            reference.calls.pop(earlier, None)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, max_size=40), st.lists(LIMITS, min_size=1, max_size=2))
def test_random_traffic_is_admitted_exactly_as_by_the_reference(
    story: list[tuple[str, int, int]], limits: list[tuple[int | None, int | None]]
) -> None:
    store().flushall()
    admission.warm_up(at_once=True)
    meters = [Meter(f"key:k{number}", rpm=rpm, tpm=tpm) for number, (rpm, tpm) in enumerate(limits)]
    reference = Reference(meters)
    for number, (act, first, second) in enumerate(story):
        play(reference, number, act, first, second)
        reference.check_requests()
