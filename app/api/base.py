"""The HTTP border: bodies and queries parsed strictly, one error shape for every route, served and documented."""

from __future__ import annotations

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn, cast

import apispec
import flask
import flask_smorest  # type: ignore[import-untyped]
import marshmallow
import orjson
from flask.typing import ResponseReturnValue
from marshmallow import fields, pre_load
from webargs import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

from app.api import unoffered
from app.api.sent_headers import SentHeaders
from app.errors import BadRequest, NotAllowed, NotAuthenticated, NotFound, TollgateError, TooLarge, UnknownField
from app.gateway import shapes

View = Callable[..., Any]
Decorator = Callable[[View], View]
Answer = marshmallow.Schema | type[marshmallow.Schema] | dict[str, Any] | str | None

# What a field may hold without asking for anything: old clients send whole objects with everything unset.
UNSET: tuple[object, ...] = (None, {}, [], "", "false", "False")

ERRORS_BY_STATUS: dict[int, type[TollgateError]] = {
    error.status: error for error in (BadRequest, NotAuthenticated, NotAllowed, NotFound, TooLarge, TollgateError)
}
MESSAGES: dict[int, str] = {
    404: "There is no such route. All of them are listed at /.",
    405: "This route does not answer that method.",
    413: "The body is larger than this gateway reads.",
    500: "An error inside the gateway; it was logged. Nothing is wrong with the request.",
}


class Schema(marshmallow.Schema):
    """A body, a query or an answer. Fields that nobody reads are refused, because a limit must never be ignored.

    `not_yet` holds fields that other gateways have and this one does not enforce: they may be sent unset, nothing else.
    """

    not_yet: ClassVar[frozenset[str]] = frozenset()
    error_messages = {"type": "The body must be a JSON object."}  # noqa: RUF012 - the type is marshmallow's

    class Meta:
        """Field names are checked by the schema, and told by BodyParser."""

        unknown = marshmallow.RAISE

    @pre_load
    def drop_unset(self, data: Any, **_options: object) -> Any:
        """Takes out what is not supported yet and not asked for; raises BadRequest where it is asked for."""
        if not isinstance(data, Mapping):
            return data
        for name in self.not_yet & set(data):
            # False is compared by identity: it equals 0, and a limit of 0 is a limit.
            if data[name] is not False and data[name] not in UNSET:
                raise BadRequest(f"`{name}` is not supported yet, and a limit is never ignored silently.", param=name)
        return {name: data[name] for name in data if name not in self.not_yet}


class ErrorBodySchema(marshmallow.Schema):
    """What went wrong. Errors about limits also carry scope, limit, current and resets_at."""

    message = fields.String(metadata={"description": "What is wrong, for people."})
    type = fields.String(metadata={"description": "The kind of error, for programs."})
    param = fields.String(allow_none=True, metadata={"description": "The field of the request that is at fault."})
    code = fields.String(metadata={"description": "The exact error, for programs."})
    scope = fields.String(metadata={"description": "The meter whose limit refused the call, such as `user:ada`."})
    limit = fields.Float(metadata={"description": "The limit: dollars for budgets, else a count."})
    current = fields.Float(metadata={"description": "Where the meter stands, in the limit's unit."})
    resets_at = fields.String(allow_none=True, metadata={"description": "When the limit opens again, ISO 8601."})
    problems = fields.List(
        fields.String(), metadata={"description": "What is wrong with config.yaml, each with its path."}
    )


class ErrorSchema(marshmallow.Schema):
    """The shape of every error, on every route."""

    error = fields.Nested(ErrorBodySchema, metadata={"description": "The error."})


class AnthropicErrorSchema(marshmallow.Schema):
    """The shape of errors on the routes of Anthropic's clients."""

    type = fields.Constant("error", metadata={"description": "Always `error`."})
    error = fields.Nested(
        ErrorBodySchema, metadata={"description": "The error; its `type` is Anthropic's word for the status."}
    )


class BodyParser(FlaskParser):
    """Reads bodies as JSON whatever their Content-Type says, and words every refusal as a BadRequest.

    Were a body without a JSON Content-Type skipped instead, a key would be made without the limits that it states.
    """

    DEFAULT_VALIDATION_STATUS = HTTPStatus.BAD_REQUEST.value
    # Every location leaves it to the schema, which refuses.
    DEFAULT_UNKNOWN_BY_LOCATION = {}  # noqa: RUF012 - the type is webargs'

    def _raw_load_json(self, req: flask.Request) -> Any:
        body = req.get_data(cache=True)
        if not body.strip():
            return missing
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"The body is not valid JSON: {error}.", param="request_body") from error

    def load_querystring(self, req: flask.Request, schema: marshmallow.Schema) -> Any:  # noqa: ARG002
        """A parameter that stands twice counts once, as it stands last. PostgreSQL cannot look for a NUL."""
        for name, values in req.args.lists():
            if "\0" in name or "\0" in values[-1]:
                raise BadRequest("A query must not hold the character NUL.", param=name.replace("\0", ""))
        return {name: values[-1] for name, values in req.args.lists()}

    def handle_error(
        self,
        error: marshmallow.ValidationError,
        req: flask.Request,  # noqa: ARG002
        schema: marshmallow.Schema,
        **_options: Any,
    ) -> NoReturn:
        """Raises BadRequest naming the field, or UnknownField naming the nearest real one too."""
        ((location, problems),) = cast("dict[str, Any]", error.messages).items()
        unknown = [name for name, found in problems.items() if found == [schema.error_messages["unknown"]]]
        if unknown:
            raise unknown_field(unknown[0], schema, location) from error
        found = [(path, text) for name, value in problems.items() for path, text in _flat(str(name), value)]
        message = " ".join(text if path == "_schema" else f"`{path}`: {text}" for path, text in found)
        param = found[0][0]
        raise BadRequest(message, param="request_body" if param == "_schema" else param) from error


class Api(flask_smorest.Api):  # type: ignore[misc]
    """Every error in one shape: `{"error": {"message", "type", "param", "code"}}`."""

    ERROR_SCHEMA = ErrorSchema

    def __init__(self, app: flask.Flask) -> None:
        """As flask-smorest's, for one application."""
        self._undescribed: deque[Blueprint] = deque()
        self._describing = threading.RLock()
        super().__init__(app)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Registers the routes. They are described when the document is first asked for, mostly never.

        To describe them all takes a tenth of a second and 5 MB.
        """
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint)
        self._undescribed.append(blueprint)

    @property
    def spec(self) -> apispec.APISpec:
        """The document of /openapi.json, with every route."""
        with self._describing:
            while self._undescribed:
                blueprint = self._undescribed.popleft()
                blueprint.register_views_in_doc(self, self._app, self._spec, name=blueprint.name, parameters=None)
                self._spec.tag({"name": blueprint.name, "description": blueprint.description})
                # Calls go on meanwhile.
                time.sleep(0)
            return self._spec

    @spec.setter
    def spec(self, spec: apispec.APISpec) -> None:
        self._spec = spec

    def _register_error_handlers(self) -> None:
        super()._register_error_handlers()
        self._app.register_error_handler(TollgateError, self.handle_tollgate_error)

    def handle_tollgate_error(self, error: TollgateError) -> ResponseReturnValue:
        """An error raised on purpose."""
        return shaped(error.body(), error.status), error.status, error.headers() | error.rates

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        """An error of Flask's, or an unexpected one, which Flask has logged and of which nothing is told."""
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        kind = ERRORS_BY_STATUS.get(status, BadRequest if status < HTTPStatus.INTERNAL_SERVER_ERROR else TollgateError)
        code = kind.code if kind.status == status else HTTPStatus(status).name.lower()
        message = MESSAGES.get(status) or HTTPStatus(status).phrase + "."
        if status == HTTPStatus.NOT_FOUND and (refusal := unoffered.refusal(flask.request.path)) is not None:
            message, code = refusal, "route_not_offered"
        headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
        body = {"error": {"message": message, "type": kind.type, "param": None, "code": code}}
        return shaped(body, status), status, headers


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint with the strict parser and decorators that keep their types."""

    ARGUMENTS_PARSER = BodyParser()

    def route(self, rule: str, **options: Any) -> Decorator:
        """As flask-smorest's."""
        return cast("Decorator", super().route(rule, **options))

    def arguments(self, schema: type[marshmallow.Schema], **options: Any) -> Decorator:
        """As flask-smorest's: the view takes what the schema makes of the JSON body, or of another `location`."""
        return cast("Decorator", super().arguments(schema, **options))

    def answers(self, schema: Answer, **options: Any) -> Decorator:
        """The view's answer, status 200, dumped by the schema; a dict describes a Response of the view's own."""
        return cast("Decorator", self.response(HTTPStatus.OK.value, schema, **options))

    def alt_response(self, status: int, response: str | None = None, **options: Any) -> Decorator:
        """As flask-smorest's: another answer, documented."""
        return cast("Decorator", super().alt_response(status, response, **options))

    @staticmethod
    def doc(**options: Any) -> Decorator:
        """As flask-smorest's: documentation as it stands."""
        return cast("Decorator", flask_smorest.Blueprint.doc(**options))

    def errors(self, *statuses: int, schema: Answer = None) -> Decorator:
        """Documents the statuses of the errors that the view can raise; `schema` is an unusual shape of them."""

        def decorate(view: View) -> View:
            for status in statuses:
                if schema is None:
                    view = self.alt_response(status, HTTPStatus(status).name)(view)
                else:
                    view = self.alt_response(status, schema=schema, description=HTTPStatus(status).phrase)(view)
            return view

        return decorate


def shaped(body: dict[str, Any], status: int) -> dict[str, Any]:
    """An error as the clients of the route that was called read it."""
    route = flask.request.path.removeprefix("/v1").strip("/")
    return shapes.body(body, status, route)


def secret_of_request() -> str:
    """The key that came with the request. Raises NotAuthenticated where there is none."""
    return secret_of(SentHeaders(flask.request.environ))


def secret_of(headers: Mapping[str, str]) -> str:
    """The key that stands in a request's headers. Raises NotAuthenticated where there is none."""
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    if secret.strip() and scheme.lower() == "bearer":
        return secret.strip()
    # Anthropic's and Azure's clients have headers of their own.
    for name in ("x-api-key", "api-key"):
        if secret := headers.get(name, "").strip():
            return secret
    raise NotAuthenticated("No API key was sent. Send it as `Authorization: Bearer sk-...`.")


def unknown_field(name: str, schema: marshmallow.Schema, location: str) -> UnknownField:
    """The error for a name that `schema` does not have."""
    nearest = difflib.get_close_matches(name, schema.fields, n=1)
    kind = "query parameter" if location == "query" else "field"
    hint = f" Did you mean `{nearest[0]}`?" if nearest else " The fields of this route are listed at /."
    return UnknownField(f"There is no {kind} `{name}`.{hint}", param=name)


def _flat(path: str, problems: Any) -> list[tuple[str, str]]:
    """Messages of marshmallow's, nested as the data is, as pairs of a path ("models[0]") and a text."""
    if isinstance(problems, Mapping):
        deeper = problems.items()
        return [pair for key, value in deeper for pair in _flat(_joined(path, key), value)]
    return [(path, str(text)) for text in problems]


def _joined(path: str, key: object) -> str:
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
