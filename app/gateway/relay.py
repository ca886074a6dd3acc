"""Bytes back to the client as they come, usage read on the way, the end held back until the call is booked."""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from app.errors import ProviderFailed
from app.gateway import shapes
from app.gateway.attempts import Answered
from app.gateway.finish import Finish
from app.providers.base import StreamReader

# A stream that nobody listens to is not read for ever.
LONGEST_DRAIN_SECONDS = 300
# Not "error": null, which stands in every event of a response.
ERROR = re.compile(rb'"error"\s*:\s*["{]')

log = logging.getLogger(__name__)


class Relay:
    """A streamed answer as a WSGI iterable, whose call is booked exactly once.

    That is before the last bytes go out, or when the provider breaks off, or, when the client has left, in `close()`,
    which WSGI servers call even if nothing was ever read.
    """

    def __init__(
        self, answered: Answered, reader: StreamReader, finish: Finish, *, route: str | None, drain: bool
    ) -> None:
        """Waits for the provider's first bytes, so that a failure before them still gets an honest status line.

        `route` says in which shape an error is told; None: the stream is sound, which has none. `drain`: when the
        client leaves, the rest is read for its usage.

        Raises ProviderFailed, ProviderTimedOut; nothing is booked then.
        """
        self._answered = answered
        self._reader = reader
        self._finish = finish
        self._route = route
        self._drain = drain
        self._chunks = answered.upstream.chunks()
        self._first = next(self._chunks, b"")
        if not self._first:
            raise ProviderFailed("The provider ended the stream before its first event.")
        finish.first_byte()
        self._pieces = self._relay()

    def __iter__(self) -> Iterator[bytes]:
        """WSGI iterates once."""
        return self._pieces

    def _relay(self) -> Iterator[bytes]:
        try:
            for chunk in itertools.chain((self._first,), self._chunks):
                for piece in self._reader.feed(chunk):
                    if self._reader.finished:
                        self._book("success")
                    yield self._told(piece)
        except ProviderFailed as error:
            # The status line is long gone: an error event, and no [DONE], tells the client that the answer is not
            # whole.
            self._book("failure")
            log.warning("a provider broke off a stream", extra={"deployment": self._answered.offer.deployment.id})
            if self._route is None:
                # What was sent must not end as if it were whole: the server breaks the connection off.
                raise
            yield shapes.event(error, self._route)
            return
        # What is left may be the end itself, without its blank line, or the usage: it is read before the booking.
        rest = self._reader.rest()
        self._book("success" if self._reader.finished else "failure")
        if rest:
            yield self._told(rest)

    def _told(self, piece: bytes) -> bytes:
        """An event that tells an error may quote the key that we sent; all others pass byte for byte."""
        return self._answered.offer.without_secrets(piece) if ERROR.search(piece) else piece

    def _book(self, outcome: str) -> None:
        self._finish.book(
            self._answered.failed,
            self._answered.offer,
            self._answered.upstream.status,
            outcome,
            self._reader,
        )

    def close(self) -> None:
        """The response is over. A call that is not booked yet was left by its client."""
        if self._drain and not self._finish.booked:
            self._finish.free_slots()
            threading.Thread(target=self._read_to_the_end, name="drain", daemon=True).start()
            return
        self._book("cancelled")
        self._answered.upstream.close()

    def _read_to_the_end(self) -> None:
        """Reads on without a reader, so that the call is booked with the usage that the provider charges for."""
        until = time.monotonic() + LONGEST_DRAIN_SECONDS
        with suppress(ProviderFailed):
            for chunk in self._chunks:
                self._reader.feed(chunk)
                if self._reader.finished or time.monotonic() > until:
                    break
            self._reader.rest()
        self._book("cancelled")
        self._answered.upstream.close()
