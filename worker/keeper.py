"""The first process of `python -m worker`: it watches over the one that runs the tasks, and loads nothing for that.

Celery's own pool of processes does the same with the whole application in both of them, twice the memory. The child
says through a pipe that it goes on (see child.py). When nothing was heard for TASK_SECONDS, its task takes too long or
hangs, or it is frozen: it is killed and replaced.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from app import CANNOT_START
from app.local.endings import HEALTHY_AFTER_SECONDS, how_it_ended, restart_delay

# The longest that a task may take. It can end in good order a little earlier, by Celery's soft limit in app.extensions.
TASK_SECONDS = 120
# What a running task gets when somebody is in a hurry.
HURRIED_SECONDS = 20
TICK_SECONDS = 1.0
PAUSE_TICK_SECONDS = 0.1
LAST_GOOD = "TOLLGATE_LAST_GOOD"
CHILD = (sys.executable, "-m", "worker.child")
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
HEARD = (*STOPPING, signal.SIGHUP)


class Keeper:
    """Starts the child, passes signals on to it, and ends with it once somebody has asked to stop.

    SIGTERM and SIGINT let the running task end. SIGQUIT, and SIGINT once more, give it HURRIED_SECONDS for that; the
    next of these kills it at once. SIGHUP has the child read config.yaml again.
    """

    def __init__(self, child: Sequence[str] = CHILD, task_seconds: float = TASK_SECONDS) -> None:
        """Nothing is started yet. `child` is given two words more: the pipe to speak into, and this process's id."""
        self._command = child
        self._task_seconds = task_seconds
        self._child: int | None = None
        self._asked = False
        self._patient_until: float | None = None

    def run(self) -> int:
        """Until somebody asks to stop, or the child cannot start at all. Gives the exit code of the last child."""
        for number in HEARD:
            signal.signal(number, self._on_signal)
        remember_last_good()
        deaths = 0
        while True:
            started = time.monotonic()
            code = self._one_child()
            if not self._asked and code != CANNOT_START:
                deaths = 0 if time.monotonic() - started >= HEALTHY_AFTER_SECONDS else deaths
                delay = restart_delay(deaths)
                deaths += 1
                say(f"its process {how_it_ended(code)}; starting it again in {delay:g} s")
                self._pause(delay)
            if self._asked or code == CANNOT_START:
                # Python puts its handlers away before it ends: one signal more would then be our exit code.
                for number in HEARD:
                    signal.signal(number, signal.SIG_IGN)
                return code if code >= 0 else 128 - code

    def _one_child(self) -> int:
        """Starts a child and watches it to its end: the exit code, or minus the number of the signal that ended it."""
        pipe = self._start()
        try:
            self._listen(pipe)
            return os.waitstatus_to_exitcode(os.waitpid(self._child or 0, 0)[1])
        finally:
            self._child = None
            os.close(pipe)

    def _start(self) -> int:
        """Gives the end of the pipe to listen at.

        The child has a group of its own, so that Ctrl-C reaches it through us alone: two of them would mean haste.
        """
        ours, theirs = os.pipe()
        os.set_inheritable(theirs, True)  # noqa: FBT003 - the standard library has it so
        # No signal may come between the start of the child and the moment in which it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        # SIGHUP would end a child that cannot hear it yet. It loses nothing: config.yaml is read at its start.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            command = [*self._command, str(theirs), str(os.getpid())]
            self._child = os.posix_spawn(command[0], command, os.environ, setpgroup=0, setsigmask=())
        finally:
            os.close(theirs)
            signal.signal(signal.SIGHUP, self._on_signal)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        if self._asked:
            self._send(signal.SIGTERM)
        return ours

    def _listen(self, pipe: int) -> None:
        """Until the child has ended. It is killed where it is silent for too long, or somebody's patience ends."""
        silent = 0.0
        while True:
            # Silence is counted in looks, because the clock goes on while this process and the child are both frozen.
            if not select.select([pipe], [], [], TICK_SECONDS)[0]:
                silent += TICK_SECONDS
            elif os.read(pipe, 4096):
                silent = 0.0
            else:
                return
            if silent >= self._task_seconds:
                say(f"nothing was heard of its process for {silent:g} s: a task takes too long, or it is frozen")
                silent = 0.0
                self._send(signal.SIGKILL)
            if self._patient_until is not None and time.monotonic() >= self._patient_until:
                self._send(signal.SIGKILL)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._asked and time.monotonic() < until:
            time.sleep(PAUSE_TICK_SECONDS)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._send(number)
            return
        if number == signal.SIGQUIT or (number == signal.SIGINT and self._asked):
            self._patient_until = time.monotonic() + (HURRIED_SECONDS if self._patient_until is None else 0)
        if not self._asked:
            self._asked = True
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        if self._child is not None:
            os.kill(self._child, number)


def remember_last_good() -> None:
    """A place in memory for the last config.yaml that was right: a child that is born while it is wrong takes that."""
    os.environ.pop(LAST_GOOD, None)
    # Linux has such places, though not in every sandbox.
    with suppress(AttributeError, OSError):
        place = os.memfd_create("config.yaml", 0)
        if os.access(f"/proc/self/fd/{place}", os.R_OK | os.W_OK):
            os.environ[LAST_GOOD] = f"/proc/self/fd/{place}"


def say(line: str) -> None:
    """One line for the log. One that is gone must not keep the worker from running on."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"worker: {line}\n")
        sys.stderr.flush()
