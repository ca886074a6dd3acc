"""Whatever a task changes, the worker has changed: so the audit says."""

from __future__ import annotations

from celery.signals import task_prerun

from app import audit


@task_prerun.connect
def act_as_worker(**_: object) -> None:
    """From here on, in the thread that runs the task."""
    audit.act_as(audit.Actor(audit.WORKER))
