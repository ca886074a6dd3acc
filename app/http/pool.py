"""The connections of a process that lie ready, and the way of a request over one of them."""

from __future__ import annotations

import re
import ssl
import time
from collections import deque
from collections.abc import Mapping

import certifi

from app.errors import ProviderFailed, ProviderTimedOut
from app.http.answer import BROKE_BEFORE, SILENT_BEFORE, TOO_LONG, Answer, Keep, Waits
from app.http.connection import Connection, Holder, NothingSent
from app.http.request import Address, pieces, target_of

# Amazon's load balancers close after 60 seconds, others later or never; who closes earlier mostly says so.
IDLE_SECONDS = 50.0
MOST_IDLE = 1000
SWEEP_SECONDS = 10.0
# "Keep-Alive: timeout=5" is when the other side closes, and a request must be there before.
TOLD = re.compile(r"timeout=(\d{1,6})")
MARGIN_SECONDS = 1.0

UNREACHABLE = "The provider cannot be reached."
UNTRUSTED = "The provider's certificate is not one to trust."


class Pool:
    """Kept connections to everybody. Safe for all threads: each deque is changed in single steps only."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """`context` says whom to trust: by default the system's and certifi's authorities. Names are checked."""
        self._context = trusting() if context is None else context
        # Some Pythons, 3.11.2 among them, have OpenSSL 3 take an end that was not announced for one that was.
        self._context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", ssl.Options(0))
        self._idle: dict[Address, deque[Connection]] = {}
        self._swept = time.monotonic()

    def post(self, url: str, headers: Mapping[str, str], body: bytes, waits: Waits, holder: Holder) -> Answer:
        """One request, sent once, and its answer's head; `holder` is told the connection before anything is sent.

        It is sent again, over a new connection, only where the first send over a kept one has failed: then the kernel
        has taken not a byte of it. A kept connection that is closed after that may have brought the request to the
        provider, who charges for it, so that is a failed attempt and for others to judge. (Go's net/http repeats a POST
        in the same case only; urllib3 without retries repeats nothing.)

        Raises ProviderFailed, ProviderTimedOut.
        """
        target = target_of(url)
        request = pieces(target, headers, body)
        now = time.monotonic()
        begin_by = min(now + waits.first, waits.until)
        holder.connection = connection = self._kept(target.address)
        if connection is not None:
            try:
                return self._asked(connection, request, begin_by, waits, holder)
            except NothingSent as error:
                if connection.aborted:
                    raise ProviderFailed(BROKE_BEFORE) from error
        connection = self._new(target.address, min(now + waits.connect, begin_by), waits, holder)
        try:
            return self._asked(connection, request, begin_by, waits, holder)
        except NothingSent as error:
            raise ProviderFailed(BROKE_BEFORE) from error

    def _asked(
        self, connection: Connection, request: tuple[bytes, bytes], begin_by: float, waits: Waits, holder: Holder
    ) -> Answer:
        """The answer over this connection, which is closed where there is none. Raises NothingSent besides."""
        keep: Keep | None = self._keep
        try:
            connection.send(*request, begin_by)
        except TimeoutError as error:
            connection.close()
            raise ProviderTimedOut(TOO_LONG if time.monotonic() >= waits.until else SILENT_BEFORE) from error
        except OSError:
            # Who has heard enough may answer all the same ("413 Content Too Large") before the rest has left.
            keep = None
        except BaseException:
            connection.close()
            raise
        return Answer(holder, connection, keep, begin_by, waits)

    def close(self) -> None:
        """Closes what lies ready."""
        for idle in list(self._idle.values()):
            while idle:
                idle.pop().close()

    def _kept(self, address: Address) -> Connection | None:
        """The connection that was used last: those that are not needed grow old together."""
        idle = self._idle.get(address)
        now = time.monotonic()
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                return None
            if now < connection.keep_until and not connection.is_stale():
                return connection
            connection.close()
        return None

    def _new(self, address: Address, by: float, waits: Waits, holder: Holder) -> Connection:
        connection = holder.connection = Connection(address)
        try:
            connection.connect(self._context, by)
        except ssl.SSLCertVerificationError as error:
            raise ProviderFailed(UNTRUSTED) from error
        except OSError as error:
            if time.monotonic() >= waits.until:
                raise ProviderTimedOut(TOO_LONG) from error
            raise ProviderFailed(UNREACHABLE) from error
        except BaseException:
            connection.abort()
            raise
        return connection

    def _keep(self, connection: Connection, headers: Mapping[str, str]) -> None:
        now = time.monotonic()
        seconds = IDLE_SECONDS
        if (said := headers.get("keep-alive")) is not None and (told := TOLD.search(said)):
            seconds = min(seconds, int(told[1]) - MARGIN_SECONDS)
        connection.keep_until = now + seconds
        idle = self._idle.setdefault(connection.address, deque())
        if seconds <= 0 or len(idle) >= MOST_IDLE:
            connection.close()
            return
        idle.append(connection)
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Closes what has grown old. Beside other threads it may close one that has not, which costs a handshake."""
        for idle in list(self._idle.values()):
            while idle:
                try:
                    if idle[0].keep_until > now:
                        break
                    idle.popleft().close()
                except IndexError:
                    break


def trusting() -> ssl.SSLContext:
    """Certificates and the names in them are checked, against the system's authorities and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
