"""What can be known before anything starts, each problem as one line that says what to change."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import redis
import sqlalchemy as sa

from app.local.valkey import is_free

PATIENCE_SECONDS = 3


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
    timeout = {"timeout": PATIENCE_SECONDS} if url.startswith("sqlite") else {"connect_timeout": PATIENCE_SECONDS}
    engine = sa.create_engine(url, connect_args=timeout, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except sa.exc.DBAPIError as error:
        return f"DATABASE_URL: {without_password(url)} does not answer: {_first_line(error.orig or error)}"
    return None


def answers(host: str, port: int, path: str) -> bool:
    """Whether GET gives 200. Talks to the port itself, whatever proxy the environment names."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
