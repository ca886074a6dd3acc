"""A process under test: its output goes to a file, it is frozen and killed with its children, and never outlives us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from app.local.child import end_with_parent

running: list[Process] = []


class Process:
    """Started and ended as a context. `user` is who it runs as, where that is not us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environ: Mapping[str, str],
        ready: Callable[[], bool],
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environ = dict(environ)
        self._ready = ready
        self._identity: dict[str, Any] = {"user": user, "extra_groups": []} if user else {}
        self._last_signal = last_signal
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Starts it, without waiting until it is ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=end_with_parent(self._last_signal),  # noqa: PLW1509 - it takes no lock
                **self._identity,
            )
        running.append(self)

    def wait_until_ready(self, seconds: float = 60) -> None:
        assert self._process
        deadline = time.monotonic() + seconds
        while not self._ready():
            if self._process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} is not ready after {seconds} s:\n{self.tail()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9 of the process and all that it started."""
        self._signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """Freezes it: connections stay open, nobody answers."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Thaws it."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Back on the same port, with the same data, after `kill` or instead of what runs."""
        self.end()
        self.start()
        self.wait_until_ready()

    def end(self, seconds: float = 5) -> None:
        """An orderly end, or kill -9 after that many seconds."""
        if self._process is None:
            return
        self.cont()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, self._last_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def tail(self, lines: int = 60) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            # PostgreSQL's processes have sessions of their own, so the group is not all.
            others = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            for other in others:
                with contextlib.suppress(psutil.NoSuchProcess):
                    other.send_signal(number)

    def _reap(self) -> None:
        if self._process:
            self._process.wait()
            self._process = None
            running.remove(self)
