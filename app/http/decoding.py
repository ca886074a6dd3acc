"""Bodies that were packed although nobody asked for it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from app.http.message import Broken

# So much is unpacked at a time: a small answer may unpack to gigabytes.
PIECE_BYTES = 262_144
GZIP, ZLIB, RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
PLAIN = frozenset({"", "identity"})


class Unpacker:
    """Takes a body as it comes and gives what was packed in it."""

    def __init__(self, window: Callable[[bytes], int]) -> None:
        """`window` says by the first two bytes what zlib has to expect."""
        self._window = window
        self._zlib: zlib._Decompress | None = None
        self._begun = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of bounded size, as many as `data` gives. Raises Broken."""
        if self._zlib is None:
            self._begun += data
            if len(self._begun) < 2:  # noqa: PLR2004 - what tells the kinds apart
                return
            data, self._begun = self._begun, b""
            self._zlib = zlib.decompressobj(self._window(data))
        full = False
        while data or full:
            try:
                piece = self._zlib.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise Broken from error
            # Then there may be more in it, even if all data is taken.
            full = len(piece) == PIECE_BYTES
            if piece:
                yield piece
            if self._zlib.eof:
                data = self._zlib.unused_data
                # A gzip file may be followed by another one (RFC 1952, "member").
                if data:
                    self._zlib = zlib.decompressobj(self._window(data))
            else:
                data = self._zlib.unconsumed_tail

    def end(self) -> None:
        """The body is over. Raises Broken where what was packed is not."""
        if self._begun or (self._zlib is not None and not self._zlib.eof):
            raise Broken


def unpacker(encoding: str) -> Unpacker | None:
    """For an answer's Content-Encoding; None: it is not packed. Raises Broken for a kind that is not known here."""
    kind = encoding.strip().lower()
    if kind in PLAIN:
        return None
    if kind in {"gzip", "x-gzip"}:
        return Unpacker(lambda _: GZIP)
    if kind == "deflate":
        return Unpacker(_deflate)
    raise Broken


def _deflate(begin: bytes) -> int:
    """Zlib's format is meant (RFC 9110), but some servers leave out its two bytes, which are a multiple of 31."""
    return ZLIB if begin[0] & 0x0F == zlib.DEFLATED and int.from_bytes(begin[:2]) % 31 == 0 else RAW
