"""A client as a process: it is told line by line what to do and answers with what it has seen.

A line is {"do", "url", "key", "model", ...}; its answer {"seen": ...} or {"error": {"class", "status", "code", ...}}.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = "What is the weather in Oslo?"
# More than the gateway of these tests takes.
LARGE = "far too much " * 250_000
SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + bytes(range(256))


@dataclass
class Target:
    """Whom to call, and when each request left by the clock that only goes forward."""

    url: str
    key: str
    model: str
    retries: int = 0
    azure: bool = False
    left_at: list[float] = field(default_factory=list)

    def note(self, *_: object) -> None:
        """To be called with every request; the SDKs have hooks for it."""
        self.left_at.append(time.monotonic())


Capability = Callable[[Target], Any]
Program = Mapping[str, Capability]


def named(*capabilities: Capability) -> dict[str, Capability]:
    """By their names, with spaces."""
    return {getattr(capability, "__name__", "").replace("_", " "): capability for capability in capabilities}


def serve(program: Program) -> None:
    """Does what the lines of standard input say, until there are no more."""
    # What a library prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        answers.write(json.dumps(done(program[do], Target(**order)), default=str) + "\n")
        answers.flush()


def done(capability: Capability, target: Target) -> dict[str, Any]:
    try:
        answer = {"seen": capability(target)}
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what is asked for
        answer = {"error": told(error)}
    return answer | {
        "requests": len(target.left_at),
        "gaps": [later - sooner for sooner, later in zip(target.left_at, target.left_at[1:], strict=False)],
    }


def told(error: Exception) -> dict[str, Any]:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "type": inner.get("type") if isinstance(inner, dict) else None,
        "code": inner.get("code") if isinstance(inner, dict) else None,
        "message": inner.get("message") if isinstance(inner, dict) else None,
        "retry_after": error.response.headers.get("retry-after") if hasattr(error, "response") else None,
        "text": "".join(traceback.format_exception(error))[-3000:],
    }
