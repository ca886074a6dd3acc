"""Settling: batch after batch, as long as events come; on which thread, and what is done beside what."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

from celery import shared_task
from flask import current_app
from redis.lock import Lock

from app.extensions import redis
from app.limits import admission
from app.limits.meters import WAKE
from app.queue import SETTLE, send
from worker import booking
from worker.booking import Entry, read, settle_batch, write
from worker.schedule import only_one

# The task stays a moment after the last event: a steady trickle of calls then costs one message, not one each.
LINGER_SECONDS = 1.0
BLOCK_MS = 150
# A transaction costs the same for one event as for a hundred, and nobody waits for it: Redis knows the cost already.
GATHER_SECONDS = 0.2
# Renewed with every batch; when a worker is killed, another settles after this time.
LOCK_SECONDS = 5
# The worker has other tasks too: after this long they get their turn, and settling goes on behind them.
LONGEST_SECONDS = 5
# A web process that wants the same core then gets three quarters of it.
PATIENT_NICENESS = 5

Result = TypeVar("Result")


class Settling:
    """Settles batch after batch, each of at most booking.BATCH events.

    A worker that keeps up lets web processes go first: calls wait for those, and nobody waits for the books. One that
    is behind, which takes a full batch, does not; while SQL books a batch, it has Redis told of the one before and
    reads the next. So Python works while the database does, which gives a quarter more calls a second (see
    benchmarks/README.md).
    """

    def __init__(self, patient: ThreadPoolExecutor, beside: ThreadPoolExecutor) -> None:
        """Two threads, of which `patient` lets others go first."""
        self._patient, self._beside = patient, beside
        self._context = current_app.app_context
        self._behind = False
        self._next: Future[list[Entry]] | None = None
        self._telling: Future[None] | None = None

    def settle_batch(self, block_ms: int) -> int:
        """The next batch, for whose first event it waits up to `block_ms`; gives how many events it took."""
        if self._behind:
            taken = self._catch_up()
        else:
            taken = self._patient.submit(_within, self._context, settle_batch, block_ms).result()
        self._behind = taken == booking.BATCH
        if not self._behind:
            self.finish()
        return taken

    def _catch_up(self) -> int:
        entries = read(0) if self._next is None else self._next.result()
        self._next = None
        if len(entries) == booking.BATCH:
            self._next = self._beside.submit(_within, self._context, read, 0, entries[-1].id)
        for booked in write(entries):
            self.finish()
            self._telling = self._beside.submit(admission.settled, *booked)
        return len(entries)

    def finish(self) -> None:
        """Waits until Redis has been told of everything. Raises LimitsUnavailable where it could not be."""
        if self._telling is not None:
            self._telling.result()
            self._telling = None


def _within(context: Callable[[], AbstractContextManager[object]], run: Callable[..., Result], *args: Any) -> Result:
    with context():
        return run(*args)


def _be_patient() -> None:
    """Lets others go first, for this thread alone: Linux has a niceness for each. It cannot be taken back."""
    if sys.platform == "linux":
        # Some sandboxes forbid it.
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + PATIENT_NICENESS)


@shared_task(name=SETTLE, ignore_result=True)
def settle() -> None:
    """Settles until nothing has come for a moment. One worker at a time: two would do no harm, only the same work."""
    with only_one("settle", LOCK_SECONDS) as lock:
        if lock is None:
            return
        with (
            ThreadPoolExecutor(1, "patient", _be_patient) as patient,
            ThreadPoolExecutor(1, "beside") as beside,
        ):
            settling = Settling(patient, beside)
            if not settling.settle_batch(0):
                return
            settle_what_comes(settling, lock)
            redis.client.delete(WAKE)
            # An event may have come in before the wake-up was possible again.
            more = settling.settle_batch(0) > 0
            settling.finish()
    if more:
        send(SETTLE)


def settle_what_comes(settling: Settling, lock: Lock) -> None:
    """Until nothing has come for LINGER_SECONDS, or for LONGEST_SECONDS."""
    started = idle_since = time.monotonic()
    while time.monotonic() - started < LONGEST_SECONDS:
        lock.reacquire()
        # As long as this stands, nobody else wakes the worker.
        redis.client.set(WAKE, "1", px=admission.WAKE_MS)
        if taken := settling.settle_batch(BLOCK_MS):
            idle_since = time.monotonic()
            if taken < booking.BATCH:
                time.sleep(GATHER_SECONDS)
        elif time.monotonic() - idle_since >= LINGER_SECONDS:
            return
