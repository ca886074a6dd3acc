"""The start, told in order: look, Redis, database, migrations, worker, web, banner; then watch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from app.local import banner, checks, known, valkey
from app.local.child import Child, say
from app.local.home import Home, HomeTaken
from app.local.known import Known, Unreadable
from app.local.supervisor import Stopped, Supervisor
from app.local.valkey import Valkey

DEFAULT_PORT = "4000"
START_SECONDS = 30
DEATHS_AT_START = 3
# Seconds to stop in, together below 30: calls in flight get ten of them.
WEB_PATIENCE, WORKER_PATIENCE, VALKEY_PATIENCE = 12, 10, 5
MIGRATION_SECONDS, STOP_MIGRATION_SECONDS = 600, 5

PYTHON = sys.executable
MIGRATE = [PYTHON, "-m", "alembic", "upgrade", "head"]
WEB = [PYTHON, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--graceful-timeout", "10", "app:create_app()"]
WORKER = [PYTHON, "-m", "worker"]


class CannotStart(Exception):
    """Something has to be changed first; one line each."""

    def __init__(self, *problems: str) -> None:
        """Each problem is for the person at the terminal."""
        super().__init__("\n".join(problems))
        self.problems = problems


def launch(environ: Mapping[str, str], directory: Path) -> None:
    """Runs Tollgate in that directory until it is asked to stop. Raises CannotStart; by then nothing runs any more."""
    environment = {"TOLLGATE_HOME": ".tollgate", "TOLLGATE_BIND": "127.0.0.1", "PORT": DEFAULT_PORT}
    environment |= {name: value for name, value in environ.items() if value} | {"PYTHONUNBUFFERED": "1"}
    # Celery warns of root on seven lines; on one's own machine that is one's own business.
    environment.setdefault("PYTHONWARNINGS", "ignore:::celery.platforms")
    home = own_home(directory / environment["TOLLGATE_HOME"])
    if problem := checks.port_problem(environment["TOLLGATE_BIND"], environment["PORT"]):
        raise CannotStart(problem)
    embedded = None
    if "REDIS_URL" not in environment:
        embedded = embedded_valkey(home)
        environment["REDIS_URL"] = embedded[1].url
    try:
        settings = known.read(environment)
    except Unreadable as error:
        raise CannotStart(*error.problems) from None
    environment |= settings.variables
    with Supervisor() as supervisor:
        try:
            start(supervisor, settings, environment, embedded)
            supervisor.watch()
        except Stopped:
            return


def own_home(path: Path) -> Home:
    """`.tollgate`, ours alone. Raises CannotStart."""
    try:
        home = Home(path)
        home.own()
    except HomeTaken as error:
        raise CannotStart(f"already running in this directory (process {error})") from None
    except OSError as error:
        raise CannotStart(f"TOLLGATE_HOME: cannot write to {path}: {error.strerror}") from None
    return home


def embedded_valkey(home: Home) -> tuple[Child, Valkey]:
    """A Valkey of this home, not yet started. Raises CannotStart."""
    try:
        server, command = valkey.prepare(home)
    except valkey.NoValkey:
        raise CannotStart("REDIS_URL: not set, and there is no embedded Valkey for this kind of machine") from None
    return Child("valkey", command, {}), server


def start(
    supervisor: Supervisor,
    settings: Known,
    environment: Mapping[str, str],
    embedded: tuple[Child, Valkey] | None,
) -> None:
    """Everything up to the banner. Raises CannotStart and Stopped."""
    if embedded:
        start_valkey(supervisor, *embedded)
    no_redis = None if embedded else checks.redis_problem(settings.redis_url)
    if found := [problem for problem in (no_redis, checks.database_problem(settings.database_url)) if problem]:
        raise CannotStart(*found)
    if checks.is_migrated(settings.database_url):
        # A migration would have said them.
        for warning in settings.warnings:
            say("tollgate", warning)
    else:
        migrate(supervisor, environment)
    supervisor.start(Child("worker", WORKER, environment), WORKER_PATIENCE, rereads=True)
    web = supervisor.start(Child("web", WEB, environment), WEB_PATIENCE, rereads=True)
    host, port = checks.own_host(environment["TOLLGATE_BIND"]), int(environment["PORT"])

    def decided() -> bool:
        return web.deaths >= DEATHS_AT_START or checks.answers(host, port, "/health/readiness")

    if not supervisor.wait(decided, START_SECONDS) or web.deaths >= DEATHS_AT_START:
        raise CannotStart("the web server does not get ready; its lines above say why")
    sys.stdout.write(banner.text(settings.master_key, settings.model, f"http://{host}:{port}"))
    sys.stdout.flush()


def start_valkey(supervisor: Supervisor, child: Child, server: Valkey) -> None:
    """The embedded Valkey, answering, with its data loaded."""
    watched = supervisor.start(child, VALKEY_PATIENCE)

    def decided() -> bool:
        return watched.deaths >= DEATHS_AT_START or server.answers()

    if not supervisor.wait(decided, START_SECONDS) or watched.deaths >= DEATHS_AT_START:
        raise CannotStart("the embedded Valkey does not start; .tollgate/valkey/valkey.log says why")


def migrate(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    """The database's tables, brought up to date in a process of its own."""
    child = Child("migrate", MIGRATE, environment)
    child.start()
    try:
        supervisor.wait(lambda: child.ended() is not None, MIGRATION_SECONDS)
    finally:
        in_time = child.stop(STOP_MIGRATION_SECONDS)
    if not in_time or child.ended() != 0:
        raise CannotStart("the database could not be migrated; the lines above say why")
