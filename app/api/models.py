"""/model/info: the models of config.yaml, what they cost, and which are off."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.api.base import Schema
from app.api.fields import Text
from app.api.guards import AdminBlueprint, gateway
from app.api.schemas import says
from app.errors import NotFound
from app.gateway.offers import offer
from app.model_list import Deployment

blueprint = AdminBlueprint("Models", __name__, description="The models of config.yaml.")

FEMTO_PER_DOLLAR = 10**15


class ModelQuerySchema(Schema):
    """Which model."""

    not_yet = frozenset({"healthy_only", "include_team_models", "teamId"})

    litellm_model_id = Text(metadata=says("Only the deployment with this id."))


class DeploymentParamsSchema(AnswerSchema):
    """Where a deployment is. Its keys are not shown."""

    model = fields.String(metadata=says("Provider and model.", example="openai/gpt-4o"))
    api_base = fields.String(allow_none=True, metadata=says("The provider's address; null: the provider's own."))
    api_version = fields.String(allow_none=True, metadata=says("Azure's API version."))
    mock_response = fields.String(
        allow_none=True, metadata=says("The answer of a model that the gateway plays itself.")
    )
    timeout = fields.Float(allow_none=True, metadata=says("Seconds to wait for the provider; null: the default."))


class DeploymentDetailsSchema(AnswerSchema):
    """What a deployment costs and who may use it."""

    id = fields.String(metadata=says("The deployment's id, as in the ledger's model_id."))
    input_cost_per_token = fields.Float(allow_none=True, metadata=says("Dollars for an input token; null: not known."))
    output_cost_per_token = fields.Float(
        allow_none=True, metadata=says("Dollars for an output token; null: not known.")
    )
    price_source = fields.String(
        allow_none=True, metadata=says("Where the price is from, with its version; null: there is no price.")
    )
    max_input_tokens = fields.Integer(allow_none=True, metadata=says("The most input tokens of a call, if stated."))
    max_output_tokens = fields.Integer(metadata=says("The most output tokens that a call is reckoned with."))
    base_model = fields.String(allow_none=True, metadata=says("The model whose price counts, if it is another."))
    access_groups = fields.List(
        fields.String(), metadata=says("Names that give access to this model in a models list.")
    )
    off = fields.Boolean(metadata=says("Whether the deployment cannot be used."))
    off_reason = fields.String(
        allow_none=True, metadata=says("Why it cannot be used.", example="AZURE_API_KEY is not set")
    )


class DeploymentSchema(AnswerSchema):
    """One deployment."""

    model_name = fields.String(metadata=says("The name that callers use. Deployments of one name share its calls."))
    litellm_params = fields.Nested(DeploymentParamsSchema, metadata=says("Where the deployment is."))
    model_info = fields.Nested(DeploymentDetailsSchema, metadata=says("What it costs and who may use it."))


class DeploymentListSchema(AnswerSchema):
    """All deployments."""

    data = fields.List(fields.Nested(DeploymentSchema), metadata=says("The deployments, in the order of config.yaml."))


@blueprint.route("/v1/model/info", endpoint="info_v1")
@blueprint.route("/model/info")
@blueprint.arguments(ModelQuerySchema, location="query")
@blueprint.answers(DeploymentListSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """List the models with their prices, and say which are off and why."""
    wanted = given.get("litellm_model_id")
    found = [deployment for deployment in gateway().catalog.all() if wanted in (None, deployment.id)]
    if wanted is not None and not found:
        raise NotFound("There is no such model.", param="litellm_model_id")
    return {"data": [_shown(deployment) for deployment in found]}


def _shown(deployment: Deployment) -> dict[str, Any]:
    one = offer(deployment)
    return {
        "model_name": deployment.model_name,
        "litellm_params": {
            "model": f"{deployment.price_provider}/{deployment.model}",
            "api_base": _without_credentials(deployment.api_base),
            "api_version": deployment.api_version,
            "mock_response": deployment.mock_response,
            "timeout": deployment.timeout,
        },
        "model_info": {
            "id": deployment.id,
            "input_cost_per_token": one.price and one.price.base.input / FEMTO_PER_DOLLAR,
            "output_cost_per_token": one.price and one.price.base.output / FEMTO_PER_DOLLAR,
            "price_source": one.price and one.price.source,
            "max_input_tokens": deployment.max_input_tokens,
            "max_output_tokens": one.max_output,
            "base_model": deployment.base_model,
            "access_groups": list(deployment.access_groups),
            "off": deployment.off is not None,
            "off_reason": deployment.off,
        },
    }


def _without_credentials(url: str | None) -> str | None:
    """The address alone: a user name, a password or a query can be a secret."""
    if url is None:
        return None
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
