"""Celery's application for `celery -A worker`, made when somebody asks for it.

`python -m worker` comes by here too, and the process that it starts first keeps nothing in memory (see keeper.py).
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker.application import celery  # noqa: PLC0415

    return celery
