"""/audit: who changed what, when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app import audit, money
from app.api.base import Schema
from app.api.fields import Count, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.periods import Boundary
from app.api.schemas import PageSchema, says
from app.audit import Wanted
from app.errors import NotFound
from app.models import AuditRow

blueprint = AdminBlueprint(
    "Audit", __name__, url_prefix="/audit", description="Who changed what, when. Rows are never changed or deleted."
)

MOST_PER_PAGE = 100
MONEY = frozenset({"max_budget", "soft_budget", "temp_budget_increase"})
# Limits inside of a column: by model, and of a team's members.
LIMITS_WITHIN = frozenset({"model_limits", "member_limits"})
WHO = "`master`, a key's id, `worker`, `gateway` (a call that made a customer) or `cli`"


class AuditQuerySchema(PageSchema):
    """Which changes."""

    not_yet = frozenset({"changed_by_api_key", "object_key_hash", "object_team_id", "sort_by"})

    page_size = Count(least=1, most=MOST_PER_PAGE, load_default=50, metadata=says("Changes on a page."))
    table_name = fields.String(
        validate=validate.OneOf(audit.KINDS), metadata=says("Only changes of this kind of object.", example="key")
    )
    object_id = Text(longest=600, metadata=says("Only changes of the object with this id.", example="ada"))
    action = fields.String(validate=validate.OneOf(audit.ACTIONS), metadata=says("Only changes of this kind."))
    actor = Text(metadata=says(f"Only changes by this actor: {WHO}."))
    changed_by = Text(metadata=says("Only changes by this actor, by keys of this user, or in this one's name."))
    start_date = Boundary(metadata=says("Only changes then or later: a day or a moment.", example="2026-11-23"))
    end_date = Boundary(
        ends=True, metadata=says("Only changes before this moment, or on or before this day.", example="2026-11-24")
    )
    sort_order = fields.String(
        load_default="desc",
        validate=validate.OneOf(["asc", "desc"]),
        metadata=says("`desc`, the default: newest first. `asc`: oldest first."),
    )


class NothingSchema(Schema):
    """Nothing is asked beside the id."""


class AuditSchema(AnswerSchema):
    """One change of one object."""

    id = fields.String(metadata=says("The row's id."))
    updated_at = Moment(attribute="at", metadata=says("When it was changed (UTC)."))
    actor = fields.String(metadata=says(f"Who changed it: {WHO}."))
    actor_user_id = fields.String(allow_none=True, metadata=says("The user of that key; null: nobody."))
    changed_by = fields.String(
        allow_none=True,
        metadata=says("In whose name, by the header litellm-changed-by, which proves nothing; null: not said."),
    )
    action = fields.String(metadata=says("`created`, `updated` or `deleted`."))
    table_name = fields.String(
        attribute="object_kind", metadata=says("The kind of object: " + ", ".join(f"`{kind}`" for kind in audit.KINDS))
    )
    object_id = fields.String(
        metadata=says("The object's id: a key's key_id; of a member `team_id/user_id`; a config's host.")
    )
    before_value = fields.Function(
        lambda row: in_dollars(row.before),
        metadata=says("What changed, as it was; null: the object was made. Secrets are hidden, money is in dollars.")
        | {"type": ["object", "null"]},
    )
    updated_values = fields.Function(
        lambda row: in_dollars(row.after),
        metadata=says("What changed, as it is now; null: the object was deleted.") | {"type": ["object", "null"]},
    )


class AuditListSchema(AnswerSchema):
    """One page of changes."""

    audit_logs = fields.List(fields.Nested(AuditSchema), metadata=says("The changes on this page."))
    total = fields.Integer(metadata=says("How many changes there are on all pages."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Changes on a page."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))


@blueprint.route("")
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.answers(AuditListSchema)
@blueprint.errors(400)
def list_changes(given: dict[str, Any]) -> dict[str, Any]:
    """List changes of users, keys, teams, members, customers, budgets, credits, deployments and config.yaml."""
    page, size = given["page"], given["page_size"]
    wanted = Wanted(
        object_kind=given.get("table_name"),
        object_id=given.get("object_id"),
        action=given.get("action"),
        actor=given.get("actor"),
        anybody=given.get("changed_by"),
        start=given.get("start_date"),
        end=given.get("end_date"),
    )
    found, total = audit.listed(wanted, page=page, size=size, newest_first=given["sort_order"] == "desc")
    return {"audit_logs": found, "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}


@blueprint.route("/<id>")
@blueprint.arguments(NothingSchema, location="query")
@blueprint.answers(AuditSchema)
@blueprint.errors(400, 404)
def show(_given: dict[str, Any], id: str) -> AuditRow:  # noqa: A002 - the parameter is called so on the page
    """Show one change."""
    row = audit.find(id)
    if row is None:
        raise NotFound("There is no such change.", param="id")
    return row


def in_dollars(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Columns as the other answers show them; they are stored as they stood, in nano-dollars."""
    return None if values is None else {name: _shown(name, value) for name, value in values.items()}


def _shown(name: str, value: Any) -> Any:
    if name in MONEY or name == "amount":
        return money.optional_to_json(value)
    if name in LIMITS_WITHIN and isinstance(value, Mapping):
        return {inner: _within(inner, limit) for inner, limit in value.items()}
    return value


def _within(name: str, value: Any) -> Any:
    """A limit of a team's members, or all limits of one model."""
    if isinstance(value, Mapping):
        return {inner: _within(inner, limit) for inner, limit in value.items()}
    return money.optional_to_json(value) if name in MONEY else value
