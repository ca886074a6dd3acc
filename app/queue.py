"""The only door to the worker: task names, sent within a bounded time and never in the way of an answer."""

from __future__ import annotations

import logging
import threading

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

SETTLE = "tollgate.settle"
SWEEP = "tollgate.sweep"
BUDGETS = "tollgate.budgets"
RETENTION = "tollgate.retention"
RECONCILE = "tollgate.reconcile"
WEBHOOKS = "tollgate.webhooks"
EXPIRY = "tollgate.expiry"
ROTATION = "tollgate.rotation"

log = logging.getLogger(__name__)


class Waker:
    """Sends "there is something to settle" from a thread of its own, so that no caller waits for the broker.

    Losing a wake-up costs a moment, no money: the worker also looks by itself.
    """

    def __init__(self) -> None:
        """The thread starts with the first wake-up, in the process that makes it, after any fork."""
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def wake(self) -> None:
        """Returns at once."""
        self._wanted.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            send(SETTLE)


waker = Waker()


def send(task: str, *arguments: str) -> None:
    """Sends one task; a broker that is down is logged and not waited for."""
    try:
        current_app.send_task(task, args=arguments, retry=False)
    except (OperationalError, RedisError, OSError):
        log.warning("could not wake the worker: the broker does not answer", extra={"task": task})


def check_budget(user_id: str) -> None:
    """Asks the worker to compare the user's spend with their budget: keys are revoked or opened again."""
    send(BUDGETS, user_id)
