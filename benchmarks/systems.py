"""The systems that are measured, each started as its documentation says: Tollgate, its peers, nginx as a yardstick."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
import psycopg
import requests
import yaml

from app.local.checks import answers
from app.local.valkey import free_port
from benchmarks import crowd, peers, processes
from benchmarks.processes import Cores, pinned
from tests.services.postgres import Postgres
from tests.services.process import Process
from tests.services.stack import Stack, migrate
from tests.services.valkey import Valkey

START_SECONDS = 90
MODEL = "gpt-4o-mini"
DATABASE = "bench"


@dataclass(slots=True)
class Running:
    """A system that answers at `url`, and what its calls carry.

    `processes` are its own, those of `workers` among them; `beside` are those that they lean on. `booked` tells how
    many ledger rows there are of calls that began at that moment or later, where the system has a ledger.
    """

    name: str
    url: str
    key: str
    processes: list[psutil.Process]
    beside: dict[str, list[psutil.Process]] = field(default_factory=dict)
    model: str = MODEL
    headers: dict[str, str] = field(default_factory=dict)
    workers: list[psutil.Process] = field(default_factory=list)
    booked: Callable[[datetime], int] | None = None
    redis_url: str = ""

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that its processes have taken until now."""
        return processes.cpu(self.processes)

    def cpu_beside(self) -> dict[str, float]:
        """The same of Redis and SQL."""
        return {name: processes.cpu(found) for name, found in self.beside.items()}

    def memory(self) -> float:
        """Bytes that its processes have for themselves, shared pages counted in parts (PSS)."""
        return processes.memory(self.processes)


def deployment(upstream: str) -> dict[str, object]:
    """A configuration with one model at the upstream, as Tollgate and LiteLLM both read it."""
    params = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"}
    return {"model_list": [{"model_name": MODEL, "litellm_params": params}]}


@contextmanager
def tollgate(upstream: str, cores: Cores, *, users: int = 0, rows: int = 0) -> Iterator[Running]:
    """With everything on: virtual key, user budget, parallel limit, PostgreSQL, ledger rows through the worker.

    `users` and `rows` are what is there already, as crowd.py makes it.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with pinned(cores.others):
            postgres = stack.enter_context(Postgres(durable=True))
            valkey = stack.enter_context(Valkey(directory))
            url = postgres.create(DATABASE)
            migrate(url)
            if users:
                crowd.people(url, users)
            if rows:
                crowd.years(url, users, rows)
        with pinned(cores.gateway):
            running = stack.enter_context(Stack(url, valkey.url, deployment(upstream), web=1, workers=1))
        user = {"max_budget": 10_000, "max_parallel_requests": 10_000}
        authorization = {"Authorization": f"Bearer {running.master_key}"}
        made = requests.post(f"{running.urls[0]}/user/new", json=user, headers=authorization, timeout=30)
        made.raise_for_status()
        address: dict[str, Any] = {"host": "127.0.0.1", "port": postgres.port, "user": "tollgate", "dbname": DATABASE}
        books = stack.enter_context(psycopg.connect(autocommit=True, **address))
        workers = [psutil.Process(process.pid) for process in running.workers]
        yield Running(
            "Tollgate",
            running.urls[0],
            made.json()["key"],
            [*(psutil.Process(process.pid) for process in running.web), *workers],
            {"Redis": [psutil.Process(valkey.pid)], "SQL": [psutil.Process(postgres.process.pid)]},
            workers=workers,
            booked=lambda since: _booked(books, since),
            redis_url=valkey.url,
        )


def _booked(books: psycopg.Connection, since: datetime) -> int:
    row = books.execute("SELECT count(*) FROM ledger WHERE started_at >= %s", (since,)).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def litellm(upstream: str, cores: Cores) -> Iterator[Running]:
    """LiteLLM's proxy without its database, whose engine would have to be downloaded: it books nothing."""
    config = deployment(upstream) | {"litellm_settings": {"telemetry": False, "request_timeout": 60}}
    master, port = "sk-" + secrets.token_urlsafe(24), free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [str(peers.PEERS / "litellm/bin/litellm"), "--config", str(path), "--host", "127.0.0.1"]
        environ = {"LITELLM_MASTER_KEY": master, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        environ |= {"LITELLM_MODE": "PRODUCTION"}
        command += ["--port", str(port), "--num_workers", "1"]
        with _served("litellm", command, environ, Path(directory), port, cores) as process:
            yield Running("LiteLLM", f"http://127.0.0.1:{port}", master, [process])


@contextmanager
def portkey(upstream: str, cores: Cores) -> Iterator[Running]:
    """Portkey's gateway, which has no keys and no limits."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = [shutil.which("node") or "node", str(peers.PORTKEY_SERVER), "--headless", f"--port={port}"]
        environ = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
        with _served("portkey", command, environ, Path(directory), port, cores) as process:
            headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"}
            yield Running("Portkey", f"http://127.0.0.1:{port}", "sk-upstream", [process], headers=headers)


@contextmanager
def nginx(upstream: str, cores: Cores) -> Iterator[Running]:
    """A reverse proxy that knows nothing: the floor."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "nginx.conf"
        path.write_text(
            f"""
            daemon off; worker_processes 1; pid {directory}/pid; error_log stderr error; worker_rlimit_nofile 20000;
            events {{ worker_connections 16384; }}
            http {{
                access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
                fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
                keepalive_requests 100000000;
                upstream provider {{
                    server {upstream.removeprefix("http://")}; keepalive 256; keepalive_requests 100000000;
                }}
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location = /health/liveliness {{ return 200; }}
                    location / {{
                        proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_buffering off;
                    }}
                }}
            }}
            """,
            encoding="utf-8",
        )
        command = [peers.nginx(), "-c", str(path), "-p", directory]
        with _served("nginx", command, {}, Path(directory), port, cores) as process:
            yield Running("nginx", f"http://127.0.0.1:{port}", "sk-upstream", [process])


@contextmanager
def direct(upstream: str, _cores: Cores) -> Iterator[Running]:
    """The upstream itself: what a call takes without any gateway."""
    yield Running("direct", upstream, "sk-upstream", [])


Made = Callable[[str, Cores], AbstractContextManager[Running]]
SYSTEMS: dict[str, Made] = {"tollgate": tollgate, "litellm": litellm, "portkey": portkey, "nginx": nginx}


@contextmanager
def _served(
    name: str, command: list[str], environ: dict[str, str], directory: Path, port: int, cores: Cores
) -> Iterator[psutil.Process]:
    """Ended with its children at the end of the block."""
    path = "/" if name == "portkey" else "/health/liveliness"
    process = Process(
        name,
        command,
        directory / "output.log",
        environ=os.environ | environ,
        ready=lambda: answers("127.0.0.1", port, path),
    )
    with pinned(cores.gateway):
        process.start()
    try:
        process.wait_until_ready(START_SECONDS)
        yield psutil.Process(process.pid)
    finally:
        process.kill()


class Upstream:
    """The scripted provider in a process of its own, as a context."""

    def __init__(self, cores: Cores, gap: float = 0.02) -> None:
        """`gap`: seconds between the events of a stream."""
        self._cores = cores
        self._command = [sys.executable, "-m", "benchmarks.upstream", "--gap", str(gap)]

    def __enter__(self) -> Self:
        """Started, and listening at `url`."""
        with pinned(self._cores.others):
            self._process = psutil.Popen(
                self._command, stdout=-1, text=True, preexec_fn=processes.dies_with_us, cwd=peers.PEERS.parent
            )
        self.url = str(self._process.stdout.readline()).strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def done(self) -> dict[str, int]:
        """How many calls and streams it has answered until now."""
        told: dict[str, int] = json.loads(requests.get(self.url, timeout=10).content)
        return told

    def cpu(self) -> float:
        """Seconds of CPU that it has taken until now."""
        return processes.cpu([self._process])
