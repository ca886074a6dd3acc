"""/model: deployments, those of config.yaml and stored ones; what they cost, and which are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from app.api.guards import AdminBlueprint, gateway
from app.api.model_schemas import (
    BlockedModelSchema,
    ChangedModelSchema,
    DeploymentListSchema,
    DeploymentPageSchema,
    MadeDeploymentSchema,
    MessageSchema,
    ModelGroupListSchema,
    ModelGroupQuerySchema,
    ModelIdSchema,
    ModelPageQuerySchema,
    ModelQuerySchema,
    NewModelSchema,
)
from app.api.proxy import usable
from app.errors import BadRequest, LimitsUnavailable, NotFound
from app.gateway.deployments import StoredDeployments
from app.gateway.offers import Offer, offer
from app.limits import places
from app.limits.admission import Cooling
from app.model_list import Deployment
from app.routing.catalog import Catalog

blueprint = AdminBlueprint("Models", __name__, description="Deployments: those of config.yaml and stored ones.")

FEMTO_PER_DOLLAR = 10**15


@blueprint.route("/model/new", methods=["POST"])
@blueprint.arguments(
    NewModelSchema,
    example={"model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-…"}},
)
@blueprint.answers(MadeDeploymentSchema)
@blueprint.errors(400, 409)
def new(given: dict[str, Any]) -> dict[str, Any]:
    """Add a deployment.

    It is called from the next request on, in every process. Under a name that is there it shares the calls.
    """
    return _made(_stored().create(_filled(given)))


@blueprint.route("/model/update", methods=["POST"])
@blueprint.arguments(ChangedModelSchema, example={"model_info": {"id": "eu-1"}, "litellm_params": {"timeout": 60}})
@blueprint.answers(MadeDeploymentSchema)
@blueprint.errors(400, 404)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a stored deployment, named by `model_info.id`.

    Only what is sent is changed, also inside litellm_params and model_info; null takes a value away.
    """
    given = _filled(given)
    model_id = given["model_info"].get("id")
    if not isinstance(model_id, str) or not model_id:
        raise BadRequest("Say which deployment: model_info.id.", param="model_info.id")
    return _made(_stored().change(model_id, given))


@blueprint.route("/model/<path:model_id>/update", methods=["PATCH"])
@blueprint.arguments(ChangedModelSchema, example={"litellm_params": {"timeout": 60}})
@blueprint.answers(MadeDeploymentSchema)
@blueprint.errors(400, 404)
def patch(given: dict[str, Any], model_id: str) -> dict[str, Any]:
    """Change a stored deployment.

    Only what is sent is changed, also inside litellm_params and model_info; null takes a value away.
    """
    given = _filled(given)
    if given["model_info"].get("id") not in (None, model_id):
        raise BadRequest("The id of a deployment cannot be changed.", param="model_info.id")
    return _made(_stored().change(model_id, given))


@blueprint.route("/model/delete", methods=["POST"])
@blueprint.arguments(ModelIdSchema, example={"id": "eu-1"})
@blueprint.answers(MessageSchema)
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> dict[str, Any]:
    """Delete a stored deployment, with its credentials."""
    _stored().delete(given["id"])
    return {"message": f"Model: {given['id']} deleted successfully"}


@blueprint.route("/model/block", methods=["POST"])
@blueprint.arguments(BlockedModelSchema, example={"model_id": "eu-1"})
@blueprint.answers(MadeDeploymentSchema)
@blueprint.errors(400, 404)
def block(given: dict[str, Any]) -> dict[str, Any]:
    """Switch a stored deployment off."""
    return _made(_stored().block(given["model_id"], blocked=True))


@blueprint.route("/model/unblock", methods=["POST"])
@blueprint.arguments(BlockedModelSchema, example={"model_id": "eu-1"})
@blueprint.answers(MadeDeploymentSchema)
@blueprint.errors(400, 404)
def unblock(given: dict[str, Any]) -> dict[str, Any]:
    """Switch a stored deployment on again."""
    return _made(_stored().block(given["model_id"], blocked=False))


@blueprint.route("/v1/model/info", endpoint="info_v1")
@blueprint.route("/model/info")
@blueprint.arguments(ModelQuerySchema, location="query")
@blueprint.answers(DeploymentListSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """List the models with their prices, and say which are off and why."""
    wanted = given.get("litellm_model_id")
    found = [deployment for deployment in gateway().models.listed().all() if wanted in (None, deployment.id)]
    if wanted is not None and not found:
        raise NotFound("There is no such model.", param="litellm_model_id")
    return {"data": _all_shown(found)}


@blueprint.route("/v2/model/info")
@blueprint.arguments(ModelPageQuerySchema, location="query")
@blueprint.answers(DeploymentPageSchema)
@blueprint.errors(400)
def info_by_page(given: dict[str, Any]) -> dict[str, Any]:
    """List the models page by page."""
    page, size = given["page"], given["size"]
    found = [
        deployment
        for deployment in gateway().models.listed().all()
        if given.get("model") in (None, deployment.model_name)
        and given.get("modelId") in (None, deployment.id)
        and given.get("search", "").lower() in deployment.model_name.lower()
    ]
    shown = _all_shown(found[(page - 1) * size : page * size])
    total = len(found)
    return {
        "data": shown,
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
        "size": size,
    }


@blueprint.route("/model_group/info")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(ModelGroupQuerySchema, location="query")
@blueprint.answers(ModelGroupListSchema)
@blueprint.errors(400, 404)
def group_info(given: dict[str, Any]) -> dict[str, Any]:
    """Say what stands behind each model name.

    A virtual key sees the names that it may use.
    """
    catalog, wanted = gateway().models.listed(), given.get("model_group")
    names = [name for name in usable(catalog) if wanted in (None, name)]
    if wanted is not None and not names:
        raise NotFound("There is no such model, or this key may not use it.", param="model_group")
    return {"data": [_group(catalog, name) for name in names]}


def _stored() -> StoredDeployments:
    return gateway().models.stored


def _filled(given: dict[str, Any]) -> dict[str, Any]:
    """A body in which both mappings are there."""
    return given | {name: given.get(name) or {} for name in ("litellm_params", "model_info")}


def _made(deployment: Deployment) -> dict[str, Any]:
    return {"model_id": deployment.id} | _all_shown([deployment])[0]


def _group(catalog: Catalog, name: str) -> dict[str, Any]:
    offers = [offer(deployment) for deployment in catalog.group(name)]
    deployments = [one.deployment for one in offers]
    inputs, outputs = ([getattr(one.price.base, kind) for one in offers if one.price] for kind in ("input", "output"))
    return {
        "model_group": name,
        "providers": sorted({deployment.vendor for deployment in deployments}),
        "deployments": len(offers),
        "mode": next((deployment.mode for deployment in deployments if deployment.mode), None),
        "max_input_tokens": max(
            (deployment.max_input_tokens for deployment in deployments if deployment.max_input_tokens), default=None
        ),
        "max_output_tokens": max(one.max_output for one in offers),
        "input_cost_per_token": _dearest(inputs, offers),
        "output_cost_per_token": _dearest(outputs, offers),
        "min_input_cost_per_token": min(inputs) / FEMTO_PER_DOLLAR if inputs else None,
        "min_output_cost_per_token": min(outputs) / FEMTO_PER_DOLLAR if outputs else None,
        "access_groups": sorted(catalog.access_groups(name)),
    }


def _dearest(known: list[int], offers: list[Offer]) -> float | None:
    """Where one price is not known, that may be the dearest."""
    return max(known) / FEMTO_PER_DOLLAR if len(known) == len(offers) else None


def _all_shown(deployments: Sequence[Deployment]) -> list[dict[str, Any]]:
    """With Redis down nobody knows what is left alone."""
    cooling: dict[str, Cooling] = {}
    with suppress(LimitsUnavailable):
        cooling = places.cooling([deployment.id for deployment in deployments])
    return [_shown(deployment, cooling) for deployment in deployments]


def _cooldown(cooling: Cooling | None) -> dict[str, Any] | None:
    return None if cooling is None else {"reason": cooling.reason, "seconds": cooling.ms / 1000}


def _shown(deployment: Deployment, cooling: Mapping[str, Cooling]) -> dict[str, Any]:
    one = offer(deployment)
    return {
        "model_name": deployment.model_name,
        "litellm_params": {
            "model": f"{deployment.vendor}/{deployment.model}",
            "api_base": _without_credentials(deployment.api_base),
            "api_version": deployment.api_version,
            "mock_response": deployment.mock_response,
            "timeout": deployment.timeouts.timeout,
            "stream_timeout": deployment.timeouts.stream_timeout,
            "connect_timeout": deployment.timeouts.connect_timeout,
            "idle_timeout": deployment.timeouts.idle_timeout,
            "total_timeout": deployment.timeouts.total_timeout,
            "weight": deployment.weight,
            "order": deployment.order,
            "rpm": deployment.rpm,
            "tpm": deployment.tpm,
            "max_parallel_requests": deployment.max_parallel_requests,
            "cooldown_time": deployment.cooldown_time,
        },
        "model_info": {
            "id": deployment.id,
            "db_model": deployment.stored,
            "input_cost_per_token": one.price and one.price.base.input / FEMTO_PER_DOLLAR,
            "output_cost_per_token": one.price and one.price.base.output / FEMTO_PER_DOLLAR,
            "price_source": one.price and one.price.source,
            "max_input_tokens": deployment.max_input_tokens,
            "max_output_tokens": one.max_output,
            "base_model": deployment.base_model,
            "mode": deployment.mode,
            "access_groups": list(deployment.access_groups),
            "cooldown": _cooldown(cooling.get(deployment.id)),
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
