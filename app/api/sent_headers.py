"""A request's headers, looked up in its environ.

werkzeug's EnvironHeaders does the same and more: to go through those of one call takes it 20 µs, and each name 0.4 µs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

PREFIX = "HTTP_"
# PEP 3333: these two stand without the prefix.
BARE = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


class SentHeaders(Mapping[str, str]):
    """Headers by name in any case; going through them gives names in lower case."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Keeps the environ."""
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_key(name)]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """As that of every Mapping, without an exception for a header that is not there."""
        return self._environ.get(_key(name), default)

    def __iter__(self) -> Iterator[str]:
        for key in self._environ:
            if key.startswith(PREFIX):
                yield key[len(PREFIX) :].replace("_", "-").lower()
            elif key in BARE and self._environ[key]:
                yield BARE[key]

    def __len__(self) -> int:
        return sum(1 for _ in self)


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    """The names that are asked for are the gateway's own, so there are few of them."""
    key = name.upper().replace("-", "_")
    return key if key in BARE else PREFIX + key
