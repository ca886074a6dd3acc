"""One process of ours: it dies with us, and its output comes out on our terminal with its name before every line."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

PR_SET_PDEATHSIG = 1
WIDTH = len("tollgate")
_terminal = threading.Lock()


def say(name: str, line: str) -> None:
    """One whole line on the terminal. A terminal that is gone must not keep a process from running on."""
    with _terminal, contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{name:<{WIDTH}} | {line}\n")
        sys.stdout.flush()


def end_with_parent(
    last_signal: signal.Signals = signal.SIGTERM, parent: int | None = None
) -> Callable[[], None] | None:
    """To be called in a child before its program starts: the child gets that signal when we end, even by `kill -9`.

    This is Linux's PR_SET_PDEATHSIG; elsewhere (None) children outlive a supervisor that was killed. The kernel means
    the *thread* that started the child, so children are started from the main thread only. A child that calls it for
    itself says who its `parent` is.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = parent or os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, last_signal)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return before_exec


class Child:
    """A process that can be started again and again.

    Each start is a process group of its own, so that Ctrl-C reaches the supervisor only, which then stops its children
    in order. All are of one session: Linux heeds a niceness only within one (see worker/settle.py).
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Nothing is started yet."""
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._cleared = True

    def start(self) -> None:
        """Starts it. Raises OSError where the program cannot be run."""
        self._process = subprocess.Popen(  # noqa: S603 - the commands are our own
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - it takes no lock: two system calls
        )
        assert self._process.stdout  # noqa: S101 - for the type checker: it is a pipe
        self._cleared = False
        self._reader = threading.Thread(target=self._relay, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _relay(self, output: IO[str]) -> None:
        with output:
            for line in output:
                say(self.name, line.rstrip())

    @property
    def pid(self) -> int | None:
        """The process id of the latest start."""
        return self._process.pid if self._process else None

    def ended(self) -> int | None:
        """How it ended: the exit code, minus the signal's number, or None while it runs."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._clear()
        return code

    def hang_up(self) -> None:
        """SIGHUP, where it runs."""
        if self._process is not None and self.ended() is None:
            self._process.send_signal(signal.SIGHUP)

    def stop(self, seconds: float, hurried: Callable[[], bool] = lambda: False) -> bool:
        """SIGTERM, then SIGKILL after that many seconds (one, if hurried). Whether it ended by itself."""
        if self._process is None or self.ended() is not None:
            return True
        began = time.monotonic()
        self._process.terminate()
        while self.ended() is None:
            if time.monotonic() - began > (1 if hurried() else seconds):
                self._process.kill()
                self._process.wait()
                self._clear()
                return False
            time.sleep(0.02)
        return True

    def _clear(self) -> None:
        """A killed parent leaves its own children behind; they must be gone before the next start takes their place."""
        if self._cleared or self._process is None:
            return
        self._cleared = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._reader:
            self._reader.join(timeout=1)
