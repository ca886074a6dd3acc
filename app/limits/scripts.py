"""Runs the Lua files of this folder: one atomic act each, one round trip each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from app.errors import LimitsUnavailable
from app.limits.line import Line

Argument = str | bytes | int

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
        self._by_hash = _bulk(("EVALSHA", self.sha))

    def __call__(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Gives the script's answer. Raises LimitsUnavailable where Redis does not answer."""
        return self.ask(3 + len(keys) + len(arguments), _bulk((len(keys), *keys, *arguments)))

    def ask(self, count: int, rest: bytes) -> Any:
        """The same, for a command of so many parts of which those behind the script are packed."""
        try:
            try:
                return _line.ask_packed(b"*%d\r\n%b%b" % (count, self._by_hash, rest))
            except NoScriptError:
                return _line.ask_packed(b"*%d\r\n%b%b" % (count, _bulk(("EVAL", self.text)), rest))
        except RedisError as error:
            raise LimitsUnavailable("The limits cannot be checked: Redis does not answer. Try again.") from error


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
        rest = b"".join((self._before, _bulk(first), self._after, _bulk(last)))
        return self._script.ask(self._count + len(first) + len(last), rest)


def _bulk(arguments: Sequence[Argument]) -> bytes:
    """Parts of a command as they go out (Redis, "RESP protocol specification", bulk strings)."""
    if not arguments:
        return b""
    parts = [argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments]
    return b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])
