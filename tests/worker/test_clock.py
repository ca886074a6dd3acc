"""The schedule sleeps until a task is due, and does not spin."""

from __future__ import annotations

import time

import celery

from worker.application import Clock

TASK_SECONDS = 0.2
TASKS = 5


class Counting(Clock):
    """Sends nothing."""

    sent = 0

    def apply_entry(self, *_: object, **__: object) -> None:
        """Counts instead."""
        self.sent += 1


def test_between_two_tasks_the_clock_is_asked_a_few_times_only() -> None:
    app = celery.Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"often": {"task": "often", "schedule": TASK_SECONDS}}
    clock = Counting(app)
    ticks = 0
    while clock.sent < TASKS:
        time.sleep(max(0.0, clock.tick()))
        ticks += 1
    # Each task is found due, sent, and waited for; a spinning clock asks hundreds of times.
    assert ticks < TASKS * 6
