"""db, redis, celery: made once here, bound to one application in create_app()."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery
import redis as redis_py
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session

from app.errors import DatabaseUnavailable

DATABASE_TIMEOUT_SECONDS = 2


class Base(DeclarativeBase):
    """The tables' base. Every constraint has a name, so that migrations can change it on both databases."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Redis:
    """The one Redis connection pool of the process, bound in create_app()."""

    client: redis_py.Redis

    def init_app(self, url: str, patience: float = 0.5) -> None:
        """Makes the pool, without connecting: a Redis that is down does not stop the start. `patience` is seconds."""
        self.client = redis_py.Redis.from_url(
            url,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=None,
            max_connections=10_000,
        )


db = SQLAlchemy(model_class=Base)
redis = Redis()


def celery_init_app(app: Flask, redis_url: str) -> celery.Celery[Any]:
    """The Celery application of this process; its tasks run inside the Flask application's context."""

    class FlaskTask(celery.Task):  # type: ignore[type-arg]
        """A task in an application context, whose end gives the database session back."""

        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app: celery.Celery[Any] = celery.Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(celery_settings(redis_url))
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def celery_settings(redis_url: str) -> dict[str, Any]:
    """Settings under which a task survives a killed worker and a sender never hangs on a frozen broker.

    A task whose process was killed comes back after `visibility_timeout`, unless it has expired; whatever it was to do,
    the schedule has had done long before.
    """
    return {
        "broker_url": redis_url,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # In the process that consumes: a second one would be the whole application once more.
        "worker_pool": "solo",
        # What that pool does not look at: worker/application.py does, and worker/keeper.py ends what goes on after it.
        "task_soft_time_limit": 100,
        "task_default_queue": "tollgate",
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "visibility_timeout": 600,
            "unacked_restore_throttle": 1,
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
        },
        "timezone": "UTC",
    }


def engine_options(url: str) -> dict[str, Any]:
    """Pool and time-outs: a database that does not answer gives an error in seconds, never a hang."""
    if url.startswith("sqlite"):
        return {"hide_parameters": True, "connect_args": {"timeout": DATABASE_TIMEOUT_SECONDS}}
    return {
        # An error's text must not tell hashes and addresses to a log.
        "hide_parameters": True,
        "pool_size": 5,
        "max_overflow": 5,
        "pool_timeout": DATABASE_TIMEOUT_SECONDS,
        "pool_pre_ping": True,
        "connect_args": {
            "connect_timeout": DATABASE_TIMEOUT_SECONDS,
            "tcp_user_timeout": DATABASE_TIMEOUT_SECONDS * 1000,
            "options": "-c statement_timeout=30s -c lock_timeout=10s -c timezone=UTC",
        },
    }


def prepare_postgresql(engine: sa.Engine, patience: float) -> None:
    """Connections that give up after `patience` seconds of silence.

    The server's own time-outs do not help when it is frozen, and TCP's do not either: the kernel still acknowledges.
    """
    # Imported here, because who has SQLite needs none of it.
    import psycopg  # noqa: PLC0415
    from psycopg.errors import _WaitTimeout  # noqa: PLC0415

    class Impatient(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            options["timeout"] = options.get("timeout") or patience
            try:
                return super().wait(gen, *args, **options)
            except _WaitTimeout as error:
                # Half an answer may still come; nobody can use this connection any more.
                self.pgconn.finish()
                raise psycopg.OperationalError("the database does not answer") from error

    @event.listens_for(engine, "do_connect")
    def on_connect(_dialect: object, _record: object, args: Any, options: Any) -> Any:
        return Impatient.connect(*args, **options)


def prepare_sqlite(engine: sa.Engine) -> None:
    """SQLite in WAL mode with real transactions: readers never wait for a writer, writers wait for each other."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver must not begin transactions of its own: only BEGIN IMMEDIATE takes the write lock before the first
        # read, and a transaction that asks for it later fails at once when somebody else has written.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def write_transaction() -> Iterator[Session]:
    """The one way to change rows: a transaction that takes its lock first, committed at the end of the block.

    Raises DatabaseUnavailable where the database does not answer.
    """
    with database_errors():
        session = db.session()
        session.rollback()
        session.connection(execution_options={"writing": True})
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


def insert_into(dialect: str, table: type[Any]) -> Any:
    """An INSERT in the words of that database; both speak ON CONFLICT in the same."""
    # Imported here, because who has SQLite has no use for 3 MB of PostgreSQL.
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415

        return insert(table)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)


@contextmanager
def database_errors() -> Iterator[None]:
    """Maps "the database does not answer" to DatabaseUnavailable; every other error passes."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise DatabaseUnavailable("The database does not answer. Nothing was changed; try again.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The database connection was lost. Try again.") from error
        raise
