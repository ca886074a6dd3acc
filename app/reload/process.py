"""How one process comes to new settings: by SIGHUP, by a request of its own or of another process."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from flask import Flask

from app.errors import LimitsUnavailable, SettingsError
from app.reload import instances
from app.reload.instances import Instance
from app.reload.version import version_of
from app.settings import Settings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
# A record lasts for three of these.
ANNOUNCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Change:
    """What came of reading config.yaml: the versions before and after it, and its warnings."""

    before: str
    after: str
    warnings: tuple[str, ...]


def nobody(*_: object) -> None:
    """There is nobody to tell."""


Loaded = tuple[Settings, str]


def at_once(work: Callable[[], Loaded]) -> Loaded:
    """Done by whoever asks."""
    return work()


class Reloader:
    """Reads config.yaml again for its process. `app.extensions["tollgate_reload"]`.

    A call that runs goes on in the Gateway in which it began; the next one finds the new Gateway. No call waits.
    """

    def __init__(self, app: Flask, read: Callable[[Settings], Settings], problems: tuple[str, ...] = ()) -> None:
        """`read` gives the settings of now, by those that hold; it raises SettingsError.

        `problems` are what is wrong with the file where the process started with an earlier one.
        """
        self._app = app
        self._read = read
        self._one_at_a_time = threading.Lock()
        self._version = version_of(app.extensions["tollgate"].settings)
        self._loaded_at = time.time()
        self._problems = problems
        self._aside: Callable[[Callable[[], Loaded]], Loaded] = at_once
        self._id, self._kind = "", ""
        self._request: int | None = None
        self._announced = 0.0
        self._hangups, self._followed_hangups = 0, 0
        self._closed = threading.Event()

    def reload(self, told: Callable[[Change], None] = nobody) -> Change:
        """Reads, checks, swaps. `told` hears of it before anything changes, and nothing does where it raises.

        Raises SettingsError with all problems; everything goes on as before then.
        """
        with self._one_at_a_time:
            gateway = self._app.extensions["tollgate"]
            try:
                settings, version = self._aside(partial(self._load, gateway.settings))
            except SettingsError as error:
                self._problems = tuple(error.problems)
                raise
            except Exception:
                self._problems = ("it could not be read; the log says why",)
                raise
            change = Change(self._version, version, settings.warnings)
            told(change)
            self._problems = ()
            self._loaded_at = time.time()
            if change.after != change.before:
                after = gateway.under(settings)
                self._app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
                self._version = change.after
                self._app.extensions["tollgate"] = after
            return change

    def _load(self, before: Settings) -> Loaded:
        settings = self._read(before)
        return settings, version_of(settings)

    def watch(self, kind: str, aside: Callable[[Callable[[], Loaded]], Loaded] = at_once) -> None:
        """From now on hangups and requests of other processes are followed, and this process is known to them.

        `kind` is as in Instance. `aside` does the reading, which takes half a second for a thousand models, where calls
        do not wait for it.
        """
        self._aside = aside
        self._kind = kind
        self._id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        threading.Thread(target=self._run, name="config", daemon=True).start()
        atexit.register(self.close)

    def hear_hangups(self) -> None:
        """SIGHUP at this process means that it reads config.yaml again. For the main thread."""
        signal.signal(signal.SIGHUP, self._on_hangup)
        signal.siginterrupt(signal.SIGHUP, False)  # noqa: FBT003 - the standard library has it so

    def _on_hangup(self, *_: object) -> None:
        """A handler may interrupt anything, so it only leaves word."""
        self._hangups += 1

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.look()
            except Exception:
                # Whatever went wrong, the next look may succeed.
                log.exception("looking after config.yaml failed")
            self._closed.wait(TICK_SECONDS)

    def look(self) -> None:
        """One round: hangups first, which need no Redis, then requests of other processes."""
        if (hangups := self._hangups) != self._followed_hangups:
            self._followed_hangups = hangups
            self._follow("SIGHUP")
        with suppress(LimitsUnavailable):
            latest = instances.latest_request()
            former, self._request = self._request, latest
            if former is None:
                # A request may have come between the reading of the file and this first look.
                self._follow("the start")
            elif latest not in {former, 0}:
                # A Redis that has lost its data counts from 1 again.
                self._follow("POST /config/reload")
            if time.monotonic() - self._announced >= ANNOUNCE_SECONDS:
                self.announce()

    def _follow(self, what: str) -> None:
        try:
            change = self.reload()
        except SettingsError as error:
            for problem in error.problems:
                log.error("%s: nothing is changed, because of %s", what, problem)  # noqa: TRY400 - no traceback
        else:
            if change.after != change.before:
                # A warning, because the logs of all processes show those.
                log.warning("%s: config.yaml is read, version %s instead of %s", what, change.after, change.before)
        self._announced = 0.0

    def announce(self) -> None:
        """Tells the other processes how this one stands. Raises LimitsUnavailable."""
        if self._id:
            instances.announce(self.instance())
            self._announced = time.monotonic()

    def instance(self) -> Instance:
        """The process as others see it."""
        return Instance(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            kind=self._kind,
            version=self._version,
            loaded_at=self._loaded_at,
            problems=self._problems,
            request=self._request or 0,
        )

    def ask_all(self) -> int:
        """Asks every other process to read its own config.yaml; gives the request's number.

        Raises LimitsUnavailable.
        """
        self._request = instances.request_all()
        self.announce()
        return self._request

    def close(self) -> None:
        """The process ends."""
        self._closed.set()
        with suppress(LimitsUnavailable):
            instances.forget(self._id)
