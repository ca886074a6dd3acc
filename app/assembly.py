"""The whole assembly of a process that answers calls: the foundation, then the gateway, then api."""

from __future__ import annotations

from flask import Flask

from app import api, cli
from app.foundation import lay
from app.gateway.pipeline import Gateway
from app.settings import Settings


def assemble(given: Settings | None, database_patience: float, redis_patience: float) -> Flask:
    """See `app.create_app`."""
    app = lay(given, database_patience, redis_patience, lambda app, settings: Gateway(settings, app.app_context))
    api.init_app(app)
    cli.init_app(app)
    return app
