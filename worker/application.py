"""Celery's application with all tasks: what runs them loads it, and so does `celery -A worker`."""

from __future__ import annotations

import gc
import signal
import threading
from typing import Any, cast

from celery import Celery, bootsteps
from celery.beat import EmbeddedService, Scheduler
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import task_postrun, task_prerun, worker_ready
from sqlalchemy.orm import configure_mappers

from app import create_background_app
from app.reload.process import Reloader
from worker import acting, budgets, expiry, reconcile, retention, rotation, schedule, settle, sweep, webhooks

__all__ = ["acting", "budgets", "celery", "expiry", "reconcile", "retention", "rotation", "settle", "sweep", "webhooks"]

# Nobody waits for the worker: it may be patient with a large batch or a slow disk, though not for ever.
flask_app = create_background_app(database_patience=40.0, redis_patience=5.0)
celery: Celery[Any] = flask_app.extensions["celery"]
reloader: Reloader = flask_app.extensions["tollgate_reload"]
celery.conf.beat_schedule = schedule.SCHEDULE
# The first query would do it: so it is done by the time that all which stays is set apart from garbage.
configure_mappers()


class Clock(Scheduler):
    """Celery's, without its haste: that one wakes 10 ms before each task is due, and spins until then."""

    def adjust(self, n: float, drift: float = 0) -> float:
        """How long to wait for what is due in `n` seconds."""
        return n + drift


class WatchSignals(bootsteps.StartStopStep):
    """SIGHUP reads config.yaml again, and SIGALRM ends a task that takes too long.

    Celery's own SIGHUP, a restart, would end the worker where config.yaml is wrong. This is the first moment after that
    was installed; Redis need not answer yet.
    """

    def start(self, _worker: object) -> None:
        """Called once, in the main thread."""
        signal.signal(signal.SIGALRM, end_task)
        reloader.hear_hangups()
        reloader.watch("worker")


celery.steps["worker"].add(WatchSignals)


@worker_ready.connect
def start_clock(**_: object) -> None:
    """The schedule runs in a thread of the worker's own process.

    As the process that `celery worker -B` makes, it could die alone, and nobody would notice. It is read from code at
    every start, so nothing is kept in a file.
    """
    cast("threading.Thread", EmbeddedService(celery, thread=True, scheduler_cls=Clock)).start()


@worker_ready.connect
def leave_garbage(**_: object) -> None:
    """Thousands of objects come and go with each settled batch, and none of them is garbage that has to be looked for.

    Looking through the whole application for some each time took a third of what settling costs. What is loaded now
    stays for ever, and need not be looked through at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@task_prerun.connect
def begin_task(**_: object) -> None:
    """Celery's pool of one process does not look at a task's time limit."""
    signal.setitimer(signal.ITIMER_REAL, celery.conf.task_soft_time_limit)


@task_postrun.connect
def stop_timer(**_: object) -> None:
    """The task has ended in time."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def end_task(*_: object) -> None:
    """The task's time is over. One that does not take notice is ended by keeper.py, with the process."""
    raise SoftTimeLimitExceeded
