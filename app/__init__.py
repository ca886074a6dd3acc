"""Tollgate: virtual keys, budgets and limits in front of model providers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

CANNOT_START = 3

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def create_app(given: Settings | None = None, *, database_patience: float = 4.0, redis_patience: float = 0.5) -> Flask:
    """The application: settings, then extensions, then api. Opens no connection.

    The patiences are how many seconds one SQL statement, and one answer of Redis, may take: whoever calls a model must
    not wait longer for an honest 503.

    Where the environment or config.yaml is wrong, every problem is told in one line on stderr and the process ends.
    """
    # Imported here, because everything else in this package must be usable without loading all of it.
    from app.assembly import assemble  # noqa: PLC0415

    with _problems_told():
        return assemble(given, database_patience, redis_patience)


def create_background_app(*, database_patience: float, redis_patience: float = 0.5) -> Flask:
    """The application of a process that answers no calls, with everything but routes: of the worker, of a migration.

    As `create_app` in all else.
    """
    from app.foundation import lay  # noqa: PLC0415

    with _problems_told():
        return lay(None, database_patience, redis_patience)


@contextmanager
def _problems_told() -> Iterator[None]:
    from app.errors import SettingsError  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        # One line a problem instead of a traceback. On this status gunicorn gives up instead of trying for ever.
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        raise SystemExit(CANNOT_START) from None
