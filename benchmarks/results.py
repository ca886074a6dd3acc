"""What was measured last, as JSON in .bench/results.json: a section for each command, with its own time."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from benchmarks.peers import PEERS

FILE = PEERS / "results.json"


def read() -> dict[str, Any]:
    """All sections; none where nothing was measured yet."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


def keep(section: str, told: dict[str, Any]) -> None:
    """Writes one section anew."""
    FILE.parent.mkdir(exist_ok=True)
    known = {name: value for name, value in read().items() if name in {"calls", "held", "start"}}
    whole = known | {section: {"at": datetime.now(UTC).isoformat(timespec="seconds")} | told}
    FILE.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """How far it is, on stderr, away from the table."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - whoever waits reads it
