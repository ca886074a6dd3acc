"""Parallel limits: never one too many, and never a slot that stays taken."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys.conftest import Person, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services import short_lease
from tests.services.stack import Stack

# Slots are in Redis alone.
ONE_DATABASE = pytest.mark.parametrize("stack", ["postgresql"], indirect=True)


def crowd(callers: list[Person], model: str, seconds: float) -> Counter[int]:
    """Everybody calls again and again for so long; gives how often each status was answered."""
    ends = time.monotonic() + seconds
    told: Counter[int] = Counter()
    lock = threading.Lock()

    def keep_calling(person: Person) -> None:
        while time.monotonic() < ends:
            status = person.chat(model).status_code
            with lock:
                told[status] += 1
            if status != 200:
                time.sleep(0.05)

    threads = [threading.Thread(target=keep_calling, args=(person,)) for person in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@ONE_DATABASE
def test_the_provider_never_sees_a_fifth_call_in_flight(
    stack: Stack, person: Callable[..., Person], provider: ScriptedProvider
) -> None:
    caller = person(max_parallel_requests=4)
    told = crowd([caller.at(stack.urls[number % 2]) for number in range(64)], "busy", seconds=10)
    assert provider.max_in_flight == 4
    assert set(told) == {200, 429}
    assert told[200] == len(provider.calls)
    with ThreadPoolExecutor(4) as four:
        with_all_slots_free = list(
            four.map(lambda web: caller.at(stack.urls[web]).chat("busy").status_code, (0, 1, 0, 1))
        )
    assert with_all_slots_free == [200] * 4


def test_a_killed_process_frees_its_slots_within_one_lease_and_its_call_is_booked(
    mortal_stack: Stack, provider: ScriptedProvider
) -> None:
    admin = Person(mortal_stack.master_key, mortal_stack.urls[1])
    caller = user_of(mortal_stack, admin, user_id="ada", max_parallel_requests=1, max_budget=1)
    lost = threading.Thread(target=ignoring_errors, args=(lambda: caller.chat("hanging", max_tokens=100),))
    lost.start()
    until(lambda: provider.in_flight == 1)
    mortal_stack.kill(0)
    lost.join()
    other = caller.at(mortal_stack.urls[1])
    assert other.chat("dime").status_code == 429
    until(lambda: other.chat("dime").status_code == 200, seconds=short_lease.SECONDS + 4)
    until(lambda: {"abandoned", "success"} <= booked(admin))
    assert admin.get("/user/info", user_id="ada").json()["user_info"]["spend"] == 0.2


def booked(admin: Person) -> set[str]:
    return {row["status"] for row in admin.get("/spend/logs", user_id="ada").json()}


def ignoring_errors(act: Callable[[], object]) -> None:
    """The connection dies with its process, as it should."""
    with contextlib.suppress(OSError):
        act()
