"""/customer and /end_user: whom callers make their calls for."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, validate

from app.access import customers
from app.access.rows import Page
from app.api import shown
from app.api.base import Schema
from app.api.fields import Count, Dollars, Flag, Moment, Text
from app.api.guards import AdminBlueprint
from app.api.schemas import PageSchema, ShownLimitsSchema, TemplatedLimitsSchema, says, sort_by, sort_order

blueprint = AdminBlueprint(
    "Customers",
    __name__,
    description="Whom callers make their calls for, as they name them in `user` or in a header.",
)

NOT_YET = frozenset({"allowed_model_region", "budget_reset_at", "default_model", "object_permission", "spend"})
THE_ID = "The customer's id: the name by which calls name it."


class CustomerFieldsSchema(TemplatedLimitsSchema):
    """What a customer has."""

    not_yet = NOT_YET | {"model_max_budget", "tpd_limit"}

    user_id = Text(required=True, metadata=says(THE_ID, example="customer-7"))
    alias = Text(allow_none=True, metadata=says("A name for people."))
    blocked = Flag(allow_none=True, metadata=says("Whether calls for this customer are refused."))


class BudgetTableSchema(AnswerSchema):
    """What a customer's own limits and those of the template come to."""

    budget_id = fields.String(allow_none=True, metadata=says("The budget template; null: none."))
    max_budget = Dollars(allow_none=True, metadata=says("The budget in dollars; null: no limit."))
    soft_budget = Dollars(allow_none=True, metadata=says("Dollars at which a webhook is sent; null: none."))
    max_parallel_requests = fields.Integer(
        allow_none=True, metadata=says("How many calls may run at the same time; null: no limit.")
    )
    rpm_limit = fields.Integer(allow_none=True, metadata=says("Requests in any 60 seconds; null: no limit."))
    tpm_limit = fields.Integer(allow_none=True, metadata=says("Tokens in any 60 seconds; null: no limit."))
    budget_duration = fields.String(allow_none=True, metadata=says("The budget's window; null: it never resets."))
    budget_reset_at = Moment(allow_none=True, metadata=says("When the present window ends (UTC); null: never."))


class CustomerSchema(ShownLimitsSchema):
    """A customer."""

    class Meta:
        """A customer has no limits by model."""

        exclude = ("model_limits",)

    user_id = fields.String(attribute="customer_id", metadata=says(THE_ID))
    alias = fields.String(allow_none=True, metadata=says("A name for people."))
    blocked = fields.Boolean(metadata=says("Whether calls for this customer are refused."))
    litellm_budget_table = fields.Nested(
        BudgetTableSchema, metadata=says("The limits with those of the template, as LiteLLM writes them.")
    )


class CustomerQuerySchema(Schema):
    """Which customer."""

    end_user_id = Text(required=True, metadata=says(THE_ID))


class CustomerListQuerySchema(PageSchema):
    """Which customers."""

    page_size = Count(least=1, most=1000, load_default=50, metadata=says("Customers on a page."))
    search = Text(metadata=says("Only customers with this text in their id or alias."))
    budget_id = Text(metadata=says("Only customers with this budget template."))
    sort_by = sort_by("created_at", "updated_at", "user_id", "alias", "max_budget", first="created_at")
    sort_order = sort_order()


class CustomerIdsSchema(Schema):
    """Customers by id."""

    user_ids = fields.List(
        Text(), required=True, validate=validate.Length(1, 1000), metadata=says("The ids of the customers.")
    )


class BlockedCustomersSchema(AnswerSchema):
    """What was changed."""

    blocked_users = fields.List(fields.Nested(CustomerSchema), metadata=says("The customers after the change."))


class GoneCustomersSchema(AnswerSchema):
    """What was deleted."""

    deleted_customers = fields.Integer(metadata=says("How many customers were deleted."))
    message = fields.String(metadata=says("The same for people."))


TOTAL_HEADER = {
    "x-total-count": {"description": "How many customers there are on all pages.", "schema": {"type": "integer"}}
}


@blueprint.route("/end_user/new", methods=["POST"], endpoint="end_user_new")
@blueprint.route("/customer/new", methods=["POST"])
@blueprint.arguments(CustomerFieldsSchema, example={"user_id": "customer-7", "max_budget": 5})
@blueprint.answers(CustomerSchema)
@blueprint.errors(400, 404, 409)
def new(given: dict[str, Any]) -> dict[str, Any]:
    """Make a customer, with limits of its own or a budget template's."""
    return shown.customers([customers.create(given)])[0]


@blueprint.route("/end_user/update", methods=["POST"], endpoint="end_user_update")
@blueprint.route("/customer/update", methods=["POST"])
@blueprint.arguments(CustomerFieldsSchema, example={"user_id": "customer-7", "max_budget": 10})
@blueprint.answers(CustomerSchema)
@blueprint.errors(400, 404)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a customer.

    Only the fields that are sent are changed; null clears one. It acts on the next call.
    """
    return shown.customers([customers.change(given.pop("user_id"), given)])[0]


@blueprint.route("/end_user/info", endpoint="end_user_info")
@blueprint.route("/customer/info")
@blueprint.arguments(CustomerQuerySchema, location="query")
@blueprint.answers(CustomerSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """Show a customer with spend and limits."""
    return shown.customers([customers.find(given["end_user_id"])])[0]


@blueprint.route("/end_user/list", endpoint="end_user_list")
@blueprint.route("/customer/list")
@blueprint.arguments(CustomerListQuerySchema, location="query")
@blueprint.answers(CustomerSchema(many=True), headers=TOTAL_HEADER)
@blueprint.errors(400)
def list_customers(given: dict[str, Any]) -> tuple[list[dict[str, Any]], int, dict[str, str]]:
    """List customers. The header x-total-count says how many there are on all pages."""
    column = "customer_id" if given["sort_by"] == "user_id" else given["sort_by"]
    page = Page(given["page"], given["page_size"], column, descending=given["sort_order"] == "desc")
    found, total = customers.listed(page, search=given.get("search"), budget_id=given.get("budget_id"))
    return shown.customers(found), 200, {"x-total-count": str(total)}


@blueprint.route("/end_user/delete", methods=["POST"], endpoint="end_user_delete")
@blueprint.route("/customer/delete", methods=["POST"])
@blueprint.arguments(CustomerIdsSchema, example={"user_ids": ["customer-7"]})
@blueprint.answers(GoneCustomersSchema)
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> dict[str, Any]:
    """Delete customers.

    All of them or, where one is unknown, none. Their names are nobody's then, and have no limits, unless
    `create_customers` makes them customers again. What was spent for them stays in the ledger.
    """
    count = customers.delete(given["user_ids"])
    return {"deleted_customers": count, "message": f"Deleted {count} customer{'' if count == 1 else 's'}."}


@blueprint.route("/end_user/block", methods=["POST"], endpoint="end_user_block")
@blueprint.route("/customer/block", methods=["POST"])
@blueprint.arguments(CustomerIdsSchema, example={"user_ids": ["customer-7"]})
@blueprint.answers(BlockedCustomersSchema)
@blueprint.errors(400, 404)
def block(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse all calls for customers."""
    return {"blocked_users": shown.customers(customers.change_all(given["user_ids"], {"blocked": True}))}


@blueprint.route("/end_user/unblock", methods=["POST"], endpoint="end_user_unblock")
@blueprint.route("/customer/unblock", methods=["POST"])
@blueprint.arguments(CustomerIdsSchema, example={"user_ids": ["customer-7"]})
@blueprint.answers(BlockedCustomersSchema)
@blueprint.errors(400, 404)
def unblock(given: dict[str, Any]) -> dict[str, Any]:
    """Take calls for customers again."""
    return {"blocked_users": shown.customers(customers.change_all(given["user_ids"], {"blocked": False}))}
