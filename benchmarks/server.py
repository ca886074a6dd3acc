"""`python -m benchmarks.server`: what the web server costs, from the client's socket to the pipeline and back.

Every combination of gunicorn's gevent worker or ours with Flask's dispatch or the short cut answers the same calls, the
rounds interleaved, from a mock deployment. `nothing` is an application that only answers: the server alone. CPU is user
+ system of the web process by /proc; the medians' ratios are what to keep.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from app import create_app
from app.local.checks import answers
from app.local.valkey import free_port
from benchmarks.measure import body
from tests.services.process import Process
from tests.services.stack import REPOSITORY, environment, migrate
from tests.services.valkey import Valkey

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask

GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--workers", "1"]
WORKERS = {"stock": ["--worker-class", "gevent"], "lean": []}
APPLICATIONS = {
    "flask": "benchmarks.server:without_short_cut()",
    "short cut": "app:create_app()",
    "nothing": "benchmarks.server:of_nothing()",
}
MASTER_KEY = "sk-of-the-benchmark-0123456789"
CONFIG = {
    "model_list": [
        {
            "model_name": "mock",
            "litellm_params": {"model": "openai/gpt-4o-mini", "mock_response": "word " * 20},
        }
    ]
}
REPLY = b'{"choices": [{"message": {"role": "assistant", "content": "%b"}}]}' % (b"word " * 100)


def without_short_cut() -> Flask:
    """The application as Flask dispatches it."""
    app = create_app()
    app.wsgi_app = app.wsgi_app.flask  # type: ignore[method-assign,attr-defined]
    return app


def of_nothing() -> Flask:
    """`nothing` in the place of the application's own WSGI: gunicorn.conf.py expects our application."""
    app = create_app()
    app.wsgi_app = nothing  # type: ignore[method-assign]
    return app


def nothing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the call and answers: 20 events, 20 ms apart, to who asks for a stream, else 600 bytes."""
    if b'"stream"' in environ["wsgi.input"].read():
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return _events()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(REPLY)))])
    return [REPLY]


def _events() -> Iterator[bytes]:
    for number in range(20):
        yield b"data: %d %b\n\n" % (number, b"x" * 150)
        time.sleep(0.02)


@contextmanager
def served(worker: str, application: str, environ: dict[str, str], directory: Path) -> Iterator[tuple[str, Any]]:
    """The URL and the web process."""
    port = free_port()
    process = Process(
        f"{worker}-{application}",
        [*GUNICORN, *WORKERS[worker], APPLICATIONS[application]],
        directory / f"{worker}-{application}.log".replace(" ", "-"),
        environ=environ | {"PORT": str(port)},
        ready=lambda: answers("127.0.0.1", port, "/health/liveliness"),
    )
    with process:
        web = psutil.Process(process.pid).children()[0]
        yield f"http://127.0.0.1:{port}", web


def cpu_per_call(url: str, web: Any, seconds: float, connections: int, *, stream: bool) -> tuple[float, float]:
    """Microseconds of CPU for a call and for an event."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", f"{url}/v1/chat/completions", "--key", MASTER_KEY]
    command += ["--body", body("mock", stream=stream), "--connections", str(connections), "--seconds", str(seconds)]
    before = web.cpu_times()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    after = web.cpu_times()
    told = json.loads(done.stdout)
    if told["failed"] or not told["calls"]:
        raise RuntimeError(f"{told['failed']} of {told['calls']} calls failed")
    taken = (after.user + after.system - before.user - before.system) * 1e6
    return taken / told["calls"], taken / max(1, told["events"])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "config.yaml").write_text(json.dumps(CONFIG), encoding="utf-8")
        valkey = stack.enter_context(Valkey(directory))
        database = f"sqlite:///{directory}/tollgate.db"
        migrate(database)
        environ = environment(database, valkey.url, directory, MASTER_KEY) | {"PYTHONPATH": str(REPOSITORY)}
        environ.pop("GUNICORN_CMD_ARGS", None)
        combinations = [(worker, application) for application in APPLICATIONS for worker in WORKERS]
        running = {pair: stack.enter_context(served(*pair, environ, directory)) for pair in combinations}
        for number in range(given.rounds + 1):
            for pair, (url, web) in running.items():
                whole = cpu_per_call(url, web, given.seconds, given.connections, stream=False)
                events = cpu_per_call(url, web, given.seconds, given.connections, stream=True)
                if number:  # the first round warms up
                    found[pair].append((whole[0], events[1]))
    for (worker, application), values in found.items():
        call, event = (sorted(each)[len(values) // 2] for each in zip(*values, strict=True))
        _say(f"{worker:6} {application:10} {call:7.0f} µs a call {event:7.1f} µs an event")
    _say(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, {given.rounds} rounds of {given.seconds} s")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - whoever starts it reads it


if __name__ == "__main__":
    main()
