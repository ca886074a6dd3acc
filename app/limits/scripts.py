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

    def __call__(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Gives the script's answer. Raises LimitsUnavailable where Redis does not answer."""
        try:
            try:
                return _line.ask("EVALSHA", self.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return _line.ask("EVAL", self.text, len(keys), *keys, *arguments)
        except RedisError as error:
            raise LimitsUnavailable("The limits cannot be checked: Redis does not answer. Try again.") from error
