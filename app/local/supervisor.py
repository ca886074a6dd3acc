"""Starts processes in order, starts again what dies, and stops everything in the opposite order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from app.local.child import Child, say
from app.local.endings import HEALTHY_AFTER_SECONDS, how_it_ended, restart_delay

TICK_SECONDS = 0.02
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked to stop: Ctrl-C, SIGTERM, or the terminal was closed."""


class Watched:
    """A child, and when to start it again: after 0.5 s, doubling up to 10 s; anew after 30 s of health."""

    def __init__(self, child: Child, patience: float, *, rereads: bool = False) -> None:
        """`patience`: seconds it may take to stop. `rereads`: SIGHUP has it read config.yaml again."""
        self.child = child
        self.patience = patience
        self.rereads = rereads
        self.deaths = 0
        self._started = 0.0
        self._due: float | None = None

    def start(self) -> None:
        """Starts it now."""
        self._due = None
        self._started = time.monotonic()
        self.child.start()

    def look(self) -> None:
        """Says that it died, once, and starts it again when it is time."""
        if self._due is not None:
            if time.monotonic() >= self._due:
                self.start()
            return
        code = self.child.ended()
        if code is None:
            return
        now = time.monotonic()
        if now - self._started >= HEALTHY_AFTER_SECONDS:
            self.deaths = 0
        delay = restart_delay(self.deaths)
        self.deaths += 1
        self._due = now + delay
        say("tollgate", f"{self.child.name} {how_it_ended(code)}; starting it again in {delay:g} s")


def at_terminal() -> bool:
    """Whether we have a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Supervisor:
    """A context: at its end every child is stopped, the last started first. Lives in the main thread."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._watched: list[Watched] = []
        self._requests = 0
        self._asked = threading.Event()
        self._ends_with_terminal = False
        self._hung_up = False

    def __enter__(self) -> Self:
        """From here on a signal means an orderly stop, until all children have ended; a second one hurries it.

        SIGHUP means that only where our terminal was closed; else it has the children read config.yaml again.
        """
        # What nohup or a shell's background told us to ignore stops nobody.
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._ends_with_terminal = signal.SIGHUP in heard and at_terminal()
        self._previous = {number: signal.signal(number, self._on_signal) for number in {*heard, signal.SIGHUP}}
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not (self._ends_with_terminal and not at_terminal()):
            self._hung_up = True
            return
        self._requests += 1
        self._asked.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops in order; whoever takes longer than its patience is killed."""
        for watched in reversed(self._watched):
            self._stop(watched)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _stop(self, watched: Watched) -> None:
        child = watched.child
        if child.ended() is not None:
            return
        say("tollgate", f"stopping {child.name}")
        if not child.stop(watched.patience, hurried=lambda: self._requests > 1):
            say("tollgate", f"{child.name} took too long and was killed")

    def start(self, child: Child, patience: float, *, rereads: bool = False) -> Watched:
        """Starts a child and keeps it running from now on. `rereads` as in Watched."""
        watched = Watched(child, patience, rereads=rereads)
        self._watched.append(watched)
        watched.start()
        return watched

    def wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Waits until `done()`, at most that long, while children are watched. Raises Stopped."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= deadline:
                return False
            self._tick()
        return True

    def watch(self) -> None:
        """Keeps the children running until somebody asks to stop."""
        while not self._asked.is_set():
            for watched in self._watched:
                watched.look()
            if self._hung_up:
                self._hung_up = False
                self._pass_on()
            self._asked.wait(0.2)

    def _pass_on(self) -> None:
        """SIGHUP goes on to those that read config.yaml, once all of them run."""
        rereading = [watched.child for watched in self._watched if watched.rereads]
        say("tollgate", f"SIGHUP: {' and '.join(child.name for child in rereading)} read config.yaml again")
        for child in rereading:
            child.hang_up()

    def _tick(self) -> None:
        for watched in self._watched:
            watched.look()
        if self._asked.wait(TICK_SECONDS):
            raise Stopped
