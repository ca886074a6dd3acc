"""Runs the Lua files of this folder: one atomic act each, one round trip each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from app.errors import LimitsUnavailable
from app.limits.line import Line

Argument = str | bytes | int
SILENT = "The limits cannot be checked: Redis does not answer. Try again."

_line = Line()


class Script:
    """One Lua file, or a few that are one script.

    Redis is asked for it by its hash and given the text once, when it does not know it.
    """

    def __init__(self, *names: str) -> None:
        """`names` are files, without their ending; what an earlier one defines the later ones use."""
        folder = Path(__file__).parent
        self.text = "".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.by_hash = _bulk(("EVALSHA", self.sha))

    def __call__(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Gives the script's answer. Raises LimitsUnavailable where Redis does not answer."""
        try:
            try:
                return _line.ask("EVALSHA", self.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return _line.ask("EVAL", self.text, len(keys), *keys, *arguments)
        except RedisError as error:
            raise LimitsUnavailable(SILENT) from error


class Prepared:
    """A script with its keys, and with those arguments that are the same each time: packed once, for many calls.

    To pack all of them with each call took 8 % of the web process.
    """

    __slots__ = ("_after", "_before", "_count", "_script")

    def __init__(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        """`arguments` stand behind those that a call gives first."""
        self._script = script
        self._before = _bulk((len(keys), *keys))
        self._after = _bulk(arguments)
        self._count = 3 + len(keys) + len(arguments)

    def __call__(self, first: Sequence[Argument], last: Sequence[Argument] = ()) -> Any:
        """The script's answer to `first`, then what was prepared, then `last`. Raises LimitsUnavailable."""
        count = self._count + len(first) + len(last)
        rest = b"".join((self._before, _bulk(first), self._after, _bulk(last)))
        try:
            try:
                return _line.ask_packed(b"*%d\r\n%b%b" % (count, self._script.by_hash, rest))
            except NoScriptError:
                return _line.ask_packed(b"*%d\r\n%b%b" % (count, _bulk(("EVAL", self._script.text)), rest))
        except RedisError as error:
            raise LimitsUnavailable(SILENT) from error


def _bulk(arguments: Iterable[Argument]) -> bytes:
    """Parts of a command as they go out (Redis, "RESP protocol specification", bulk strings)."""
    packed = b""
    for argument in arguments:
        part = argument if isinstance(argument, bytes) else str(argument).encode()
        packed += b"$%d\r\n%b\r\n" % (len(part), part)
    return packed
