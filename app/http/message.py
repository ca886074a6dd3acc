"""An answer's bytes taken apart: status, headers, body. Knows no sockets; llhttp in its strict form does the reading.

What llhttp refuses is refused: a length that is no number, said twice or said beside chunks; chunks of a size that is
none; names and values with characters that do not belong there; lines that do not end in CRLF (RFC 9112). Refused here
besides: other transfer codings than chunked, and heads and trailers that do not end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# With all interim answers (1xx) and trailers; the largest heads of providers have some 30 headers and 4 KiB.
MOST_HEADERS = 200
MOST_HEAD_BYTES = 65536
FINAL, LAST_STATUS = 200, 599
WITHOUT_BODY = frozenset({204, 304})
VERSIONS = frozenset({"1.0", "1.1"})


class Broken(Exception):
    """What came is no answer in HTTP/1.1, or not to be borne."""


class Headers(Mapping[str, str]):
    """An answer's headers, by name in any case. Of a name that came more than once the values stand in one, by comma.

    Made from bytes as they came, with names in lower case; read as Latin-1.
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[bytes, bytes]) -> None:
        """Keeps `values`."""
        self._values = values

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Headers:
        """Headers of our own making."""
        return cls({name.lower().encode("latin-1"): value.encode("latin-1") for name, value in values.items()})

    def __getitem__(self, name: str) -> str:
        return self._values[_lower(name)].decode("latin-1")

    def get(self, name: str, default: Any = None) -> Any:
        """As that of every Mapping, which for a header that is not there takes 1 µs more."""
        value = self._values.get(_lower(name))
        return default if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=256)
def _lower(name: str) -> bytes:
    """The names that are asked for are the gateway's own, so there are few of them."""
    return name.lower().encode("latin-1")


class Message:
    """One answer. `feed` it what comes until it is `complete`.

    headed: status and headers are known
    surplus: more came than belongs to it, so nobody knows what the next bytes would be an answer to
    """

    __slots__ = (
        "_barren",
        "_count",
        "_parser",
        "_pieces",
        "_size",
        "_stays",
        "_values",
        "complete",
        "headed",
        "status",
        "surplus",
    )

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.status = 0
        self.headed = self.complete = self.surplus = self._stays = False
        self._values: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._barren = self._count = self._size = 0
        self._parser = HttpResponseParser(self)

    @property
    def headers(self) -> Headers:
        """The final answer's."""
        return Headers(self._values)

    @property
    def stays(self) -> bool:
        """The connection may be used again."""
        return self._stays and not self.surplus

    def feed(self, data: bytes) -> None:
        """Takes what came, of which there is something. Raises Broken."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.complete:
                raise Broken from error
            self.surplus = True
        if self._pieces or self.complete:
            self._barren = 0
            return
        # Heads that do not end, chunk extensions and trailers: nothing of them is of use to anybody.
        self._barren += len(data)
        if self._barren > MOST_HEAD_BYTES:
            raise Broken

    def end(self) -> None:
        """The other side has closed. Raises Broken where that is not how this answer ends."""
        if self.complete:
            return
        if not self.headed or b"content-length" in self._values or b"transfer-encoding" in self._values:
            raise Broken
        self.complete = True

    def take(self) -> bytes:
        """The part of the body that has come since it was last asked for; b"" is none."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # What the parser calls. An exception of theirs ends the parsing with HttpParserError.

    def on_message_begin(self) -> None:
        """A second answer to one question is no answer to anything."""
        if self.complete:
            raise Broken

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or, behind the last chunk, a trailer, which may not change what the head has said."""
        self._count += 1
        self._size += len(name) + len(value) + 4
        if self._count > MOST_HEADERS or self._size > MOST_HEAD_BYTES:
            raise Broken
        if not self.headed:
            name = name.lower()
            had = self._values.get(name)
            self._values[name] = value if had is None else had + b", " + value

    def on_headers_complete(self) -> None:
        """Interim answers (1xx) are skipped, with their headers."""
        status = self._parser.get_status_code()
        if status > LAST_STATUS or self._parser.get_http_version() not in VERSIONS:
            raise Broken
        if status < FINAL:
            self._values = {}
            return
        coding = self._values.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked" and status not in WITHOUT_BODY:
            raise Broken
        self.status = status
        self.headed = True

    def on_body(self, piece: bytes) -> None:
        """A part of the body, out of its chunk."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The end, unless it was an interim answer's."""
        self.complete = self.headed
        # The parser knows only until it has told of the end.
        self._stays = self.headed and self._parser.should_keep_alive()

    def forget(self) -> None:
        """The parser and this know each other, and would wait for the garbage collector together."""
        del self._parser
