"""The model routes: a route per wire format. Finds the caller's token and hands the call to the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response, current_app, jsonify, request
from marshmallow import Schema, fields
from werkzeug.exceptions import RequestEntityTooLarge

from app.access import callers
from app.api.base import AnthropicErrorSchema, Blueprint, secret_of, secret_of_request
from app.api.guards import FOR_CALLERS, gateway
from app.api.schemas import says
from app.api.sent_headers import SentHeaders
from app.errors import NotFound, NotServed
from app.gateway import quotes
from app.gateway.asked import Request
from app.gateway.hops import Answer
from app.gateway.pipeline import Gateway
from app.routing.catalog import Catalog

blueprint = Blueprint("LLM routes", __name__, description="Calls to models, in OpenAI's wire format.")

# When a model was "created" is not known here; OpenAI's clients want a number.
CREATED = 0
JSON = "application/json"
STREAM: dict[str, Any] = {"text/event-stream": {}}
COMMON = {
    "model": {"type": "string", "description": "A model of this gateway; GET /v1/models lists them."},
    "stream": {"type": "boolean", "description": "True: the answer comes as server-sent events."},
    "max_tokens": {"type": "integer", "description": "The most output tokens; also what a budget holds for the call."},
    "user": {"type": "string", "description": "Whom the call is made for; kept in the ledger as end_user."},
}
MESSAGES = {
    "messages": {"type": "array", "items": {"type": "object"}, "description": "The conversation so far."},
}


class ModelSchema(Schema):
    """A model that the caller may use."""

    id = fields.String(metadata=says("The name to send as `model`."))
    object = fields.Constant("model", metadata=says("Always `model`."))
    created = fields.Constant(CREATED, metadata=says("Always 0: not known."))
    owned_by = fields.Constant("tollgate", metadata=says("Always `tollgate`."))


class ModelsSchema(Schema):
    """The models that the caller may use."""

    object = fields.Constant("list", metadata=says("Always `list`."))
    data = fields.List(fields.Nested(ModelSchema), metadata=says("The models."))


def documented(
    summary: str,
    required: list[str],
    properties: dict[str, Any],
    *,
    body: str = JSON,
    answers: Mapping[str, Any] = STREAM,
) -> dict[str, Any]:
    """What the OpenAPI page says of a model route. The body is passed on as it is, so unknown fields are welcome.

    `body` is the content type of a request; `answers` describes those of good answers, beside JSON.
    """
    schema = {
        "type": "object",
        "required": required,
        "properties": {"model": COMMON["model"], **properties},
        "additionalProperties": True,
    }
    return {
        "summary": summary,
        "security": FOR_CALLERS,
        "requestBody": {"required": True, "content": {body: {"schema": schema}}},
        "responses": {
            "200": {
                "description": "The provider's answer.",
                "content": {JSON: {"schema": {"type": "object"}}, **answers},
            },
        },
    }


CHAT = documented("Chat", ["model", "messages"], MESSAGES | COMMON)
TEXT = documented("Complete a text", ["model", "prompt"], {"prompt": {"description": "The text."}} | COMMON)
VECTORS = documented("Embed a text", ["model", "input"], {"input": {"description": "The text or texts."}})
ANTHROPIC_CHAT = documented("Chat, for Anthropic's clients", ["model", "messages"], MESSAGES | COMMON)
COUNT_TOKENS = documented("Count tokens, for Anthropic's clients", ["model", "messages"], MESSAGES)
# What of a request a model reads.
COUNTED = frozenset({"messages", "system", "tools", "tool_choice", "thinking"})
REFUSALS = (400, 401, 403, 404, 413, 429, 502, 503, 504)


def call(route: str, model: str | None = None) -> Response:
    """One call through the pipeline; the answer's bytes go out as they come."""
    return responded(answered(gateway(), request.environ, request.get_data(), route, model))


def answered(through: Gateway, environ: Mapping[str, Any], body: bytes, route: str, model: str | None = None) -> Answer:
    """One call through the pipeline. Raises any TollgateError; needs an application context only."""
    if "wsgi.input_terminated" in environ and _has_more(environ, len(body)):
        raise RequestEntityTooLarge
    headers = SentHeaders(environ)
    return through.answer(secret_of(headers), Request(route, body, headers, model, environ.get("gunicorn.socket")))


def _has_more(environ: Mapping[str, Any], size: int) -> bool:
    """Whether a body in chunks, of which so much was read, goes on where werkzeug has stopped reading it."""
    return size == current_app.config["MAX_CONTENT_LENGTH"] and bool(environ["wsgi.input"].read(1))


def responded(answer: Answer) -> Response:
    """An answer of the pipeline as Flask knows it."""
    return Response(answer.body, answer.status, answer.headers, direct_passthrough=True)


@blueprint.route("/chat/completions", methods=["POST"])
@blueprint.route("/v1/chat/completions", methods=["POST"])
@blueprint.route("/openai/deployments/<path:model>/chat/completions", methods=["POST"])
@blueprint.doc(**CHAT)
@blueprint.errors(*REFUSALS)
def chat_completions(model: str | None = None) -> Response:
    """Chat with a model."""
    return call("chat/completions", model)


@blueprint.route("/completions", methods=["POST"])
@blueprint.route("/v1/completions", methods=["POST"])
@blueprint.route("/openai/deployments/<path:model>/completions", methods=["POST"])
@blueprint.doc(**TEXT)
@blueprint.errors(*REFUSALS)
def completions(model: str | None = None) -> Response:
    """Complete a text (OpenAI's older route)."""
    return call("completions", model)


@blueprint.route("/embeddings", methods=["POST"])
@blueprint.route("/v1/embeddings", methods=["POST"])
@blueprint.route("/openai/deployments/<path:model>/embeddings", methods=["POST"])
@blueprint.doc(**VECTORS)
@blueprint.errors(*REFUSALS)
def embeddings(model: str | None = None) -> Response:
    """Turn texts into vectors."""
    return call("embeddings", model)


@blueprint.route("/messages", methods=["POST"])
@blueprint.route("/v1/messages", methods=["POST"])
@blueprint.doc(**ANTHROPIC_CHAT)
@blueprint.errors(*REFUSALS, schema=AnthropicErrorSchema)
def messages() -> Response:
    """Chat with a model, in Anthropic's wire format."""
    return call("messages")


@blueprint.route("/messages/count_tokens", methods=["POST"])
@blueprint.route("/v1/messages/count_tokens", methods=["POST"])
@blueprint.doc(**COUNT_TOKENS)
@blueprint.errors(*REFUSALS, schema=AnthropicErrorSchema)
def count_tokens() -> Response | dict[str, Any]:
    """Count the tokens of a conversation before it is sent. Costs nothing.

    Vendors without such a route are not asked: the answer is an estimate then, rather too high than too low, and the
    header `x-tollgate-estimate: true` says so.
    """
    try:
        return call("messages/count_tokens")
    except NotServed:
        content = {name: value for name, value in orjson.loads(request.get_data()).items() if name in COUNTED}
        answer = jsonify({"input_tokens": quotes.tokens(content)})
        answer.headers["x-tollgate-estimate"] = "true"
        return answer


@blueprint.route("/models")
@blueprint.route("/v1/models")
@blueprint.doc(security=FOR_CALLERS)
@blueprint.answers(ModelsSchema)
@blueprint.errors(401, 503)
def models() -> dict[str, Any]:
    """The models that this key may use."""
    return {"data": [{"id": name} for name in _names()]}


@blueprint.route("/models/<path:model>")
@blueprint.route("/v1/models/<path:model>")
@blueprint.doc(security=FOR_CALLERS)
@blueprint.answers(ModelSchema)
@blueprint.errors(401, 404, 503)
def model(model: str) -> dict[str, Any]:
    """One model."""
    if model not in _names():
        raise NotFound(f"The model '{model}' does not exist, or this key may not use it.", param="model")
    return {"id": model}


def _names() -> list[str]:
    catalog = gateway().models.listed()
    return [name for name in (*usable(catalog), *_other_names(catalog)) if "*" not in name]


def _other_names(catalog: Catalog) -> list[str]:
    """Of model_group_alias, those that the caller may use and that are not hidden."""
    router, secret = gateway().settings.router, secret_of_request()
    shown = [(name, model) for name, model in router.aliases.items() if name not in router.hidden]
    shown = [(name, model) for name, model in shown if catalog.group(model)]
    if not shown or callers.is_master(secret, gateway().settings.master_key):
        return [name for name, _ in shown]
    caller = callers.identify(secret)
    groups = {model: catalog.access_groups(model) for _, model in shown}
    return [name for name, model in shown if any(caller.may_use(one, groups[model]) for one in (name, model))]


def usable(catalog: Catalog) -> list[str]:
    """Model names that all lists of models on the caller's path allow; the master key may use all."""
    secret = secret_of_request()
    if callers.is_master(secret, gateway().settings.master_key):
        return list(catalog.names())
    caller = callers.identify(secret)
    return [name for name in catalog.names() if caller.may_use(name, catalog.access_groups(name))]
