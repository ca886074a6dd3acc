"""/health: whether the process lives, and whether the parts that it needs answer."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from flask import Response, jsonify
from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate
from redis.exceptions import RedisError

from app.api.base import Blueprint
from app.api.guards import FOR_ANYONE
from app.api.schemas import says
from app.extensions import db, redis

blueprint = Blueprint(
    "Health", __name__, url_prefix="/health", description="For load balancers and schedulers; no key needed."
)

DATABASE_SECONDS = 0.6


class DatabaseProbe:
    """Asks the database one question at a time.

    A database that is frozen answers no question and ends none. Were each health check to ask its own, the checks would
    take every connection that the calls need once it wakes up.
    """

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._lock = threading.Lock()
        self._asked: Future[bool] | None = None

    def answers(self, engine: sa.Engine, seconds: float) -> bool:
        """Whether the database answers within that time."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._ask, args=(engine, self._asked), daemon=True).start()
            asked = self._asked
        try:
            return asked.result(timeout=seconds)
        except TooLate:
            return False

    @staticmethod
    def _ask(engine: sa.Engine, answer: Future[bool]) -> None:
        answered = False
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
            answered = True
        except sa.exc.SQLAlchemyError:
            pass
        finally:
            # Whatever happened, the next check can ask again.
            answer.set_result(answered)


probe = DatabaseProbe()


class ReadinessSchema(AnswerSchema):
    """Whether calls can be answered."""

    status = fields.String(
        validate=validate.OneOf(["healthy", "unhealthy"]), metadata=says("`healthy` if everything below is connected.")
    )
    db = fields.String(
        validate=validate.OneOf(["connected", "disconnected"]), metadata=says("Whether the SQL database answers.")
    )
    cache = fields.String(
        validate=validate.OneOf(["connected", "disconnected"]), metadata=says("Whether Redis answers.")
    )


@blueprint.route("/liveness", endpoint="liveness")
@blueprint.route("/liveliness")
@blueprint.answers({"type": "string", "example": "I'm alive!"}, description="The process answers.")
@blueprint.doc(security=FOR_ANYONE)
def liveliness() -> Response:
    """Say that the process answers."""
    return jsonify("I'm alive!")


@blueprint.route("/readiness")
@blueprint.answers(ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="A part does not answer.")
@blueprint.doc(security=FOR_ANYONE)
def readiness() -> tuple[dict[str, Any], HTTPStatus]:
    """Say whether the database and Redis answer, within a second."""
    parts = {"db": probe.answers(db.engine, DATABASE_SECONDS), "cache": _redis_answers()}
    shown = {name: "connected" if connected else "disconnected" for name, connected in parts.items()}
    if all(parts.values()):
        return {"status": "healthy"} | shown, HTTPStatus.OK
    return {"status": "unhealthy"} | shown, HTTPStatus.SERVICE_UNAVAILABLE


def _redis_answers() -> bool:
    try:
        return bool(redis.client.ping())
    except RedisError:
        return False
