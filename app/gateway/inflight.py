"""What this process still owes Redis: leases of running calls, and endings that Redis has not taken yet.

One thread for all calls of the process (a greenlet under gevent).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app import queue
from app.errors import LimitsUnavailable
from app.limits import admission
from app.limits.meters import Meter

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
RENEWED_AT_ONCE = 500
# Refused calls that Redis may have admitted: they book nothing, so during a long outage the oldest may be forgotten.
MOST_GIVEN_BACK = 100_000


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: its cost in nano-dollars and its event.

    An empty event books nothing and gives everything back.
    """

    request_id: str
    meters: tuple[Meter, ...]
    cost: int
    event: bytes


class InFlight:
    """The calls of this process that are running, and the endings that wait for Redis."""

    def __init__(self, lease: float) -> None:
        """`lease` is seconds; it is renewed three times before it would end."""
        self._lease_ms = int(lease * 1000)
        self._every = lease / 3
        self._running: dict[str, Sequence[str]] = {}
        self._unsent: deque[Ending] = deque()
        self._given_back: deque[Ending] = deque(maxlen=MOST_GIVEN_BACK)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wanted = threading.Event()

    def start(self, request_id: str, meters: Sequence[Meter]) -> None:
        """From now on the call's lease is renewed."""
        self._running[request_id] = admission.slots_of(meters)
        if self._thread is None:
            self._begin()

    def end(self, ending: Ending) -> None:
        """Tells Redis, now if it answers, and again and again until it does if not. Never raises for Redis."""
        self._running.pop(ending.request_id, None)
        try:
            self._tell(ending)
        except LimitsUnavailable:
            log.warning("Redis did not take the end of a call; it is kept and sent again")
            self._unsent.append(ending)
            self._begin()
            self._wanted.set()

    def give_back(self, request_id: str, meters: tuple[Meter, ...]) -> None:
        """For a call whose admission got no answer: Redis may have taken slots and money for it. Returns at once."""
        self._given_back.append(Ending(request_id, meters, 0, b""))
        self._begin()
        self._wanted.set()

    def _tell(self, ending: Ending) -> None:
        if admission.finish(ending.request_id, ending.meters, ending.cost, ending.event):
            queue.waker.wake()

    def _begin(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="in-flight", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait(self._every)
            self._wanted.clear()
            try:
                self._renew()
                self._send_again(self._unsent)
                self._send_again(self._given_back)
            except LimitsUnavailable:
                # Still down. Leases that end meanwhile are booked by the worker, once; the endings stay here.
                time.sleep(RETRY_SECONDS)
                self._wanted.set()

    def _renew(self) -> None:
        running = list(self._running.items())
        for first in range(0, len(running), RENEWED_AT_ONCE):
            admission.renew(self._lease_ms, running[first : first + RENEWED_AT_ONCE])

    def _send_again(self, endings: deque[Ending]) -> None:
        while endings:
            self._tell(endings[0])
            endings.popleft()
