"""/budget: templates of limits that keys, users, teams, members and customers can share."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app.access import templates
from app.access.rows import Page
from app.api.base import Schema
from app.api.fields import Count, Metadata, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.schemas import LimitValuesSchema, PageSchema, ShownLimitValuesSchema, says, sort_by, sort_order
from app.models import LIMIT_NAMES, Budget

blueprint = AdminBlueprint(
    "Budgets",
    __name__,
    url_prefix="/budget",
    description="Templates of limits. Everybody who has one spends for themselves; only the numbers are shared.",
)

NOT_YET = frozenset({"budget_reset_at", "created_by", "model_max_budget", "tpd_limit", "updated_by"})
THE_ID = "The template's id."


class NewBudgetSchema(LimitValuesSchema):
    """A new template."""

    not_yet = NOT_YET

    budget_id = Text(allow_none=True, metadata=says(THE_ID + " Null: one is made.", example="free"))
    metadata = Metadata(metadata=says("A JSON object of your own; it is kept and shown, nothing else."))


class ChangedBudgetSchema(NewBudgetSchema):
    """Changes of a template."""

    budget_id = Text(required=True, metadata=says(THE_ID))


class BudgetSchema(ShownLimitValuesSchema):
    """A template."""

    budget_id = fields.String(metadata=says(THE_ID))
    metadata = fields.Dict(attribute="metadata_", metadata=says("The JSON object that was sent."))
    created_at = Moment(metadata=says("When it was made (UTC)."))
    updated_at = Moment(metadata=says("When it was last changed (UTC)."))


class BudgetsQuerySchema(Schema):
    """Which templates."""

    budgets = fields.List(
        Text(), required=True, validate=validate.Length(1, 1000), metadata=says("The ids of the templates.")
    )


class BudgetIdSchema(Schema):
    """Which template."""

    id = Text(required=True, metadata=says(THE_ID))


class BudgetQuerySchema(Schema):
    """Which template."""

    budget_id = Text(required=True, metadata=says(THE_ID))


class BudgetListQuerySchema(PageSchema):
    """Which templates."""

    page_size = Count(least=1, most=1000, load_default=1000, metadata=says("Templates on a page."))
    search = Text(metadata=says("Only templates with this text in their id."))
    sort_by = sort_by("created_at", "updated_at", "budget_id", "max_budget", first="created_at")
    sort_order = sort_order()


class SettingSchema(AnswerSchema):
    """One value of a template."""

    field_name = fields.String(metadata=says("Its name."))
    field_type = fields.String(metadata=says("The kind of its values."))
    field_description = fields.String(metadata=says("What it means."))
    field_value = fields.Raw(allow_none=True, metadata=says("Its value; null: not set. Money in dollars."))
    stored_in_db = fields.Boolean(metadata=says("Whether the template sets it."))


TOTAL_HEADER = {
    "x-total-count": {"description": "How many templates there are on all pages.", "schema": {"type": "integer"}}
}


@blueprint.route("/new", methods=["POST"])
@blueprint.arguments(NewBudgetSchema, example={"budget_id": "free", "max_budget": 1, "budget_duration": "30d"})
@blueprint.answers(BudgetSchema)
@blueprint.errors(400, 409)
def new(given: dict[str, Any]) -> Budget:
    """Make a template."""
    return templates.create(given)


@blueprint.route("/update", methods=["POST"])
@blueprint.arguments(ChangedBudgetSchema, example={"budget_id": "free", "max_budget": 2})
@blueprint.answers(BudgetSchema)
@blueprint.errors(400, 404)
def update(given: dict[str, Any]) -> Budget:
    """Change a template.

    Only the fields that are sent are changed; null clears one. It acts on the next call of everybody who has it.
    """
    return templates.change(given.pop("budget_id"), given)


@blueprint.route("/info", methods=["POST"])
@blueprint.reads()
@blueprint.arguments(BudgetsQuerySchema, example={"budgets": ["free"]})
@blueprint.answers(BudgetSchema(many=True))
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> list[Budget]:
    """Show templates."""
    return list(templates.find(given["budgets"]))


@blueprint.route("/list")
@blueprint.arguments(BudgetListQuerySchema, location="query")
@blueprint.answers(BudgetSchema(many=True), headers=TOTAL_HEADER)
@blueprint.errors(400)
def list_budgets(given: dict[str, Any]) -> tuple[list[Budget], int, dict[str, str]]:
    """List templates. The header x-total-count says how many there are on all pages."""
    page = Page(given["page"], given["page_size"], given["sort_by"], descending=given["sort_order"] == "desc")
    found, total = templates.listed(page, given.get("search"))
    return list(found), 200, {"x-total-count": str(total)}


@blueprint.route("/settings")
@blueprint.arguments(BudgetQuerySchema, location="query")
@blueprint.answers(SettingSchema(many=True))
@blueprint.errors(400, 404)
def settings(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Show one template value by value."""
    (row,) = templates.find([given["budget_id"]])
    shown, described = BudgetSchema().dump(row), LimitValuesSchema().fields
    return [
        {
            "field_name": name,
            "field_type": type(described[name]).__name__,
            "field_description": described[name].metadata["description"],
            "field_value": shown[name],
            "stored_in_db": shown[name] not in (None, False),
        }
        for name in LIMIT_NAMES
    ]


@blueprint.route("/delete", methods=["POST"])
@blueprint.arguments(BudgetIdSchema, example={"id": "free"})
@blueprint.answers(BudgetSchema)
@blueprint.errors(400, 404, 409)
def delete(given: dict[str, Any]) -> Budget:
    """Delete a template that nobody has any more."""
    return templates.delete(given["id"])
