"""A real Valkey on a free port."""

from __future__ import annotations

import os
from pathlib import Path

from app.local.checks import redis_problem
from app.local.valkey import binary, free_port
from tests.services.process import Process


class Valkey(Process):
    """Forgets everything when it ends, unless it is `durable`."""

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        settings = {"bind": "127.0.0.1", "port": port, "dir": directory, "save": "", "maxmemory-policy": "noeviction"}
        # What is written survives the process without fsync, which on a busy disk takes longer than callers wait.
        settings |= {"appendonly": "yes", "appendfsync": "no"} if durable else {"appendonly": "no"}
        super().__init__(
            "valkey",
            [str(binary()), *(str(part) for name, value in settings.items() for part in (f"--{name}", value))],
            directory / "valkey.log",
            environ=os.environ,
            ready=lambda: redis_problem(self.url) is None,
        )
