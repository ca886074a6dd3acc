"""What /model takes and answers, with a description for every field."""

from __future__ import annotations

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.api.base import Schema
from app.api.fields import Count, Metadata, Text
from app.api.schemas import PageSchema, says
from app.config_file import OURS
from app.price_names import NAMES

MOST_PER_PAGE = 100
PARAMS = "Where the deployment is and what it costs, as in config.yaml: " + ", ".join(
    f"`{name}`" for name in OURS["litellm_params"]
)
PRICES = "; prices also " + ", ".join(f"`{name}`" for name in NAMES if name not in OURS["litellm_params"])
INFO = "What else there is to say, as in config.yaml: " + ", ".join(f"`{name}`" for name in OURS["model_info"]) + PRICES


class ModelQuerySchema(Schema):
    """Which model."""

    not_yet = frozenset({"healthy_only", "include_team_models", "teamId"})

    litellm_model_id = Text(metadata=says("Only the deployment with this id."))


class ModelPageQuerySchema(PageSchema):
    """Which models."""

    not_yet = frozenset(
        {"debug", "direct_access", "include_team_models", "sortBy", "sortOrder", "teamId", "user_models_only"}
    )

    size = Count(least=1, most=MOST_PER_PAGE, load_default=50, metadata=says("Deployments on a page."))
    model = Text(metadata=says("Only deployments of this model name."))
    modelId = Text(metadata=says("Only the deployment with this id."))  # noqa: N815 - LiteLLM's name
    search = Text(metadata=says("Only deployments with this text in their model name."))


class ModelGroupQuerySchema(Schema):
    """Which model name."""

    model_group = Text(metadata=says("Only this model name."))


class ChangedModelSchema(Schema):
    """What is changed of a deployment."""

    model_name = Text(allow_none=True, metadata=says("The name that callers use; `*` stands for anything."))
    litellm_params = Metadata(
        metadata=says(
            f"{PARAMS}{PRICES}. `os.environ/` is read in config.yaml only. The api_key is encrypted and never shown.",
            example={"model": "openai/gpt-4o", "api_key": "sk-…", "timeout": 60},
        )
    )
    model_info = Metadata(
        metadata=says(f"{INFO}. The id names the deployment.", example={"id": "eu-1", "access_groups": ["beta-models"]})
    )


class NewModelSchema(ChangedModelSchema):
    """A new deployment."""

    model_name = Text(required=True, metadata=says("The name that callers use; `*` stands for anything."))


class ModelIdSchema(Schema):
    """Which deployment."""

    id = Text(required=True, metadata=says("The deployment's id."))


class BlockedModelSchema(Schema):
    """Which deployment."""

    model_id = Text(required=True, metadata=says("The deployment's id."))


class MessageSchema(AnswerSchema):
    """What was done."""

    message = fields.String(metadata=says("What was done, for people."))


class DeploymentParamsSchema(AnswerSchema):
    """Where a deployment is. Its keys are not shown."""

    model = fields.String(metadata=says("Provider and model.", example="openai/gpt-4o"))
    api_base = fields.String(allow_none=True, metadata=says("The provider's address; null: the provider's own."))
    api_version = fields.String(allow_none=True, metadata=says("Azure's API version."))
    mock_response = fields.String(
        allow_none=True, metadata=says("The answer of a model that the gateway plays itself.")
    )
    timeout = fields.Float(allow_none=True, metadata=says("Seconds to wait for the provider; null: the default."))
    stream_timeout = fields.Float(
        allow_none=True, metadata=says("Seconds to wait for a stream's first piece; null: the default.")
    )
    connect_timeout = fields.Float(allow_none=True, metadata=says("Seconds to connect; null: the default."))
    idle_timeout = fields.Float(
        allow_none=True, metadata=says("Seconds of silence between two pieces of an answer; null: the default.")
    )
    total_timeout = fields.Float(allow_none=True, metadata=says("Seconds for one attempt in all; null: no limit."))
    weight = fields.Float(
        allow_none=True, metadata=says("Its share of its name's calls, by the weights of the others.")
    )
    order = fields.Integer(metadata=says("Those of a higher order are called when no lower one may be."))
    rpm = fields.Integer(allow_none=True, metadata=says("Requests that it takes in any 60 seconds; null: no limit."))
    tpm = fields.Integer(allow_none=True, metadata=says("Tokens that it takes in any 60 seconds; null: no limit."))
    max_parallel_requests = fields.Integer(
        allow_none=True, metadata=says("Calls that it takes at a time; null: the router's default.")
    )
    cooldown_time = fields.Float(
        allow_none=True, metadata=says("Seconds for which it is left alone when it fails; null: the router's.")
    )


class CooldownSchema(AnswerSchema):
    """Why a deployment is left alone at this moment."""

    reason = fields.String(metadata=says("The kind of failure.", example="rate_limit"))
    seconds = fields.Float(metadata=says("For how long still, in seconds."))


class DeploymentDetailsSchema(AnswerSchema):
    """What a deployment costs and who may use it."""

    id = fields.String(metadata=says("The deployment's id, as in the ledger's model_id."))
    db_model = fields.Boolean(metadata=says("Whether it is stored. False: it stands in config.yaml."))
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
    mode = fields.String(allow_none=True, metadata=says("What it is for, such as `chat`, if stated."))
    access_groups = fields.List(
        fields.String(), metadata=says("Names that give access to this model in a models list.")
    )
    cooldown = fields.Nested(
        CooldownSchema, allow_none=True, metadata=says("Why no process calls it at this moment; null: it is called.")
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


class MadeDeploymentSchema(DeploymentSchema):
    """A stored deployment."""

    model_id = fields.String(metadata=says("The deployment's id."))


class DeploymentListSchema(AnswerSchema):
    """All deployments."""

    data = fields.List(
        fields.Nested(DeploymentSchema),
        metadata=says("The deployments: those of config.yaml in its order, then stored ones, oldest first."),
    )


class DeploymentPageSchema(DeploymentListSchema):
    """One page of deployments."""

    total_count = fields.Integer(metadata=says("How many deployments there are on all pages."))
    current_page = fields.Integer(metadata=says("This page, from 1."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))
    size = fields.Integer(metadata=says("Deployments on a page."))


class ModelGroupSchema(AnswerSchema):
    """One model name, with all deployments that answer under it."""

    model_group = fields.String(metadata=says("The name to send as `model`."))
    providers = fields.List(fields.String(), metadata=says("Whose models answer.", example=["openai", "azure"]))
    deployments = fields.Integer(metadata=says("How many deployments share its calls."))
    mode = fields.String(allow_none=True, metadata=says("What it is for, such as `chat`, if stated."))
    max_input_tokens = fields.Integer(allow_none=True, metadata=says("The most input tokens of a call, if stated."))
    max_output_tokens = fields.Integer(metadata=says("The most output tokens that a call is reckoned with."))
    input_cost_per_token = fields.Float(
        allow_none=True, metadata=says("Dollars for an input token where it is dearest; null: not known everywhere.")
    )
    output_cost_per_token = fields.Float(
        allow_none=True, metadata=says("Dollars for an output token where it is dearest; null: not known everywhere.")
    )
    min_input_cost_per_token = fields.Float(
        allow_none=True, metadata=says("Dollars for an input token where it is cheapest; null: not known anywhere.")
    )
    min_output_cost_per_token = fields.Float(
        allow_none=True, metadata=says("Dollars for an output token where it is cheapest; null: not known anywhere.")
    )
    access_groups = fields.List(
        fields.String(), metadata=says("Names that give access to this model in a models list.")
    )


class ModelGroupListSchema(AnswerSchema):
    """Model names."""

    data = fields.List(fields.Nested(ModelGroupSchema), metadata=says("The model names that the caller may use."))
