"""/limits: every meter on a path with its live numbers, and which of them would refuse a call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app import meter_names
from app.access import callers, keys, path
from app.api.base import ErrorBodySchema, Schema
from app.api.fields import Dollars, Moment, Text
from app.api.guards import AdminBlueprint, gateway, virtual_key
from app.api.schemas import ShownLimitValuesSchema, says
from app.errors import BadRequest, NotAllowed, NotFound
from app.extensions import database_errors, db
from app.gateway.asked import Request
from app.gateway.asked_routes import RULES
from app.gateway.explain import OPEN, REFUSES, WAITS, Opinion, Standing, standings
from app.models import Customer, Team, TeamMember, User, VirtualKey

blueprint = AdminBlueprint(
    "Limits", __name__, url_prefix="/limits", description="Every limit on a call's path, as it stands at this moment."
)

TABLES: dict[str, type[Any]] = {"user": User, "team": Team, "customer": Customer}


class MeterSchema(AnswerSchema):
    """One meter at this moment."""

    scope = fields.String(metadata=says("The meter's name, as in errors.", example="user:ada"))
    whose = fields.String(metadata=says("The meter in words.", example="User 'ada'"))
    limits = fields.Nested(ShownLimitValuesSchema, metadata=says("Its limits, with those of its template."))
    budget = Dollars(
        allow_none=True,
        metadata=says(
            "Dollars that may be spent in the present window, with temporary raise, credit and what has rolled over; "
            "null: no limit."
        ),
    )
    spend = Dollars(metadata=says("Dollars spent in the present window, as booked."))
    unsettled = Dollars(metadata=says("Dollars of calls that have ended and are not booked yet."))
    held = Dollars(metadata=says("Dollars that calls in flight hold."))
    left = Dollars(allow_none=True, metadata=says("Dollars that nobody has spent or holds; null: no limit."))
    budget_reset_at = Moment(allow_none=True, metadata=says("When the present window ends (UTC); null: never."))
    parallel_requests = fields.Integer(metadata=says("Calls that run now; 0 where nothing limits them."))
    waiting = fields.Integer(metadata=says("Calls that wait for a parallel slot."))
    requests_last_minute = fields.Integer(metadata=says("Requests of the last 60 seconds; 0: nothing limits them."))
    tokens_last_minute = fields.Integer(metadata=says("Tokens of the last 60 seconds; 0 where nothing limits them."))


class PathSchema(AnswerSchema):
    """Every meter on a path."""

    kind = fields.String(metadata=says("What was asked for."))
    id = fields.String(allow_none=True, metadata=says("Which one; null for the gateway."))
    meters = fields.List(
        fields.Nested(MeterSchema), metadata=says("The meters, in the order in which their refusals are told.")
    )


class CallSchema(Schema):
    """A call that nobody makes."""

    key = Text(metadata=says("Whose call: the key itself, or its hash. A virtual key can leave it out."))
    route = fields.String(
        load_default="chat/completions",
        validate=validate.OneOf(sorted(RULES)),
        metadata=says("The route of the call, without /v1."),
    )
    body = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata=says(
            "The call's body, as it would be sent.",
            example={"model": "mock-gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100},
        ),
    )
    customer = Text(metadata=says("The customer, where a header would name it."))


class OpinionSchema(AnswerSchema):
    """What one meter says."""

    scope = fields.String(metadata=says("The meter's name.", example="user:ada"))
    verdict = fields.String(
        validate=validate.OneOf([OPEN, WAITS, REFUSES]),
        metadata=says("`passes`; `waits`: for money that calls in flight hold, or for a slot; or `refuses`."),
    )
    error = fields.Nested(
        ErrorBodySchema, allow_none=True, metadata=says("What the caller would be told in the end; null: nothing.")
    )


class ExplanationSchema(AnswerSchema):
    """What would become of the call."""

    admitted = fields.Boolean(metadata=says("Whether the call would go out now."))
    estimate = Dollars(metadata=says("Dollars that the call would hold while it runs."))
    tokens = fields.Integer(metadata=says("Tokens that it would count as per minute; 0 where nothing limits them."))
    error = fields.Nested(
        ErrorBodySchema, allow_none=True, metadata=says("What refuses it whatever the limits say; null: nothing.")
    )
    meters = fields.List(fields.Nested(OpinionSchema), metadata=says("What each limited meter on its path says."))


@blueprint.route("/gateway")
@blueprint.answers(PathSchema)
def show_gateway() -> dict[str, Any]:
    """Show the whole gateway's limits with its live numbers."""
    return {"kind": meter_names.GATEWAY, "id": None, "meters": [shown(one) for one in live(None)]}


@blueprint.route("/<any(key, user, team, team_member, customer):kind>/<path:reference>")
@blueprint.open_to_virtual_keys()
@blueprint.answers(PathSchema)
@blueprint.errors(404)
def show(kind: str, reference: str) -> dict[str, Any]:
    """Show every meter on a path with its live numbers.

    A key by itself or its hash, everybody else by id; a team's member as `team_id/user_id`. Of a key all meters that
    its calls count in, of others their own and the gateway's. A virtual key sees its own path and its user's.
    """
    row = find(kind, reference)
    check_own(row)
    meters = [shown(one) for one in live(row)]
    return {"kind": kind, "id": path.meter_of(row).partition(":")[2], "meters": meters}


@blueprint.route("/explain", methods=["POST"])
@blueprint.reads()
@blueprint.open_to_virtual_keys()
@blueprint.arguments(CallSchema)
@blueprint.answers(ExplanationSchema)
@blueprint.errors(400, 404)
def explain(given: dict[str, Any]) -> dict[str, Any]:
    """Say which limits would refuse a call.

    Nothing is taken from any limit and no provider is called. What refuses the call before its limits, such as a model
    that the key may not use, is the answer's own error.
    """
    asking = virtual_key()
    token = keys.token_of(given["key"]) if "key" in given else None
    if asking is not None and token not in (None, asking.token):
        raise NotAllowed("A virtual key can only explain its own calls.", param="key")
    if token is None and asking is None:
        raise BadRequest("Say whose call: key.", param="key")
    row = keys.find(token or (asking.token if asking is not None else ""))
    header = gateway().settings.customer_header
    headers = {header: given["customer"]} if header is not None and "customer" in given else {}
    body = given["body"] | ({"user": given["customer"]} if "customer" in given else {})
    request = Request(given["route"], orjson.dumps(body), headers)
    found = gateway().explain(callers.of_key(row.token), request)
    opinions = [_opinion(one) for one in found.opinions]
    return {
        "admitted": found.error is None and all(one["verdict"] == OPEN for one in opinions),
        "estimate": found.estimate,
        "tokens": found.tokens,
        "error": None if found.error is None else found.error.body()["error"],
        "meters": opinions,
    }


def find(kind: str, reference: str) -> Any:
    """The row of a path's first meter. Raises NotFound, DatabaseUnavailable."""
    if kind == "key":
        return keys.find(reference)
    wanted: Any = reference
    if kind == "team_member":
        wanted = tuple(reference.split("/", 1))
        if len(wanted) == 1:
            raise NotFound("A member is named by team_id/user_id.")
    with database_errors():
        row = db.session.get(TeamMember if kind == "team_member" else TABLES[kind], wanted)
        db.session.expunge_all()
        db.session.rollback()
    if row is None:
        raise NotFound(f"There is no such {kind.rpartition('_')[2]}.")
    return row


def check_own(row: Any) -> None:
    """Raises NotAllowed where a virtual key asks for a path that is not its own or its user's."""
    asking = virtual_key()
    if asking is None:
        return
    own_key = isinstance(row, VirtualKey) and row.id == asking.key_id
    own_user = isinstance(row, User | TeamMember) and row.user_id == asking.user_id
    if not own_key and not own_user:
        raise NotAllowed("A virtual key can only see its own limits.")


def live(row: Any) -> list[Standing]:
    """How the meters on a row's path stand (None: the gateway's). Raises LimitsUnavailable, DatabaseUnavailable."""
    with database_errors():
        session = db.session()
        names = [meter_names.GATEWAY] if row is None else path.meters_on(session, row)
        found = path.limits_by_meter(session, names)
        session.rollback()
    return standings(found[name] for name in sorted(names, key=_place) if name in found)


def _place(meter: str) -> int:
    return meter_names.KINDS.index(meter.partition(":")[0])


def shown(one: Standing) -> dict[str, Any]:
    """As MeterSchema dumps it."""
    limits, meter = one.limits, one.meter
    schedule = limits.schedule
    own = {
        "max_budget": limits.max_budget,
        "soft_budget": limits.soft_budget,
        "strict": limits.strict,
        "budget_duration": None if schedule is None else schedule.duration,
        "timezone": None if schedule is None else str(schedule.zone),
        "rollover": limits.rollover,
        "max_parallel_requests": limits.max_parallel,
        "queue_timeout": limits.queue_ms / 1000 or None,
        "rpm_limit": limits.rpm,
        "tpm_limit": limits.tpm,
        "alert_thresholds": limits.alert_thresholds,
    }
    return {
        "scope": meter.name,
        "whose": limits.whose,
        "limits": own,
        "budget": one.budget,
        "spend": one.spend,
        "unsettled": one.live.due,
        "held": one.live.held,
        "left": one.left,
        "budget_reset_at": None if meter.resets_at is None else datetime.fromtimestamp(meter.resets_at, UTC),
        "parallel_requests": one.live.slots,
        "waiting": one.live.waiting,
        "requests_last_minute": one.live.requests,
        "tokens_last_minute": one.live.tokens,
    }


def _opinion(one: Opinion) -> dict[str, Any]:
    return {
        "scope": one.meter.name,
        "verdict": one.says,
        "error": None if one.error is None else one.error.body()["error"],
    }
