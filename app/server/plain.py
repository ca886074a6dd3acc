"""Requests that are written as almost all clients write them, read in one go; all others are the library's to read.

A head is plain where no two readers could disagree about it: GET or POST, a path without escapes, HTTP/1.1, every line
whole, every name a simple word that stands once, a length in digits or none. Whatever else there is, wrong or only
rare (chunks, Expect, other methods, a head that has not come as a whole), goes to gunicorn's parser as it came, so that
its rules are the rules and stand in one place.

A request with the headers of OpenAI's client costs 6 µs here, and 60 µs in gunicorn's parser and environ.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

HEAD_END = b"\r\n\r\n"
# RFC 9112, sections 3 and 5, less everything that is rare. Possessive, so that no head takes long to refuse.
HEAD = re.compile(
    rb"(GET|POST) (/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@/-]*+)(?:\?([A-Za-z0-9._~!$&'()*+,;=:@/?%-]*+))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z][A-Za-z0-9-]*+:[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n"
)
# Headers that change how a request is read or how the connection goes on.
NOT_PLAIN = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_TRAILER", "HTTP_TE"})
KEPT = "keep-alive"
LONGEST_LENGTH = 18
# Clients have a few dozen names in all; somebody who invents more of them must not fill the memory.
MOST_NAMES = 1000
_keys = {"Content-Type": "CONTENT_TYPE", "Content-Length": "CONTENT_LENGTH"}


def read(data: bytes, given: Mapping[str, Any], schemes: Mapping[str, str], longest: int, most: int) -> Any:
    """The environ of the request that `data` begins with, and where its head ends; None where it is not plain.

    `given` is what all requests of the connection share; `schemes` are the headers that say https and the value that
    says so, none where the client is not trusted with that. The head may have `longest` bytes and `most` fields.
    `wsgi.input` is empty.
    """
    end = data.find(HEAD_END, 0, longest) + len(HEAD_END)
    if end < len(HEAD_END) or (head := HEAD.fullmatch(data, 0, end)) is None:
        return None
    method, path, query, fields = head.groups()
    lines = fields.decode("latin-1").split("\r\n")
    lines.pop()
    if len(lines) > most:
        return None
    environ = dict(given)
    for line in lines:
        name, _, value = line.partition(":")
        key = _keys.get(name) or _key(name)
        if key in environ:
            return None
        environ[key] = value.strip(" \t")
    if not _is_plain(environ) or not _has_scheme(environ, schemes):
        return None
    environ["REQUEST_METHOD"] = method.decode()
    environ["PATH_INFO"] = path.decode()
    environ["QUERY_STRING"] = "" if query is None else query.decode()
    environ["RAW_URI"] = data[head.start(2) : head.end(2) if query is None else head.end(3)].decode()
    return environ, end


def length(environ: Mapping[str, Any]) -> int:
    """How many bytes the body has."""
    return int(environ.get("CONTENT_LENGTH", 0))


def _key(name: str) -> str:
    upper = name.upper().replace("-", "_")
    key = upper if upper in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{upper}"
    if len(_keys) < MOST_NAMES:
        _keys[name] = key
    return key


def _is_plain(environ: Mapping[str, Any]) -> bool:
    size = environ.get("CONTENT_LENGTH", "0")
    return (
        NOT_PLAIN.isdisjoint(environ)
        and environ.get("HTTP_CONNECTION", KEPT).lower() == KEPT
        and len(size) <= LONGEST_LENGTH
        and size.isascii()
        and size.isdigit()
    )


def _has_scheme(environ: dict[str, Any], schemes: Mapping[str, str]) -> bool:
    """Sets it; False where it is said more than once."""
    said = [environ[name] == secure for name, secure in schemes.items() if name in environ]
    environ["wsgi.url_scheme"] = "https" if said == [True] else "http"
    return len(said) <= 1


def with_body(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The environ with that body to read."""
    environ["wsgi.input"] = io.BytesIO(body)
    return environ
