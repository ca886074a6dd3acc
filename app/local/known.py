"""What the supervisor has to know of the settings.

They are read in a process of its own, which ends: with all that reads them they would be 4 of the supervisor's 15 MB,
for as long as Tollgate runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

READING = [sys.executable, "-m", "app.local.reading"]


class Unreadable(Exception):
    """Something is wrong with the settings; one line each."""

    def __init__(self, problems: list[str]) -> None:
        """Each problem is for the person at the terminal."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Known:
    """`model` is one that can be tried, None: there is none yet; `warnings` are lines.

    `variables` are what the environment lacks: a master key, where nobody has named one.
    """

    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    master_key: str = field(repr=False)
    variables: dict[str, str] = field(repr=False)
    warnings: list[str]
    model: str | None

    def to_json(self) -> str:
        """For the supervisor."""
        return json.dumps(asdict(self))


def read(environment: Mapping[str, str]) -> Known:
    """What the settings say under that environment, in this directory. Raises Unreadable."""
    done = subprocess.run(  # noqa: S603 - the command is our own
        READING, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise Unreadable(done.stdout.splitlines() or ["the settings cannot be read; the lines above say why"])
    return Known(**json.loads(done.stdout))
