"""The whole assembly on one screen: settings, then extensions, then api."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from sqlalchemy import make_url

from app import api, audit, cli
from app.extensions import celery_init_app, db, engine_options, prepare_postgresql, prepare_sqlite, redis
from app.gateway.pipeline import Gateway
from app.reload.file import ConfigFile
from app.reload.process import Reloader
from app.settings import Settings


def assemble(given: Settings | None, database_patience: float, redis_patience: float) -> Flask:
    """See `app.create_app`."""
    file = ConfigFile(os.environ, Path.cwd())
    chosen, problems = (given, ()) if given is not None else file.first()
    app = Flask("tollgate", static_folder=None)
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
    app.extensions["tollgate"] = Gateway(chosen, app.app_context)
    app.extensions["tollgate_reload"] = Reloader(app, file.again if given is None else lambda _: given, problems)
    api.init_app(app)
    cli.init_app(app)
    return app
