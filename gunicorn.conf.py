"""The web server's settings. Imports nothing of ours: gunicorn reads this before gevent has patched the sockets."""

import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

bind = f"{os.environ.get('TOLLGATE_BIND') or '0.0.0.0'}:{os.environ.get('PORT') or 4000}"  # noqa: S104 - containers

# gunicorn's gevent worker with a request loop of ours. The master loads it, and with it nothing else of ours.
worker_class = "app.server.worker.LeanWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_connections = 5000

# Longer than the 60 s after which common load balancers close an idle connection, so that they close it and not we.
keepalive = 75
graceful_timeout = 30
timeout = 60

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16380


def pre_fork(_server, _worker):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What the master has loaded is not looked through for garbage in a worker: looking would copy it.

    With the worker's mappers, which are ready before it forks, that is 3 MB of PSS of the whole tree.
    """
    gc.freeze()


def post_worker_init(worker):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A process ends what it still runs, and books it, a little before gunicorn's own patience ends and kills it."""
    worker.cfg.set("graceful_timeout", max(1, worker.cfg.graceful_timeout - 3))
    from gevent import get_hub  # type: ignore[import-untyped]  # noqa: PLC0415 - only here is everything patched

    reloader = worker.wsgi.extensions["tollgate_reload"]
    reloader.hear_hangups()
    # In a thread of the system's, so that the greenlets of calls go on meanwhile.
    reloader.watch("web", aside=get_hub().threadpool.apply)
    # A call leaves no garbage that has to be looked for, but with many in flight Python looks for some with each: that
    # took a quarter of all CPU. What is loaded now stays for ever, and need not be looked through at all.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def on_starting(_server):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A place in memory for the last config.yaml that was right: workers that are born while it is wrong take that.

    Otherwise the master would end with all of its workers as soon as one of them had to be replaced.
    """
    os.environ.pop("TOLLGATE_LAST_GOOD", None)
    # Linux has such places, though not in every sandbox.
    with suppress(AttributeError, OSError):
        place = Path(f"/proc/self/fd/{os.memfd_create('config.yaml')}")
        if place.read_bytes() == b"":
            os.environ["TOLLGATE_LAST_GOOD"] = str(place)


def when_ready(server):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """SIGHUP has the workers read config.yaml again.

    What gunicorn does by itself, to replace all workers, cuts off streams that are longer than its patience, and ends
    the master where config.yaml is wrong.
    """
    server.handle_hup = lambda: server.kill_workers(signal.SIGHUP)


# Every call has its row in the ledger; a second log of them would only cost time.
accesslog = None
errorlog = "-"

# The control socket would be a file in the home directory.
control_socket_disable = True
