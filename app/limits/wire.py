"""Commands to Redis and its answers over a connection that redis-py has made, with hiredis and nothing between them.

redis-py's own way to send and to read takes a call 20 µs more where few calls come together, 5 where many do.
"""

from __future__ import annotations

import socket
import time
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.readable import Readable

READ_BYTES = 65536
# What the reader gives while an answer is not whole.
MORE = object()


class Wire:
    """One connection's. After an error it is of no use any more. `close` it before the socket."""

    def __init__(self, sock: socket.socket) -> None:
        """The socket has a time-out: so long each part of an answer is waited for."""
        self._sock = sock
        self._patience = sock.gettimeout() or 0.0
        self._readable = Readable.of(sock)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=_error, notEnoughData=MORE)

    def send(self, commands: bytes) -> None:
        """Commands as they go out. Raises redis.ConnectionError, redis.TimeoutError."""
        try:
            sent = self._sock.send(commands)
            if sent < len(commands):
                self._sock.sendall(memoryview(commands)[sent:])
        except OSError as error:
            raise _broken(error) from error

    def answer(self) -> Any:
        """The answer to the oldest command without one.

        Raises redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse, and redis.ResponseError for an error
        that is the answer.
        """
        while True:
            answer = self._reader.gets()
            if answer is MORE:
                self._reader.feed(self._received())
            elif isinstance(answer, ResponseError):
                raise answer
            elif not isinstance(answer, hiredis.PushNotification):
                return answer

    def _received(self) -> bytes:
        try:
            if self._readable is not None:
                self._readable.wait(time.monotonic() + self._patience)
            data = self._sock.recv(READ_BYTES)
        except OSError as error:
            raise _broken(error) from error
        if not data:
            raise RedisConnectionError("Redis has closed the connection.")
        return data

    def close(self) -> None:
        """The socket is not closed by it."""
        if self._readable is not None:
            self._readable.close()


def _error(said: str) -> ResponseError:
    return NoScriptError(said) if said.startswith("NOSCRIPT") else ResponseError(said)


def _broken(error: OSError) -> RedisConnectionError | RedisTimeoutError:
    if isinstance(error, TimeoutError):
        return RedisTimeoutError("Redis did not answer in time.")
    return RedisConnectionError(f"The connection to Redis broke: {error}")
