"""What a call would take and cost, without making it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields

from app.api.base import Schema
from app.api.fields import Count, Dollars, Text
from app.api.guards import AdminBlueprint, gateway, virtual_key
from app.api.schemas import says
from app.errors import BadRequest
from app.gateway import quotes
from app.ledger.usage import MAX_TOKENS, Usage
from app.providers.openai_answers import usage_counts

blueprint = AdminBlueprint(
    "Estimates", __name__, description="What a call would take and cost, by the rules and prices of the ledger."
)

FEMTO_PER_DOLLAR = 10**15
MOST_REQUESTS = 10**9
MODEL = "The model, by the name that callers use."


class CalculationSchema(Schema):
    """A call that is to be made, or one that has been answered."""

    model = Text(metadata=says(MODEL + " Without it: that of `completion_response`."))
    messages = fields.List(fields.Dict(), metadata=says("The conversation so far: what it costs as input is given."))
    completion_response = fields.Dict(
        metadata=says(
            "An answer in OpenAI's form: what its `usage` costs in its `service_tier` is given, input and output."
        )
    )


class CostSchema(AnswerSchema):
    """What it costs."""

    cost = Dollars(
        metadata=says("Dollars. Of several deployments the dearest counts. Of `messages` the tokens are estimated.")
    )


class EstimateBodySchema(Schema):
    """Calls to be reckoned with."""

    model = Text(required=True, metadata=says(MODEL))
    input_tokens = Count(most=MAX_TOKENS, required=True, metadata=says("Input tokens of one call."))
    output_tokens = Count(most=MAX_TOKENS, required=True, metadata=says("Output tokens of one call."))
    num_requests_per_day = Count(most=MOST_REQUESTS, allow_none=True, metadata=says("Calls in a day."))
    num_requests_per_month = Count(most=MOST_REQUESTS, allow_none=True, metadata=says("Calls in a month."))


class EstimateSchema(AnswerSchema):
    """What those calls cost, in dollars. Of several deployments the dearest counts."""

    model = fields.String(metadata=says(MODEL))
    input_tokens = fields.Integer(metadata=says("Input tokens of one call."))
    output_tokens = fields.Integer(metadata=says("Output tokens of one call."))
    num_requests_per_day = fields.Integer(allow_none=True, metadata=says("Calls in a day, as asked for."))
    num_requests_per_month = fields.Integer(allow_none=True, metadata=says("Calls in a month, as asked for."))
    cost_per_request = Dollars(metadata=says("Dollars for one call."))
    input_cost_per_request = Dollars(metadata=says("Dollars of it for input."))
    output_cost_per_request = Dollars(metadata=says("Dollars of it for output."))
    daily_cost = Dollars(allow_none=True, metadata=says("Dollars in a day; null: calls in a day were not told."))
    daily_input_cost = Dollars(allow_none=True, metadata=says("Dollars of it for input."))
    daily_output_cost = Dollars(allow_none=True, metadata=says("Dollars of it for output."))
    monthly_cost = Dollars(allow_none=True, metadata=says("Dollars in a month; null: calls in a month were not told."))
    monthly_input_cost = Dollars(allow_none=True, metadata=says("Dollars of it for input."))
    monthly_output_cost = Dollars(allow_none=True, metadata=says("Dollars of it for output."))
    input_cost_per_token = fields.Float(metadata=says("Dollars for one input token of a call of that size."))
    output_cost_per_token = fields.Float(metadata=says("Dollars for one output token of a call of that size."))
    provider = fields.String(metadata=says("The provider of the deployment that was reckoned with."))
    price_source = fields.String(metadata=says("Where its price is from, with its version."))


class CountQuerySchema(Schema):
    """How to count. Providers are never asked."""

    not_yet = frozenset({"call_endpoint"})


class CountBodySchema(Schema):
    """What to count: one of prompt, messages and contents, with what goes with it."""

    model = Text(required=True, metadata=says(MODEL))
    prompt = fields.String(metadata=says("A text."))
    messages = fields.List(fields.Dict(), metadata=says("A conversation, in OpenAI's or Anthropic's form."))
    contents = fields.List(fields.Dict(), metadata=says("A conversation, in Gemini's form."))
    tools = fields.List(fields.Dict(), allow_none=True, metadata=says("Tools that the model may call."))
    system = fields.Raw(allow_none=True, metadata=says("A system prompt: a text, or a list of Anthropic's blocks."))


class CountedSchema(AnswerSchema):
    """An estimate, rounded up: a provider's own tokenizer rarely finds as many, and never more than three times."""

    total_tokens = fields.Integer(
        metadata=says("Input tokens, estimated: the bytes of the content as JSON by three; an image counts as 1,000.")
    )
    request_model = fields.String(metadata=says("The model that was asked about."))
    model_used = fields.String(metadata=says("The provider's name of it; the same where nobody knows the model."))
    tokenizer_type = fields.Constant("bytes_by_three", metadata=says("Always `bytes_by_three`."))
    count_source = fields.Constant("local_estimate", metadata=says("Always `local_estimate`: no provider was asked."))
    original_response = fields.Constant(None, metadata=says("Always null: no provider was asked."))
    error = fields.Constant(constant=False, metadata=says("Always false: an error has a status of its own."))
    error_message = fields.Constant(None, metadata=says("Always null."))
    status_code = fields.Constant(None, metadata=says("Always null."))


@blueprint.route("/spend/calculate", methods=["POST"])
@blueprint.reads()
@blueprint.open_to_virtual_keys()
@blueprint.arguments(
    CalculationSchema, example={"model": "mock-gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
)
@blueprint.answers(CostSchema)
@blueprint.errors(400, 404)
def calculate(given: dict[str, Any]) -> dict[str, Any]:
    """Reckon what a call would cost, or did cost.

    A virtual key can ask about the models that it may use.
    """
    answered, tier = given.get("completion_response"), None
    named = given.get("model") or (answered or {}).get("model")
    if not isinstance(named, str) or not named:
        raise BadRequest("`model` is needed.", param="model")
    if answered is not None:
        usage, tier = _usage(answered), answered.get("service_tier")
    elif "messages" in given:
        usage = Usage(quotes.tokens({"messages": given["messages"]}), 0, requests=1)
    else:
        raise BadRequest("`messages` or `completion_response` is needed.", param="messages")
    model = quotes.allowed(gateway().models.listed(), virtual_key(), named)
    return {"cost": quotes.quote(quotes.offers(gateway().models.listed(), model), named, usage, _word(tier)).cost}


@blueprint.route("/cost/estimate", methods=["POST"])
@blueprint.reads()
@blueprint.open_to_virtual_keys()
@blueprint.arguments(
    EstimateBodySchema,
    example={"model": "mock-gpt-4o", "input_tokens": 1000, "output_tokens": 500, "num_requests_per_day": 100},
)
@blueprint.answers(EstimateSchema)
@blueprint.errors(400, 404)
def estimate(given: dict[str, Any]) -> dict[str, Any]:
    """Reckon what many calls of one size would cost in a day and in a month.

    A virtual key can ask about the models that it may use.
    """
    model = quotes.allowed(gateway().models.listed(), virtual_key(), given["model"])
    usage = Usage(given["input_tokens"], given["output_tokens"], requests=1)
    quote = quotes.quote(quotes.offers(gateway().models.listed(), model), given["model"], usage)
    rates = quote.price.rates(usage.input)
    # A call is rounded up once, as in the ledger; its parts add up to it.
    of_input = min(quote.cost, quotes.quote([quote.offer], model, Usage(usage.input, 0, requests=1)).cost)
    each = {"cost": quote.cost, "input_cost": of_input, "output_cost": quote.cost - of_input}
    shown: dict[str, Any] = {f"{name}_per_request": amount for name, amount in each.items()}
    for often, number in (("daily", "num_requests_per_day"), ("monthly", "num_requests_per_month")):
        times = given.get(number)
        shown |= {number: times}
        shown |= {f"{often}_{name}": None if times is None else amount * times for name, amount in each.items()}
    return shown | {
        "model": given["model"],
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "input_cost_per_token": rates.input / FEMTO_PER_DOLLAR,
        "output_cost_per_token": rates.output / FEMTO_PER_DOLLAR,
        "provider": quote.offer.deployment.provider,
        "price_source": quote.price.source,
    }


@blueprint.route("/utils/token_counter", methods=["POST"])
@blueprint.reads()
@blueprint.open_to_virtual_keys()
@blueprint.arguments(CountQuerySchema, location="query")
@blueprint.arguments(CountBodySchema, example={"model": "mock-gpt-4o", "prompt": "Hello"})
@blueprint.answers(CountedSchema)
@blueprint.errors(400)
def count(_query: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Estimate the input tokens of a call, on the dear side, by the rule that counts where a provider tells no usage.

    A virtual key can ask about the models that it may use, and about names that nobody knows.
    """
    if not given.keys() & {"prompt", "messages", "contents"}:
        raise BadRequest("prompt or messages or contents must be provided", param="messages")
    model = quotes.allowed(gateway().models.listed(), virtual_key(), given["model"])
    known = quotes.offers(gateway().models.listed(), model)
    content = {name: value for name, value in given.items() if name != "model" and value is not None}
    return {
        "total_tokens": quotes.tokens(content),
        "request_model": given["model"],
        "model_used": known[0].deployment.model if known else given["model"],
    }


def _word(tier: object) -> str | None:
    return tier if isinstance(tier, str) else None


def _usage(answered: dict[str, Any]) -> Usage:
    """The usage that an answer tells. Raises BadRequest where it tells none, or one that cannot be."""
    counts = usage_counts(answered.get("usage"))
    try:
        if counts is not None:
            return Usage.from_counts({"requests": 1} | counts)
    except ValueError as error:
        raise BadRequest(f"`usage`: {error}", param="completion_response") from error
    raise BadRequest("`completion_response` tells no usage.", param="completion_response")
