"""The bytes of a request, in which nobody can put a header that we have not put there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from app.errors import ProviderFailed

PORTS = {"http": 80, "https": 443}
# RFC 9110, "Tokens".
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Where the body ends is said here and nowhere else, and so is what becomes of the connection.
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"})
# Some providers' front doors turn callers without a name away.
DEFAULTS = {"accept-encoding": "Accept-Encoding: identity\r\n", "user-agent": "User-Agent: tollgate\r\n"}
# A request up to this long leaves in one piece; a longer body is not copied for that.
JOINED_BYTES = 65536


class Address(NamedTuple):
    """Whom a connection goes to."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says: whom to connect to, and the first lines of each request."""

    address: Address
    lines: str


@lru_cache(maxsize=4096)
def target_of(url: str) -> Target:
    """Raises ProviderFailed for what is not the address of a web server."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        plain = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:
        raise ProviderFailed("The provider's address cannot be read.") from error
    if parts.scheme not in PORTS or not plain or re.search(r"[\x00-\x20\x7f/\\]", plain):
        raise ProviderFailed("The provider's address cannot be read.")
    named = f"[{plain}]" if ":" in plain else plain
    if port not in {None, PORTS[parts.scheme]}:
        named = f"{named}:{port}"
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*[]")
    return Target(
        Address(parts.scheme, plain, PORTS[parts.scheme] if port is None else port),
        f"POST {path} HTTP/1.1\r\nHost: {named}\r\n",
    )


def pieces(target: Target, headers: Mapping[str, str], body: bytes) -> tuple[bytes, bytes]:
    """The request: what is sent first, with the body where that is short, and the rest.

    Raises ProviderFailed for a header that would be more than one, or that is ours to set.
    """
    added = _added(tuple(headers))
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    said = "".join(lines)
    # A value with a line's end in it would make more lines than there are headers.
    if said.count("\r") != len(lines) or said.count("\n") != len(lines) or "\0" in said:
        raise ProviderFailed("The provider cannot be called: a header, or the key in it, has a line's end in it.")
    try:
        head = f"{target.lines}{added}{said}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
    except UnicodeEncodeError as error:
        raise ProviderFailed("The provider cannot be called: a header, or the key in it, is not Latin-1.") from error
    return (head + body, b"") if len(body) <= JOINED_BYTES else (head, body)


@lru_cache(maxsize=1024)
def _added(names: tuple[str, ...]) -> str:
    """The lines of ours that go with headers of these names. Raises ProviderFailed for a name that cannot be sent."""
    given = {name.lower() for name in names}
    if given & OURS or not all(map(TOKEN.fullmatch, names)) or len(given) < len(names):
        raise ProviderFailed("The provider cannot be called: a header's name is none, stands twice or is ours to set.")
    return "".join(line for name, line in DEFAULTS.items() if name not in given)
