"""The web server's settings. Imports nothing of ours: gunicorn reads this before gevent has patched the sockets."""

import os

bind = f"{os.environ.get('TOLLGATE_BIND') or '0.0.0.0'}:{os.environ.get('PORT') or 4000}"  # noqa: S104 - containers

worker_class = "gevent"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_connections = 5000

# Longer than the 60 s after which common load balancers close an idle connection, so that they close it and not we.
keepalive = 75
graceful_timeout = 30
timeout = 60

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16380


def post_worker_init(worker):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A process ends what it still runs, and books it, a little before gunicorn's own patience ends and kills it."""
    worker.cfg.set("graceful_timeout", max(1, worker.cfg.graceful_timeout - 3))


# Every call has its row in the ledger; a second log of them would only cost time.
accesslog = None
errorlog = "-"

# The control socket would be a file in the home directory.
control_socket_disable = True
