"""One connection to Redis that all calls of a process share: commands that come together go out together.

Under load a call waits for its turn anyway; sent in one packet, and read in one go, the scripts of many calls take a
fraction of the CPU that a connection for each would (see benchmarks/). Whoever finds the line free sends for all who
wait behind it, and hands the line on when the answers are there.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any

import hiredis
from redis.connection import ConnectionInterface
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.extensions import redis
from app.limits.wire import Wire

# After so long a silence the other side may have closed the connection, and a look at it costs less than an error.
IDLE_SECONDS = 1.0
# More would make the first of them wait for the last.
MOST_AT_ONCE = 64


class _Asking:
    """One command under way; `turn` is there for those who have to wait, and `leads` says why they are woken."""

    __slots__ = ("answer", "failed", "leads", "packed", "turn")

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self.answer: Any = None
        self.failed: RedisError | None = None
        self.turn: threading.Event | None = None
        self.leads = True


class Line:
    """The line of one process. redis-py makes its connection: address, TLS, password and patience are the pool's."""

    def __init__(self) -> None:
        """Opens no connection."""
        self._lock = threading.Lock()
        self._waiting: deque[_Asking] = deque()
        self._busy = False
        self._connection: ConnectionInterface | None = None
        self._owner: tuple[object, int] | None = None
        self._wire: Wire | None = None
        self._used_at = 0.0

    def ask(self, *command: str | float | bytes | memoryview) -> Any:
        """The answer to one command. Raises redis.RedisError, as redis-py's client does."""
        return self.ask_packed(hiredis.pack_command(command))  # type: ignore[arg-type]

    def ask_packed(self, command: bytes) -> Any:
        """As `ask`, for a command as it goes out (see scripts.py)."""
        asking = _Asking(command)
        with self._lock:
            if self._busy:
                asking.turn, asking.leads = threading.Event(), False
                self._waiting.append(asking)
            self._busy = True
        if asking.turn is not None:
            try:
                asking.turn.wait()
            except BaseException:
                self._give_up(asking)
                raise
        if asking.leads:
            self._lead(asking)
        if asking.failed is not None:
            raise asking.failed
        return asking.answer

    def _give_up(self, asking: _Asking) -> None:
        """For a caller that is ended while it waits. Nobody may wait for one who is gone."""
        with self._lock:
            if asking in self._waiting:
                self._waiting.remove(asking)
        if asking.leads:
            self._lead(asking)

    def _lead(self, leader: _Asking) -> None:
        """Sends for the leader and for those who wait behind it, then lets the next who has come meanwhile lead.

        A Redis that did not answer these would not answer those either: they are told at once.
        """
        batch = [leader]
        failure: RedisError | None = RedisConnectionError("The call was given up.")
        try:
            with self._lock:
                while self._waiting and len(batch) < MOST_AT_ONCE:
                    batch.append(self._waiting.popleft())
            failure = self._exchange(batch)
        finally:
            with self._lock:
                if failure is not None:
                    batch += self._waiting
                    self._waiting.clear()
                following = self._waiting.popleft() if self._waiting else None
                self._busy = following is not None
                if following is not None:
                    following.leads = True
            for asking in batch:
                if failure is not None and asking.answer is None and asking.failed is None:
                    asking.failed = failure
                if asking.turn is not None:
                    asking.turn.set()
            if following is not None and following.turn is not None:
                following.turn.set()

    def _exchange(self, batch: list[_Asking]) -> RedisError | None:
        """Sends the batch and reads its answers. An error of Redis' own belongs to its command alone."""
        complete = False
        try:
            wire = self._connected()
            wire.send(b"".join([asking.packed for asking in batch]))
            for asking in batch:
                try:
                    asking.answer = wire.answer()
                except ResponseError as error:
                    asking.failed = error
            self._used_at = time.monotonic()
            complete = True
        except RedisError as error:
            return error
        finally:
            if not complete:
                # Answers to come would be taken for those of the next commands.
                self._disconnect()
        return None

    def _connected(self) -> Wire:
        """The connection, made anew after a fork, where the pool is another one, and where it is of no use any more."""
        pool = redis.client.connection_pool
        owner = (pool, os.getpid())
        if self._connection is None or self._owner != owner:
            self._connection, self._owner, self._wire = pool.get_connection(), owner, None
        if self._wire is not None and time.monotonic() - self._used_at > IDLE_SECONDS and self._is_stale():
            self._disconnect()
        if self._wire is None:
            self._connection.connect()  # type: ignore[no-untyped-call]
            # redis-py's connections have no other name for it.
            self._wire = Wire(self._connection._sock)  # type: ignore[attr-defined] # noqa: SLF001
        return self._wire

    def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if self._connection is not None:
            self._connection.disconnect()  # type: ignore[no-untyped-call]

    def _is_stale(self) -> bool:
        """Nobody has asked, so what there is to read is the end, or nothing that belongs to us."""
        assert self._connection is not None  # noqa: S101 - there is a wire
        try:
            return bool(self._connection.can_read(timeout=0))
        except (RedisError, OSError):
            return True
