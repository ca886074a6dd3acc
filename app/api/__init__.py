"""HTTP in, HTTP out: parse, guard, call one function below, dump. One file per resource."""

from __future__ import annotations

from typing import cast

from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider

from app import audit as changes
from app.api import (
    activity,
    audit,
    budgets,
    config,
    credits,  # noqa: A004 - the resource is called so
    customers,
    daily_reports,
    docs,
    estimates,
    export,
    health,
    holds,
    hot,
    keys,
    limits,
    me,
    models,
    proxy,
    proxy_openai,
    report,
    reports,
    spend,
    teams,
    users,
    webhooks,
)
from app.api.base import Api
from app.gateway.pipeline import new_request_id

__all__ = ["init_app"]

# In the order of the page at /.
RESOURCES = (
    users,
    keys,
    teams,
    customers,
    budgets,
    limits,
    me,
    credits,
    models,
    spend,
    holds,
    export,
    reports,
    daily_reports,
    report,
    activity,
    estimates,
    webhooks,
    audit,
    config,
    health,
    proxy,
    proxy_openai,
)


NOBODY_YET = changes.Actor(changes.GATEWAY)


def init_app(app: Flask) -> None:
    """Registers every route, the error handlers and the page at /."""
    app.config.update(docs.config())
    cast("DefaultJSONProvider", app.json).sort_keys = False
    api = Api(app)
    for resource in RESOURCES:
        api.register_blueprint(resource.blueprint)
    app.register_blueprint(docs.assets())
    app.before_request(forget_the_last_caller)
    app.after_request(name_request)
    app.wsgi_app = hot.ShortCut(app, forget_the_last_caller)  # type: ignore[method-assign]


def forget_the_last_caller() -> None:
    """A thread answers one request after another; guards say whose changes they are."""
    changes.act_as(NOBODY_YET)


def name_request(response: Response) -> Response:
    """Every answer has a name that a caller can quote; that of an admitted call is its ledger row's."""
    response.headers.setdefault("x-request-id", new_request_id())
    return response
