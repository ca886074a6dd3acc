"""A real web server, once with gunicorn's own gevent worker and once with ours: what one has to bear the other has to.

The expectations are the same for both. Where ours does not meet one, it has to go.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from app.local.checks import answers
from app.local.valkey import free_port
from tests.server.wire import Wire
from tests.services.process import Process
from tests.services.stack import REPOSITORY, environment

KEEP_ALIVE_SECONDS, GRACE_SECONDS = 2, 4
SETTINGS = runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))
WORKERS = {"gunicorn": "gevent", "ours": SETTINGS["worker_class"]}


def start(worker: str, port: int, directory: Path) -> Process:
    """A server that is not started yet, with the limits of gunicorn.conf.py and less patience."""
    limits = ("worker_connections", "limit_request_line", "limit_request_fields", "limit_request_field_size")
    settings = {name: SETTINGS[name] for name in limits} | {
        "bind": f"127.0.0.1:{port}",
        "worker_class": worker,
        "keepalive": KEEP_ALIVE_SECONDS,
        "graceful_timeout": GRACE_SECONDS,
        "control_socket_disable": True,
        "backlog": 4096,
    }
    config = directory / "gunicorn.conf.py"
    config.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    command = [sys.executable, "-m", "gunicorn", "--config", str(config), "tests.server.application:application"]
    environ = environment("", "", directory, "") | {"PYTHONPATH": str(REPOSITORY)}
    ready = partial(answers, "127.0.0.1", port, "/ignore")
    return Process(f"web-{worker}", command, directory / "web.log", environ=environ, ready=ready)


@pytest.fixture(scope="module", params=WORKERS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server answers."""
    number = free_port()
    with start(WORKERS[request.param], number, tmp_path_factory.mktemp("web")):
        yield number


@pytest.fixture
def wire(port: int) -> Iterator[Wire]:
    """A new connection."""
    with Wire(port) as connection:
        yield connection
