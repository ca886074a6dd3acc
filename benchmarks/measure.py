"""One measurement of one system: CPU, calls, latencies of a load that runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.systems import Running

# Rows are booked behind the calls, and that work belongs to them.
SETTLE_SECONDS = 3.0
PROMPT = "Tell me something about gateways, in as many words as you like. " * 3


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave. `cpu` is seconds of the system's own processes, `beside` of Redis and SQL."""

    calls: int
    failed: int
    events: int
    seconds: float
    cpu: float
    p50: float
    p99: float
    first_byte_p99: float
    beside: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_per_call(self) -> float:
        """Microseconds."""
        return self.cpu / max(1, self.calls) * 1e6

    @property
    def cpu_per_event(self) -> float:
        """Microseconds."""
        return self.cpu / max(1, self.events) * 1e6

    @property
    def per_core(self) -> float:
        """Calls per second that one core would do, were it used for nothing else."""
        return self.calls / self.cpu if self.cpu else 0.0


def body(model: str, *, stream: bool = False) -> str:
    """A request of about 300 bytes."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100}
    return json.dumps(asked | ({"stream": True} if stream else {}))


def measured(
    system: Running,
    *,
    seconds: float,
    connections: int,
    rate: float | None = None,
    stream: bool = False,
    keys: Sequence[str] = (),
) -> Round:
    """One round, with the system's own key or these in turn. The system has nothing else to do meanwhile."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", f"{system.url}/v1/chat/completions"]
    command += ["--body", body(system.model, stream=stream)]
    command += [word for key in keys or (system.key,) for word in ("--key", key)]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    command += [] if rate is None else ["--rate", str(rate)]
    command += [word for name, value in system.headers.items() for word in ("--header", f"{name}: {value}")]
    before, beside_before = system.cpu(), system.cpu_beside()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    if system.processes:
        time.sleep(SETTLE_SECONDS)
    told = json.loads(done.stdout)
    beside = {name: taken - beside_before[name] for name, taken in system.cpu_beside().items()}
    return Round(
        calls=told["calls"],
        failed=told["failed"],
        events=told["events"],
        seconds=seconds,
        cpu=system.cpu() - before,
        p50=told["p50"],
        p99=told["p99"],
        first_byte_p99=told["first_byte_p99"],
        beside=beside,
    )
