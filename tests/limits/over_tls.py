"""`python -m tests.limits.over_tls threads|gevent redis://…`: many share a line to a Redis behind TLS.

Prints how many got their own answers. A process of its own, because gevent's patching cannot be undone.
"""

from __future__ import annotations

import sys

if sys.argv[1] == "gevent":
    from gevent import monkey  # type: ignore[import-untyped]

    monkey.patch_all()

import socket
import ssl
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from app.extensions import redis
from app.limits.line import Line
from tests.http.test_tls import LOOPBACK, authority

CALLERS, CALLS = 16, 50
# More than one record of TLS, and more than is read at once.
LARGE = "x" * 300_000


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """What comes from one goes to the other, to the end."""
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        return


def in_front_of(port: int, context: ssl.SSLContext) -> int:
    """Listens with TLS for what speaks without it; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            client = context.wrap_socket(listening.accept()[0], server_side=True)
            behind = socket.create_connection(("127.0.0.1", port))
            for ends in ((client, behind), (behind, client)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


def main(url: str) -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as folder:
        trusted = authority(Path(folder), "trusted")
        port = in_front_of(urlsplit(url).port or 0, trusted.serving(LOOPBACK))
        redis.init_app(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted.file}", 5)
        line, right = Line(), []

        def call(number: int) -> None:
            texts = [f"{number} {place}" for place in range(CALLS)] + [LARGE]
            right.append(all(line.ask("ECHO", text) == text.encode() for text in texts))

        callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        sys.stdout.write(f"{sum(right)} of {CALLERS}")


main(sys.argv[2])
