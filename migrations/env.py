"""Runs migrations on the database that the settings name, one process at a time."""

from __future__ import annotations

import sys

from alembic import context
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app import create_background_app
from app.extensions import db

# Any number that nobody else uses for an advisory lock: "tollgate" in ASCII, shortened to what PostgreSQL takes.
MIGRATION_LOCK = 0x746F6C6C67617465 >> 1

# A migration takes as long as it takes.
application = create_background_app(database_patience=24 * 3600.0)
# Said here, because a release migrates once, while every web and worker process would say it again.
for warning in application.extensions["tollgate"].settings.warnings:
    sys.stderr.write(warning + "\n")


def migrate() -> None:
    """Brings the tables up to date, holding a lock so that two releases do not do it at once."""
    with application.app_context(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # A lock of the session outlives this transaction; and no migration may queue behind a long query for ever.
            connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": MIGRATION_LOCK})
            connection.execute(text("SET lock_timeout = '10s'"))
            connection.execute(text("SET statement_timeout = 0"))
            connection.commit()
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            compare_type=True,
            transaction_per_migration=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()


try:
    migrate()
except OperationalError as error:
    sys.stderr.write(f"DATABASE_URL: the database does not answer or refuses: {error.orig}\n")
    raise SystemExit(1) from None
