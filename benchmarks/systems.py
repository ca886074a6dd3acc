"""The systems that are measured, each started as its documentation says: Tollgate, its peers, nginx as a yardstick."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import requests
import yaml

from app.local.valkey import free_port
from benchmarks import crowd
from tests.services.postgres import Postgres
from tests.services.stack import Stack, migrate
from tests.services.valkey import Valkey

REPOSITORY = Path(__file__).parents[1]
PEERS = REPOSITORY / ".bench"
LITELLM = ("litellm", "1.109.1")
PORTKEY = ("@portkey-ai/gateway", "1.15.2")
# A fresh install of Portkey's gateway breaks on streams with newer ones.
PORTKEY_WITH = {"hono": "4.9.7", "@hono/node-server": "1.13.8"}
START_SECONDS = 90
MODEL = "gpt-4o-mini"


@dataclass(slots=True)
class Running:
    """A system that answers at `url`, and what its calls carry.

    `processes` are its own, `beside` those that they lean on.
    """

    name: str
    url: str
    key: str
    processes: list[psutil.Process]
    beside: dict[str, list[psutil.Process]] = field(default_factory=dict)
    model: str = MODEL
    headers: dict[str, str] = field(default_factory=dict)
    redis_url: str = ""

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that its processes have taken until now."""
        return sum(_cpu(process) for process in self.processes)

    def cpu_beside(self) -> dict[str, float]:
        """The same of Redis and SQL."""
        return {name: sum(_cpu(process) for process in found) for name, found in self.beside.items()}

    def memory(self) -> float:
        """Megabytes that its processes have for themselves, shared pages counted in parts (PSS)."""
        return sum(float(process.memory_full_info().pss) for process in _all(self.processes)) / 1e6


def _all(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def _cpu(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in _all([process])]
    return sum(float(one.user + one.system) for one in times)


@contextmanager
def tollgate(upstream: str, *, web: int = 1, users: int = 0, rows: int = 0) -> Iterator[Running]:
    """With everything on: virtual key, user budget, parallel limit, PostgreSQL, ledger rows through the worker.

    `users` and `rows` are what is there already, as crowd.py makes it.
    """
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"},
            }
        ]
    }
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(Postgres())
        valkey = stack.enter_context(Valkey(directory))
        url = postgres.create("bench")
        migrate(url)
        if users:
            crowd.people(url, users)
        if rows:
            crowd.years(url, users, rows)
        running = stack.enter_context(Stack(url, valkey.url, config, web=web, workers=1))
        user = {"max_budget": 10_000, "max_parallel_requests": 10_000}
        authorization = {"Authorization": f"Bearer {running.master_key}"}
        made = requests.post(f"{running.urls[0]}/user/new", json=user, headers=authorization, timeout=30)
        made.raise_for_status()
        processes = [psutil.Process(process.pid) for process in (*running.web, *running.workers)]
        beside = {"Valkey": [psutil.Process(valkey.pid)], "PostgreSQL": [psutil.Process(postgres.process.pid)]}
        yield Running("Tollgate", running.urls[0], made.json()["key"], processes, beside, redis_url=valkey.url)


@contextmanager
def litellm(upstream: str) -> Iterator[Running]:
    """LiteLLM's proxy without its database, whose engine would have to be downloaded: it books nothing."""
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"},
            }
        ],
        "litellm_settings": {"telemetry": False, "request_timeout": 60},
    }
    master, port = "sk-" + secrets.token_urlsafe(24), free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [str(PEERS / "litellm/bin/litellm"), "--config", str(path), "--host", "127.0.0.1"]
        environ = {"LITELLM_MASTER_KEY": master, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with _process([*command, "--port", str(port), "--num_workers", "1"], environ, directory) as process:
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/health/liveliness", process)
            yield Running("LiteLLM", url, master, [process])


@contextmanager
def portkey(upstream: str) -> Iterator[Running]:
    """Portkey's gateway, which has no keys and no limits."""
    port = free_port()
    server = PEERS / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    with tempfile.TemporaryDirectory() as directory:
        command = [_node(), str(server), "--headless", f"--port={port}"]
        with _process(command, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}, directory) as process:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"}
            yield Running("Portkey", url, "sk-upstream", [process], headers=headers)


@contextmanager
def nginx(upstream: str) -> Iterator[Running]:
    """A reverse proxy that knows nothing: the floor."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "nginx.conf"
        path.write_text(
            f"""
            daemon off; worker_processes 1; pid {directory}/pid; error_log stderr error;
            events {{ worker_connections 8192; }}
            http {{
                access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
                fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
                upstream provider {{ server {upstream.removeprefix("http://")}; keepalive 256; }}
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location / {{
                        proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_buffering off;
                    }}
                }}
            }}
            """,
            encoding="utf-8",
        )
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        with _process([binary, "-c", str(path), "-p", directory], {}, directory) as process:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            yield Running("nginx", url, "sk-upstream", [process])


@contextmanager
def direct(upstream: str) -> Iterator[Running]:
    """The upstream itself: what a call takes without any gateway."""
    yield Running("direct", upstream, "sk-upstream", [])


SYSTEMS: dict[str, Any] = {
    "tollgate": tollgate,
    "litellm": litellm,
    "portkey": portkey,
    "nginx": nginx,
    "direct": direct,
}


def install(names: list[str]) -> None:
    """The peers, each in an environment of its own under .bench/."""
    if "litellm" in names and not (PEERS / "litellm/bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS / "litellm")], check=True)
        python = PEERS / "litellm/bin/python"
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True
        )
        # It pins versions of these two that are not to be had any more.
        overrides = PEERS / "overrides.txt"
        overrides.write_text("certifi\nlitellm-proxy-extras\n", encoding="utf-8")
        uv = [str(PEERS / "litellm/bin/uv"), "pip", "install", "--quiet", "--python", str(python)]
        wanted = f"{LITELLM[0]}[proxy]=={LITELLM[1]}"
        subprocess.run([*uv, "--override", str(overrides), wanted], check=True)
    if "portkey" in names and not (PEERS / "portkey/node_modules").exists():
        (PEERS / "portkey").mkdir(parents=True, exist_ok=True)
        packages = [f"{PORTKEY[0]}@{PORTKEY[1]}", *(f"{name}@{version}" for name, version in PORTKEY_WITH.items())]
        subprocess.run(["npm", "install", "--silent", "--no-save", *packages], cwd=PEERS / "portkey", check=True)


def available(name: str) -> str | None:
    """Why a system cannot be measured here; None where it can."""
    if name == "nginx" and not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        return "nginx is not installed (on Debian: apt install nginx-light)"
    if name == "portkey" and not shutil.which("npm"):
        return "npm is not installed"
    return None


def _node() -> str:
    found = shutil.which("node")
    assert found is not None, "node is not installed"  # noqa: S101 - said by `available` before
    return found


@contextmanager
def _process(command: list[str], environ: dict[str, str], directory: str) -> Iterator[psutil.Process]:
    """Ended with its children at the end of the block. Its output stands in `directory`."""
    # Set there, a failing optional import that LiteLLM tries again on every call would take milliseconds.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with (Path(directory) / "output.log").open("wb") as log:
        process = psutil.Popen(command, env=inherited | environ, cwd=directory, stdout=log, stderr=log)
    try:
        yield process
    finally:
        for each in reversed(_all([process])):
            each.kill()
        process.wait()


def _wait(url: str, process: psutil.Process) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            requests.get(url, timeout=2)
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{url} did not begin to answer")


Made = AbstractContextManager[Running]
