"""What the two translations have in common: bodies that can be written, and streams that end in any case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from app.errors import BadRequest
from app.providers.base import Counts, StreamReader
from app.providers.events import events_in

BROKEN_OFF = "The provider ended the stream before the answer was whole."


def encoded(translate: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
    """A body, and the same as JSON. Raises BadRequest for one that is nested more deeply than JSON is written."""
    try:
        body = translate()
        return body, orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadRequest("The body is nested too deeply.", param="request_body") from error


class TranslatedReader:
    """Events for a client, made of the events that the inner reader passes on. See `base.StreamReader`.

    Usage, tier and bytes are the inner reader's. A stream without its end mark is at its end all the same if the model
    has told why it stopped; else the client gets an error, so that it does not take half an answer for a whole one.
    """

    def __init__(self, inner: StreamReader) -> None:
        """Nothing was read yet."""
        self._inner = inner
        self.counts: Counts | None = None
        self.tier: str | None = None
        self.text_bytes = 0
        self.finished = False
        # The provider has told an error; nothing comes after it.
        self.failed = False

    def translated(self, event: bytes) -> list[bytes]:
        """The client's events for one of the provider's."""
        raise NotImplementedError

    def is_end(self, event: bytes) -> bool:
        """Whether this is the provider's end mark, which is not translated by itself."""
        raise NotImplementedError

    def stopped(self) -> bool:
        """Whether the model has told why it stopped."""
        raise NotImplementedError

    def ending(self) -> list[bytes]:
        """What comes last: what belongs before the end, and the end itself."""
        raise NotImplementedError

    def error(self, message: str) -> bytes:
        """An error in the client's words."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[bytes]:
        """See `base.StreamReader`."""
        if self.finished:
            return []
        pieces = self._inner.feed(data)
        self._take_over()
        return self._pieces(b"".join(pieces))

    def rest(self) -> bytes:
        """See `base.StreamReader`."""
        if self.finished:
            return b""
        left = self._inner.rest()
        self._take_over()
        pieces = self._pieces(left)
        if not self._is_over():
            pieces += self._end() if self.stopped() else [self.error(BROKEN_OFF)]
        return b"".join(pieces)

    def _is_over(self) -> bool:
        return self.finished or self.failed

    def _take_over(self) -> None:
        self.counts, self.tier, self.text_bytes = self._inner.counts, self._inner.tier, self._inner.text_bytes

    def _pieces(self, passed: bytes) -> list[bytes]:
        shown: list[bytes] = []
        for event in events_in(passed):
            if self.failed:
                break
            if self.is_end(event):
                *before, end = self._end()
                return [*_joined(shown + before), end]
            shown += self.translated(event)
        return _joined(shown)

    def _end(self) -> list[bytes]:
        self.finished = True
        return self.ending()


def _joined(events: list[bytes]) -> list[bytes]:
    return [b"".join(events)] if events else []
