"""A new release under load: what runs is finished, what is refused was never begun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.journeys.conftest import Person, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def test_streams_that_run_when_a_web_process_is_asked_to_end_are_finished_and_booked(
    own_stack: Stack, provider: ScriptedProvider
) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, user_id="ada").at(own_stack.urls[1])
    with ThreadPoolExecutor(5) as pool:
        streams = [pool.submit(caller.chat, "stream", stream=True) for _ in range(5)]
        until(lambda: provider.in_flight == 5)
        ending = threading.Thread(target=own_stack.web[1].end, args=(20,))
        ending.start()
        texts = [stream.result().text for stream in streams]
        ending.join()
    assert all(text.rstrip().endswith("data: [DONE]") for text in texts)
    until(lambda: len(admin.get("/spend/logs", user_id="ada").json()) == 5)
    assert {row["status"] for row in admin.get("/spend/logs", user_id="ada").json()} == {"success"}


def test_a_worker_that_is_asked_to_end_loses_nothing(own_stack: Stack) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, user_id="ada")
    with keep_calling(caller) as served:
        own_stack.workers[0].end(20)
        own_stack.workers[0].start()
    until(lambda: admin.get("/spend/logs", user_id="ada").headers["x-total-count"] == str(served()))


class keep_calling:  # noqa: N801 - it is used like a function
    """A context in which one caller keeps calling; gives how many calls were answered."""

    def __init__(self, caller: Person) -> None:
        self._caller = caller
        self._served = 0
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Callable[[], int]:
        self._thread.start()
        until(lambda: self._served > 5)
        return lambda: self._served

    def __exit__(self, *_: object) -> None:
        until(lambda: self._served > 20)
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self._served += self._caller.chat("dime").ok
            except requests.RequestException:
                return
