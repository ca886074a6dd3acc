"""What every process stands on, whether it answers calls or not: settings, then extensions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from flask import Flask
from sqlalchemy import make_url

from app import audit
from app.extensions import celery_init_app, db, engine_options, prepare_postgresql, prepare_sqlite, redis
from app.reload.file import ConfigFile
from app.reload.process import Reloader
from app.settings import Settings


class Holder(Protocol):
    """What a process has made of its settings: `app.extensions["tollgate"]`."""

    @property
    def settings(self) -> Settings:
        """Those that hold."""

    def under(self, settings: Settings) -> Self:
        """What comes in its place when config.yaml has changed."""


@dataclass(frozen=True, slots=True)
class Background:
    """The settings, and nothing else: the worker and migrations never answer a call.

    Routes, their documents, the pipeline of a call and the price list would take half of the worker's memory.
    """

    settings: Settings

    def under(self, settings: Settings) -> Background:
        """As in Holder."""
        return Background(settings)


class Application(Flask):
    """Flask, but a context ends at once where nobody has asked the database in it: 4 of the 12 µs of the short cut."""

    def do_teardown_appcontext(self, *args: Any, **kwargs: Any) -> None:
        """See Flask. All that there is to tear down is the session."""
        if db.session.registry.has():
            super().do_teardown_appcontext(*args, **kwargs)


def background(_app: Flask, settings: Settings) -> Background:
    """For `lay`."""
    return Background(settings)


def lay(
    given: Settings | None,
    database_patience: float,
    redis_patience: float,
    holder: Callable[[Flask, Settings], Holder] = background,
) -> Flask:
    """An application without routes. `holder` makes what the process needs of its settings; see `app.create_app`."""
    file = ConfigFile(os.environ, Path.cwd())
    chosen, problems = (given, ()) if given is not None else file.first()
    app = Application("tollgate", static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=chosen.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(chosen.database_url),
        MAX_CONTENT_LENGTH=chosen.max_body_bytes,
    )
    if (database := make_url(chosen.database_url)).get_backend_name() == "sqlite" and database.database:
        Path(database.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db.init_app(app)
    with app.app_context():
        if chosen.database_url.startswith("sqlite"):
            prepare_sqlite(db.engine)
        else:
            prepare_postgresql(db.engine, database_patience)
    audit.listen()
    redis.init_app(chosen.redis_url, redis_patience)
    celery_init_app(app, chosen.redis_url)
    app.extensions["tollgate"] = holder(app, chosen)
    app.extensions["tollgate_reload"] = Reloader(app, file.again if given is None else lambda _: given, problems)
    return app
