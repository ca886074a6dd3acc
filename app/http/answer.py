"""An answer on its way: read from its connection under deadlines, unpacked where it is packed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.errors import ProviderFailed, ProviderTimedOut, TollgateError
from app.http.connection import Connection, Holder
from app.http.decoding import Unpacker, unpacker
from app.http.message import Broken, Message

SILENT_BEFORE = "The provider did not answer in time."
SILENT_WITHIN = "The provider stopped sending."
TOO_LONG = "The provider's answer took longer than it may."
BROKE_BEFORE = "The connection to the provider broke before it answered."
BROKE_WITHIN = "The connection to the provider broke while it was answering."
UNKNOWN_PACKING = "The provider's answer is packed in a way that nobody has asked for."

Keep = Callable[[Connection, Mapping[str, str]], None]


@dataclass(slots=True)
class Waits:
    """How long an answer is waited for: seconds to connect, for the first byte, between two pieces.

    `first` counts from the beginning, connecting included. `until` is when all must be over (time.monotonic()).
    """

    connect: float
    first: float
    idle: float
    until: float


class Answer:
    """An answer whose head is there. `close` it, whatever happens.

    status: 200 to 599
    headers: by name in any case
    """

    __slots__ = (
        "_begin_by",
        "_connection",
        "_holder",
        "_idle",
        "_keep",
        "_message",
        "_unpacker",
        "_until",
        "headers",
        "status",
    )

    def __init__(
        self, holder: Holder, connection: Connection, keep: Keep | None, begin_by: float, waits: Waits
    ) -> None:
        """Reads the head. The body's first bytes must come by `begin_by` (time.monotonic()), the rest as `waits` says.

        `keep` takes the connection when it is free; None: it is not to be used again. Until then `holder` has it.

        Raises ProviderFailed, ProviderTimedOut; the connection is closed then.
        """
        self._holder = holder
        self._connection: Connection | None = connection
        self._keep = keep
        self._begin_by = begin_by
        self._idle = waits.idle
        self._until = waits.until
        self._message = message = Message()
        while not message.headed:
            self._read(connection, self._begin_by)
        self.status = message.status
        self.headers: Mapping[str, str] = message.headers
        self._unpacker = self._unpacker_of(self.headers)

    def chunks(self) -> Iterator[bytes]:
        """The body, as it comes: nothing waits for more. To be asked for once.

        Raises ProviderFailed, ProviderTimedOut; the connection is closed then.
        """
        message, by = self._message, self._begin_by
        while True:
            piece = message.take()
            if piece:
                if self._unpacker is None:
                    yield piece
                else:
                    yield from self._unpacked(self._unpacker, piece)
                by = min(time.monotonic() + self._idle, self._until)
            elif message.complete:
                break
            elif self._connection is None:
                raise ProviderFailed(BROKE_WITHIN)
            else:
                self._read(self._connection, by)
        if self._unpacker is not None:
            self._end_of(self._unpacker)

    def close(self) -> None:
        """The connection is kept where the answer was read to its end and nothing speaks against it, else closed."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # From here on it is another call's, which this one's client must not break off.
        self._holder.connection = None
        stays = self._keep is not None and self._message.stays and not connection.aborted
        self._message.forget()
        if stays and self._keep is not None:
            self._keep(connection, self.headers)
        else:
            connection.close()

    def _read(self, connection: Connection, by: float) -> None:
        """Takes what comes next."""
        message = self._message
        try:
            data = connection.receive(by)
            if data:
                message.feed(data)
            else:
                message.end()
        except (OSError, Broken) as error:
            self._drop()
            raise self._failure(error, by) from error
        except BaseException:
            # A greenlet that is killed, a process that is told to end.
            self._drop()
            raise

    def _failure(self, error: Exception, by: float) -> TollgateError:
        """What the caller is told. TLS has errors of its own for a time that is over, so the clock says what it was."""
        now, headed = time.monotonic(), self._message.headed
        if isinstance(error, Broken) or (now < by and not isinstance(error, TimeoutError)):
            return ProviderFailed(BROKE_WITHIN if headed else BROKE_BEFORE)
        if now >= self._until:
            return ProviderTimedOut(TOO_LONG)
        return ProviderTimedOut(SILENT_WITHIN if headed else SILENT_BEFORE)

    def _drop(self) -> None:
        self._keep = None
        self.close()

    def _unpacker_of(self, headers: Mapping[str, str]) -> Unpacker | None:
        encoding = headers.get("content-encoding")
        if encoding is None:
            return None
        try:
            return unpacker(encoding)
        except Broken as error:
            self._drop()
            raise ProviderFailed(UNKNOWN_PACKING) from error

    def _unpacked(self, unpacking: Unpacker, piece: bytes) -> Iterator[bytes]:
        try:
            yield from unpacking.feed(piece)
        except Broken as error:
            self._drop()
            raise ProviderFailed(BROKE_WITHIN) from error

    def _end_of(self, unpacking: Unpacker) -> None:
        try:
            unpacking.end()
        except Broken as error:
            self._drop()
            raise ProviderFailed(BROKE_WITHIN) from error
