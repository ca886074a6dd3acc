"""What can be known before anything starts, each problem as one line that says what to change."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from app.local.valkey import is_free

PATIENCE_SECONDS = 3
# Its files are numbered in order.
MIGRATIONS = Path(__file__).parents[2] / "migrations" / "versions"


class NoAnswer(Exception):
    """The database does not answer a question; the text says why."""


def port_problem(host: str, port: str) -> str | None:
    """Whether the web server could listen there."""
    if not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - the end of all ports
        return f"PORT: got {port!r}, expected a number from 1 to 65535"
    if _somebody_answers(int(port)) or not is_free(host, int(port)):
        return f"port {port} is taken; choose another with PORT=…"
    return None


def own_host(bind: str) -> str:
    """The address at which a server bound there is reached from this machine."""
    return "127.0.0.1" if bind in {"", "0.0.0.0", "::"} else bind  # noqa: S104 - nothing is bound here


def _somebody_answers(port: int) -> bool:
    # Some systems let two servers share a port when one of them listens on a narrower address.
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def redis_problem(url: str) -> str | None:
    """Whether Redis answers."""
    # Imported here, and psycopg below: the supervisor lives as long as Tollgate, and they would double its memory.
    import redis  # noqa: PLC0415

    client = redis.Redis.from_url(
        url, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS, retry=None
    )
    try:
        client.ping()
    except redis.RedisError as error:
        return f"REDIS_URL: {without_password(url)} does not answer: {_first_line(error)}"
    finally:
        client.close()
    return None


def database_problem(url: str) -> str | None:
    """Whether the database answers."""
    try:
        _asked(url, "SELECT 1")
    except NoAnswer as error:
        return f"DATABASE_URL: {without_password(url)} does not answer: {error}"
    return None


def is_migrated(url: str) -> bool:
    """Whether the database's tables are those of this release; a process of its own would take a second to say so."""
    latest = max(path.name for path in MIGRATIONS.glob("[0-9]*_*.py")).partition("_")[0]
    try:
        return _asked(url, "SELECT max(version_num) FROM alembic_version") == latest
    except NoAnswer:
        return False


def _asked(url: str, question: str) -> object:
    """What the database answers, one value. Raises NoAnswer."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        try:
            file = rest.removeprefix("/").partition("?")[0]
            with closing(sqlite3.connect(file, timeout=PATIENCE_SECONDS)) as connection:
                return connection.execute(question).fetchone()[0]
        except sqlite3.Error as error:
            raise NoAnswer(_first_line(error)) from error
    import psycopg  # noqa: PLC0415

    try:
        with psycopg.connect(f"postgresql://{rest}", connect_timeout=PATIENCE_SECONDS) as postgresql:
            ((answer,),) = postgresql.execute(question.encode())
            return answer
    except psycopg.Error as error:
        raise NoAnswer(_first_line(error)) from error


def answers(host: str, port: int, path: str) -> bool:
    """Whether GET gives 200. Talks to the port itself, whatever proxy the environment names."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.readline(64).split()[1:2] == [b"200"]
    except OSError:
        return False


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
