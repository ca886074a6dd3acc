"""/config: config.yaml read again by every process, and which version of it each of them has."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from typing import Any, cast

from flask import current_app
from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app import audit
from app.api.base import Schema
from app.api.fields import Moment
from app.api.guards import AdminBlueprint
from app.api.schemas import says
from app.errors import LimitsUnavailable, SettingsError, WrongConfiguration
from app.extensions import write_transaction
from app.reload import instances
from app.reload.instances import Instance
from app.reload.process import Change, Reloader

blueprint = AdminBlueprint(
    "Config", __name__, url_prefix="/config", description="Changes of config.yaml without a restart."
)

# Others look twice a second.
PATIENCE_SECONDS = 2.0
NAP_SECONDS = 0.1
ALONE = (
    "Redis does not answer, so no other instance was asked: send SIGHUP to each, or ask again when Redis is back. "
    "This process has read its config.yaml."
)
VERSION = says("The version of the settings: the same in every process that has the same.", example="3f9c01d2a4b7")


class NothingSchema(Schema):
    """Nothing is asked: every host reads its own config.yaml."""


class ReloadedSchema(AnswerSchema):
    """What came of it."""

    version = fields.String(metadata=VERSION)
    changed = fields.Boolean(metadata=says("Whether this process had another version before."))
    warnings = fields.List(
        fields.String(), metadata=says("What config.yaml says without effect here, models that are off, and the like.")
    )
    instances = fields.Integer(
        allow_none=True, metadata=says("How many processes there are, this one included; null: Redis does not answer.")
    )
    following = fields.Integer(
        allow_none=True,
        metadata=says(
            "How many of them have this version now, this one included. GET /config/versions says why others do not, "
            "or whether they only took longer than two seconds; null: Redis does not answer."
        ),
    )


class InstanceSchema(AnswerSchema):
    """One process."""

    id = fields.String(metadata=says("The process's id, until it ends.", example="web-1-4711-9f3c"))
    host = fields.String(metadata=says("The name of its host or container."))
    pid = fields.Integer(metadata=says("Its process id there."))
    kind = fields.String(
        validate=validate.OneOf(["web", "worker"]),
        metadata=says("`web` answers calls, `worker` runs tasks and the schedule."),
    )
    version = fields.String(metadata=VERSION)
    loaded_at = Moment(metadata=says("When it read config.yaml last and found it right (UTC)."))
    problems = fields.List(
        fields.String(),
        metadata=says(
            "What is wrong with its config.yaml, each with its path, so that it goes on with `version`; empty: nothing."
        ),
    )


class InstanceListSchema(AnswerSchema):
    """All processes."""

    instances = fields.List(
        fields.Nested(InstanceSchema), metadata=says("The processes that were heard of in the last ten seconds.")
    )


@blueprint.route("/reload", methods=["POST"])
@blueprint.arguments(NothingSchema, example={})
@blueprint.answers(ReloadedSchema)
@blueprint.errors(400)
def reload(_given: dict[str, Any]) -> dict[str, Any]:
    """Read config.yaml again, here and in every other process.

    The file of this host is checked first. Where anything in it is wrong, or needs a restart, the answer is a 400 with
    all problems, and nothing is changed anywhere. Other hosts read their own files, and one whose file is wrong goes on
    as before. Calls and streams that are under way end under the settings with which they began.
    """
    reloader = cast("Reloader", current_app.extensions["tollgate_reload"])
    try:
        change = reloader.reload(told=_write_down)
    except SettingsError as error:
        raise WrongConfiguration(error.problems) from error
    answer: dict[str, Any] = {"version": change.after, "changed": change.before != change.after}
    warnings = list(change.warnings)
    try:
        others = _followed(reloader, reloader.ask_all())
    except LimitsUnavailable:
        return answer | {"warnings": [*warnings, ALONE], "instances": None, "following": None}
    following = 1 + sum(one.version == change.after for one in others)
    return answer | {"warnings": warnings, "instances": 1 + len(others), "following": following}


@blueprint.route("/versions")
@blueprint.arguments(NothingSchema, location="query")
@blueprint.answers(InstanceListSchema)
@blueprint.errors(400)
def versions(_given: dict[str, Any]) -> dict[str, Any]:
    """List all processes with the version of config.yaml that each of them has.

    A process that has ended is gone from the list after ten seconds at the latest.
    """
    return {"instances": [_shown(one) for one in instances.listed()]}


def _write_down(change: Change) -> None:
    with write_transaction() as session:
        audit.reloaded(session, socket.gethostname(), change.before, change.after)


def _followed(reloader: Reloader, request: int) -> list[Instance]:
    """All other processes, as soon as they have followed the request or should have. Raises LimitsUnavailable."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        others = [one for one in instances.listed() if one.id != reloader.instance().id]
        if all(one.request >= request for one in others) or time.monotonic() >= end:
            return others
        time.sleep(NAP_SECONDS)


def _shown(one: Instance) -> dict[str, Any]:
    return {
        "id": one.id,
        "host": one.host,
        "pid": one.pid,
        "kind": one.kind,
        "version": one.version,
        "loaded_at": datetime.fromtimestamp(one.loaded_at, UTC),
        "problems": list(one.problems),
    }
