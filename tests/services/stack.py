"""The whole gateway as real processes: web servers, each on a port of its own, and workers with beat."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import orjson
import psutil  # type: ignore[import-untyped]
import redis as redis_py
import yaml

from app.local.checks import answers
from app.local.valkey import free_port
from app.reload import instances
from tests.services.process import Process

REPOSITORY = Path(__file__).parents[2]
APPLICATION = "app:create_app()"
WEB = ["-m", "gunicorn", "-c", "gunicorn.conf.py", "--graceful-timeout", "4"]
WORKER = ["-m", "worker"]


class Stack:
    """A context. `database_url` names a database that is migrated already, as the fixture of that name gives.

    `variables` are more of the environment than every stack has, `application` is what gunicorn loads. `kill`, `stop`,
    `cont` and `restart` take the number of a web process; for a worker: `stack.workers[0].kill()`.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        config: Mapping[str, Any],
        web: int = 2,
        workers: int = 1,
        variables: Mapping[str, str] | None = None,
        application: str = APPLICATION,
    ) -> None:
        self.master_key = "sk-" + secrets.token_urlsafe(24)
        self.redis_url = redis_url
        self.directory = Path(tempfile.mkdtemp(prefix="tollgate-stack-"))
        self.configure(config)
        self._environ = environment(database_url, redis_url, self.directory, self.master_key) | dict(variables or {})
        self._application = application
        self._ports = [free_port() for _ in range(web)]
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self.web = [self._web(number, port) for number, port in enumerate(self._ports)]
        self.workers = [self._worker(number) for number in range(workers)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.directory)
            processes = self.workers + self.web
            for process in processes:
                stack.callback(process.kill)
            # All at once, because each takes its second to import everything.
            for process in processes:
                process.start()
            for process in processes:
                process.wait_until_ready()
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Writes config.yaml. Processes that run do not look at it by themselves."""
        (self.directory / "config.yaml").write_text(yaml.safe_dump(dict(config)))

    def kill(self, web: int) -> None:
        """kill -9, with everything it started."""
        self.web[web].kill()

    def stop(self, web: int) -> None:
        """Freezes it."""
        self.web[web].stop()

    def cont(self, web: int) -> None:
        """Thaws it."""
        self.web[web].cont()

    def restart(self, web: int) -> None:
        """Back on its port."""
        self.web[web].restart()

    def command(self, *words: str) -> str:
        """A command of the application, in a process of its own. Gives its output."""
        command = [sys.executable, "-m", "flask", "--app", "app", *words]
        done = subprocess.run(command, env=self._environ, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _web(self, number: int, port: int) -> Process:
        return Process(
            f"web-{number}",
            [sys.executable, *WEB, self._application],
            self.directory / f"web-{number}.log",
            environ=self._environ | {"PORT": str(port)},
            ready=lambda: answers("127.0.0.1", port, "/health/readiness"),
        )

    def _worker(self, number: int) -> Process:
        process = Process(
            f"worker-{number}",
            [sys.executable, *WORKER],
            self.directory / f"worker-{number}.log",
            environ=self._environ,
            ready=lambda: runs_tasks(self.redis_url, process.pid),
        )
        return process


def runs_tasks(redis_url: str, pid: int) -> bool:
    """Whether the process that this worker has started is on the list of those that read config.yaml."""
    started = {child.pid for child in psutil.Process(pid).children()}
    with redis_py.Redis.from_url(redis_url) as client:
        records = client.mget([instances.record_key(one.decode()) for one in client.smembers(instances.IDS)] or [""])
    return any(record and orjson.loads(record)["pid"] in started for record in records)


def environment(database_url: str, redis_url: str, directory: Path, master_key: str) -> dict[str, str]:
    """What every process of a stack sees: nothing of ours but what the test says."""
    ours = {name for name in os.environ if name.startswith("TOLLGATE_")} | {"WEB_CONCURRENCY"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TOLLGATE_MASTER_KEY": master_key,
        "TOLLGATE_CONFIG": str(directory / "config.yaml"),
        "TOLLGATE_HOME": str(directory),
        "TOLLGATE_BIND": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }


def migrate(database_url: str) -> None:
    """As a release does."""
    alembic(database_url, "upgrade", "head")


def alembic(database_url: str, *command: str) -> str:
    """The command in a process of its own. Gives its output."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "config.yaml").write_text("model_list: []\n")
        environ = environment(database_url, "redis://127.0.0.1:1/0", Path(directory), "sk-" + secrets.token_urlsafe(24))
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *command],
            env=environ,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
