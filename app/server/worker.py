"""gunicorn's gevent worker with a request loop of its own.

Everything around the loop is gunicorn's: processes, signals, listeners, limits, and the parser for every request that
is not plain (see app.server.plain). gunicorn's master loads this before anything is patched, so nothing of the
application is imported here.

An application that does nothing costs 20 µs a call here, system calls included, and 99 µs with gunicorn's own loop; an
event of a stream 7 µs and 11 µs (`python -m benchmarks.server`).
"""

from __future__ import annotations

import errno
import os
import time
from typing import Any

import gevent  # type: ignore[import-untyped]
from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http.message import _ip_in_allow_list  # type: ignore[import-untyped]
from gunicorn.http.wsgi import base_environ  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from app.server.conversation import Conversation

LEFT = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF})
LONGEST_HEAD = 8190


class LeanWorker(GeventWorker):  # type: ignore[misc]
    """Where the settings ask for what the loop does not have (TLS, an access log, PROXY lines), gunicorn's is used."""

    alive: bool
    longest_head: int
    most_fields: int

    def init_process(self) -> None:
        """See gunicorn; does not return before the process ends."""
        self._open: set[Conversation] = set()
        cfg = self.cfg
        limits = (cfg.limit_request_line, cfg.limit_request_field_size, LONGEST_HEAD)
        self.longest_head = min(limit for limit in limits if limit > 0)
        self.most_fields = cfg.limit_request_fields if cfg.limit_request_fields > 0 else LONGEST_HEAD
        self._lean = not (
            cfg.is_ssl
            or cfg.proxy_protocol != "off"
            or cfg.protocol != "http"
            or "h2" in cfg.http_protocols
            or self.log.access_log_enabled
            or cfg.statsd_host
            or not cfg.keepalive
            or os.environ.get("SCRIPT_NAME")
        )
        self._given = base_environ(cfg) | {"wsgi.multithread": True, "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1"}
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """One connection, in a greenlet of its own."""
        if not self._lean or not isinstance(addr, tuple):
            super().handle(listener, client, addr)
            return
        server = listener.getsockname()
        given = self._given | {"SERVER_NAME": server[0], "SERVER_PORT": str(server[1])}
        conversation = Conversation(self, client, addr, given)
        self._open.add(conversation)
        try:
            conversation.run()
        except OSError as error:
            if error.errno not in LEFT:
                self.log.exception("Socket error processing request.")
        finally:
            self._open.discard(conversation)
            util.close(client)

    def schemes(self, peer: tuple[Any, ...]) -> dict[str, str]:
        """The headers that a trusted proxy says https with (forwarded_allow_ips), as the environ names them."""
        cfg = self.cfg
        if not _ip_in_allow_list(peer[0], cfg.forwarded_allow_ips, cfg.forwarded_allow_networks()):
            return {}
        return {"HTTP_" + name.replace("-", "_"): value for name, value in cfg.secure_scheme_headers.items()}

    def count(self) -> None:
        """One more request; after max_requests the process is replaced."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def notify(self) -> None:
        """Once a second. Ends connections whose time is over, and when the process is to end, the idle ones."""
        super().notify()
        now = time.monotonic()
        for conversation in list(self._open):
            if conversation.until < now or (conversation.idle and not self.alive):
                conversation.end()

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """SIGTERM: idle connections are not waited for."""
        super().handle_exit(sig, frame)
        gevent.spawn(self.notify)
