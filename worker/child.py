"""What `python -m worker` starts and watches over (see keeper.py): the process that runs the tasks and the schedule.

It does what `celery -A worker worker` does, without its other commands and their prompts, which would stay in memory.
Over that one nobody watches, so it ends no task that hangs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from celery.signals import task_postrun, task_prerun

from app.local.child import end_with_parent
from worker.application import celery

BEAT_SECONDS = 1.0


class Heart:
    """Says that this process goes on: every second, but during a task only at its start and its end.

    So nothing is said by a process that is frozen, or whose task does not end.
    """

    def __init__(self, pipe: int) -> None:
        """`pipe` is the end to write into."""
        self._pipe = pipe
        self._at_work = False

    def start(self) -> None:
        """From now on."""
        task_prerun.connect(self.begin_task)
        task_postrun.connect(self.end_task)
        threading.Thread(target=self._run, name="heart", daemon=True).start()

    def begin_task(self, **_: object) -> None:
        """A task has all of its time from here."""
        self._beat()
        self._at_work = True

    def end_task(self, **_: object) -> None:
        """It has ended in time."""
        self._at_work = False
        self._beat()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(BEAT_SECONDS):
            if not self._at_work:
                self._beat()

    def _beat(self) -> None:
        try:
            os.write(self._pipe, b".")
        except BrokenPipeError:
            # Nobody listens any more. On Linux this process was killed by then; elsewhere it ends here.
            os._exit(1)


def main(pipe: int, parent: int) -> int:
    """The exit code. The pipe is the one to speak into, `parent` who listens at it."""
    if tie := end_with_parent(signal.SIGKILL, parent):
        tie()
    os.set_inheritable(pipe, False)  # noqa: FBT003 - the standard library has it so
    heart = Heart(pipe)
    heart.start()
    program = celery.Worker(
        pool="solo", concurrency=1, loglevel="WARNING", quiet=True, without_mingle=True, without_gossip=True
    )
    program.start()
    return program.exitcode or 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
