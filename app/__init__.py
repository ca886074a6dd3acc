"""Tollgate: virtual keys, budgets and limits in front of model providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def create_app(given: Settings | None = None, *, database_patience: float = 4.0) -> Flask:
    """The application: settings, then extensions, then api. Opens no connection.

    `database_patience` is how many seconds one SQL statement may take; callers must not wait longer for an honest 503.

    Raises SettingsError, which lists every problem of the environment and config.yaml.
    """
    # Imported here, because everything else in this package must be usable without loading all of it.
    from app.assembly import assemble  # noqa: PLC0415

    return assemble(given, database_patience)
