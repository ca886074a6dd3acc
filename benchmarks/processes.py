"""Processes: on which cores they run, what CPU and memory they take, and that none outlives a measurement."""

from __future__ import annotations

import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil  # type: ignore[import-untyped]

from app.local.child import end_with_parent


@dataclass(frozen=True, slots=True)
class Cores:
    """The gateway has one core for itself; load, upstream, Redis and SQL share the others."""

    gateway: frozenset[int]
    others: frozenset[int]

    @property
    def apart(self) -> bool:
        """False on a machine with one core, or one that cannot pin processes: the figures then say less."""
        return not self.gateway & self.others

    def __str__(self) -> str:
        """For the table's foot."""
        if not self.apart:
            return "gateway, load and upstream share all cores, because this machine cannot keep them apart"
        others = ", ".join(map(str, sorted(self.others)))
        return f"gateway on core {min(self.gateway)}; load, upstream, Redis and SQL on core {others}"


def cores() -> Cores:
    """Those of this machine that we may use."""
    if not hasattr(os, "sched_getaffinity"):
        every = frozenset(range(os.cpu_count() or 1))
        return Cores(every, every)
    first, *rest = sorted(os.sched_getaffinity(0))
    return Cores(frozenset({first}), frozenset(rest)) if rest else Cores(frozenset({first}), frozenset({first}))


@contextmanager
def pinned(to: frozenset[int]) -> Iterator[None]:
    """Whatever is started inside runs there, with all of its threads and children."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes and all that descend from them."""
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def cpu(processes: Iterable[psutil.Process]) -> float:
    """Seconds, user and system, that they and their children have taken until now, the ended ones included."""
    taken = 0.0
    for each in tree(processes):
        with suppress(psutil.NoSuchProcess):
            taken += sum(each.cpu_times()[:4])
    return taken


def memory(processes: Iterable[psutil.Process]) -> float:
    """Bytes that they have for themselves, shared pages counted in parts (PSS)."""
    total = 0.0
    for each in tree(processes):
        with suppress(psutil.NoSuchProcess):
            total += float(each.memory_full_info().pss)
    return total


def busy() -> float:
    """Seconds of CPU that the whole machine has taken until now, whoever ran."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def strangers() -> Callable[[], float]:
    """To be called later: the share of the machine that others than we and our children have taken since."""
    began, everybody, ours = time.monotonic(), busy(), cpu([psutil.Process()])

    def share() -> float:
        theirs = busy() - everybody - (cpu([psutil.Process()]) - ours)
        return max(0.0, theirs / (time.monotonic() - began) / (psutil.cpu_count() or 1))

    return share


def machine() -> str:
    """What the absolute figures belong to."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text(encoding="utf-8").splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{psutil.cpu_count()} cores, {names[0] if names else platform.machine()}, Python {platform.python_version()}"
    )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the processes see. Nothing between them and a server on this machine, and compiled modules are kept.

    With PYTHONDONTWRITEBYTECODE a failing optional import that LiteLLM tries again on every call takes milliseconds.
    """
    unwanted = {"PYTHONDONTWRITEBYTECODE", "http_proxy", "https_proxy", "all_proxy"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted and name.lower() not in unwanted}
    return kept | dict(more or {})


def prepare() -> None:
    """For a command: SIGTERM ends it as Ctrl-C does, its children see `environment`, and may open many sockets."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    kept = environment()
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


dies_with_us = end_with_parent(signal.SIGKILL)
