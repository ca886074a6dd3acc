"""Celery: what worker and beat load, as `celery -A worker`."""

from __future__ import annotations

import gc
import threading
from typing import Any, cast

from celery import Celery, bootsteps
from celery.beat import EmbeddedService, Scheduler
from celery.signals import task_prerun, worker_process_init, worker_ready
from sqlalchemy.orm import configure_mappers

from app import audit, create_background_app
from app.extensions import db, redis
from app.reload.process import Reloader
from worker import budgets, expiry, reconcile, retention, rotation, schedule, settle, sweep, webhooks

__all__ = ["budgets", "celery", "expiry", "reconcile", "retention", "rotation", "settle", "sweep", "webhooks"]

# Nobody waits for the worker: it may be patient with a large batch or a slow disk, though not for ever.
flask_app = create_background_app(database_patience=40.0, redis_patience=5.0)
celery: Celery[Any] = flask_app.extensions["celery"]
reloader: Reloader = flask_app.extensions["tollgate_reload"]
celery.conf.beat_schedule = schedule.SCHEDULE
# The first query would do it, in the child: what is there before the fork, both processes share.
configure_mappers()


class WatchConfig(bootsteps.StartStopStep):
    """The process that makes the others reads config.yaml again too: what it has, those that it makes later begin with.

    Celery's own SIGHUP, a restart, would end the worker where config.yaml is wrong. This is the first moment after that
    was installed; Redis need not answer yet.
    """

    def start(self, _worker: object) -> None:
        """Called once, in the main process."""
        reloader.hear_hangups()
        reloader.watch("clock")


celery.steps["worker"].add(WatchConfig)


@worker_ready.connect
def start_clock(**_: object) -> None:
    """The schedule runs in a thread of the worker's own process.

    As the process that `celery worker -B` makes, it could die alone, and nobody would notice. It is read from code at
    every start, so nothing is kept in a file.
    """
    cast("threading.Thread", EmbeddedService(celery, thread=True, scheduler_cls=Scheduler)).start()


@task_prerun.connect
def act_as_worker(**_: object) -> None:
    """Whatever a task changes, the worker has changed."""
    audit.act_as(audit.Actor(audit.WORKER))


@worker_process_init.connect
def begin_child(**_: object) -> None:
    """A forked child must not share its parent's connections: two would read each other's answers."""
    redis.begin_child()
    with flask_app.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
    # Thousands of objects come and go with each settled batch, and looking through the whole application for garbage
    # each time took a third of what settling costs.
    gc.freeze()
    reloader.watch("worker")
