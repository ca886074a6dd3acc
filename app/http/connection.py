"""One connection: a socket with deadlines, that anybody may break off and only its user closes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Protocol

from app.http.request import Address
from app.readable import Readable

READ_BYTES = 65536
# What a socket takes for a time: "for ever" is too long for it, and no time at all means "do not wait".
LONGEST_WAIT, SHORTEST_WAIT = 86400.0, 0.001


class NothingSent(Exception):
    """A kept connection was dead: not a byte of the request has left this machine."""


class Connection:
    """A connection to a provider, made by `connect`. Times are those of time.monotonic().

    `keep_until` is how long it may lie idle. `aborted`: somebody else has broken it off.
    """

    __slots__ = ("_over", "_problem", "_readable", "aborted", "address", "keep_until", "sock")

    def __init__(self, address: Address) -> None:
        """Not connected yet."""
        self.address = address
        self.sock: socket.socket | None = None
        self.aborted = False
        self.keep_until = 0.0
        self._problem: OSError | None = None
        self._readable: Readable | None = None
        self._over = threading.Event()

    def connect(self, context: ssl.SSLContext, by: float) -> None:
        """Finds the host, connects, shakes hands. Raises OSError, also when that is not done in time or was aborted.

        Another thread does it: looking up a name knows no time-out, and a handshake of which a byte comes now and then
        would be waited for byte by byte.
        """
        self._over.clear()
        threading.Thread(target=self._connect, args=(context, by), name="connect", daemon=True).start()
        done = self._over.wait(min(max(by - time.monotonic(), SHORTEST_WAIT), LONGEST_WAIT))
        if self._problem is not None:
            raise self._problem
        if not done or self.aborted:
            self.abort()
            raise TimeoutError

    def _connect(self, context: ssl.SSLContext, by: float) -> None:
        try:
            self._reach(by)
            if self.address.scheme == "https":
                self._shake_hands(context, by)
            if self.sock is not None:
                self._readable = Readable.of(self.sock)
        except OSError as error:
            self._problem = error
            self.close()
        except ValueError as error:
            # A name that cannot be in a certificate, or be looked up.
            self._problem = OSError(str(error))
            self.close()
        finally:
            if self.aborted:
                self.close()
            self._over.set()

    def _reach(self, by: float) -> None:
        """Tries one address of the host after the other; none may use up the time of those behind it."""
        found = socket.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        problem = OSError("The name has no address.")
        for tried, (family, kind, protocol, _, where) in enumerate(found):
            self.sock = socket.socket(family, kind, protocol)
            try:
                self._wait_until(time.monotonic() + (by - time.monotonic()) / (len(found) - tried))
                self.sock.connect(where)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                self.close()
                problem = error
            else:
                return
            if self.aborted:
                break
        raise problem

    def _shake_hands(self, context: ssl.SSLContext, by: float) -> None:
        """The certificate and the name in it are checked by what `context` says."""
        assert self.sock is not None  # noqa: S101 - it was reached
        wrapped = context.wrap_socket(
            self.sock,
            server_hostname=self.address.host,
            do_handshake_on_connect=False,
            # An end that is not announced may be somebody else's cut.
            suppress_ragged_eofs=False,
        )
        self.sock = wrapped
        self._wait_until(by)
        wrapped.do_handshake()

    def _wait_until(self, by: float) -> None:
        """From now on the socket waits so long. Raises TimeoutError where that is over."""
        left = by - time.monotonic()
        if left <= 0 or self.sock is None:
            raise TimeoutError
        self.sock.settimeout(min(left, LONGEST_WAIT))

    def is_stale(self) -> bool:
        """Whether the other side has closed, or speaks without having been asked. Waits for nothing."""
        if self.sock is None:
            return True
        if self._readable is not None and not self._readable.is_now():
            return False
        try:
            # What there is may be TLS' own, which is for nobody else.
            self.sock.settimeout(0)
            # Of a connection that is to be used again there is nothing to read, so nothing is lost.
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def send(self, first: bytes, rest: bytes, by: float) -> None:
        """Raises NothingSent, TimeoutError, and OSError where only a part has left."""
        self._wait_until(by)
        assert self.sock is not None  # noqa: S101 - _wait_until has looked
        try:
            sent = self.sock.send(first)
        except TimeoutError:
            raise
        except OSError as error:
            # TLS as well: what it could not write is a part of one record, which nobody can read.
            raise NothingSent from error
        if sent < len(first):
            self.sock.sendall(memoryview(first)[sent:])
        if rest:
            self.sock.sendall(rest)

    def receive(self, by: float) -> bytes:
        """What has come, b"" where the other side has closed. Raises TimeoutError, OSError."""
        if self.sock is None:
            raise TimeoutError
        if self._readable is not None:
            self._readable.wait(by)
        if self._readable is None or isinstance(self.sock, ssl.SSLSocket):
            # Of TLS a part of a record may have come, which is nothing that can be read.
            self._wait_until(by)
        data = self.sock.recv(READ_BYTES)
        if self.aborted and not data:
            # Our own end looks like the other side's, and with some answers that would be a good one.
            raise ConnectionAbortedError
        return data

    def abort(self) -> None:
        """Whoever waits for this connection gets an error at once. Any thread may ask for it."""
        self.aborted = True
        self._over.set()
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """For who uses it."""
        sock, self.sock = self.sock, None
        readable, self._readable = self._readable, None
        if readable is not None:
            readable.close()
        if sock is not None:
            sock.close()


class Holder(Protocol):
    """Who wants to know which connection is in use, to break it off."""

    connection: Connection | None
