"""The model routes that are called all day, without Flask's dispatch: no request context, no hooks.

The Flask routes stay mounted: they are what is documented, and they answer whatever is not exactly one of the paths
here. An answer that is anything but a plain 200 is given to Flask to finish, so that errors have one place.
From the server to the pipeline and back it is 12 µs, and 72 µs with the dispatch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

from flask import Flask, Response
from flask.typing import ResponseReturnValue
from werkzeug.wsgi import get_input_stream

from app.api import proxy

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROUTES = ("chat/completions", "completions", "embeddings", "messages", "responses")
# Azure's paths name the model. Names that have a slash are Flask's to find.
AZURE = re.compile(r"/openai/deployments/([A-Za-z0-9._:@-]+)/(chat/completions|completions|embeddings|responses)")
Found = tuple[str, str | None]


class ShortCut:
    """WSGI in front of an application's own."""

    def __init__(self, app: Flask, begin: Callable[[], None]) -> None:
        """The application has all of its routes. `begin` is what is to be done before every request."""
        self._app = app
        self._begin = begin
        self.flask = app.wsgi_app
        self.paths: dict[str, Found] = {
            f"{prefix}/{route}": (route, None) for route in ROUTES for prefix in ("", "/v1")
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        found = self.route(environ)
        if found is None:
            return self.flask(environ, start_response)
        try:
            with self._app.app_context():
                self._begin()
                answer = proxy.answered(self._app.extensions["tollgate"], environ, self._body(environ), *found)
        except Exception as error:  # noqa: BLE001 - Flask tells what to make of it
            finish = partial(self._app.handle_user_exception, error)
            return self._finished(environ, finish)(environ, start_response)
        if answer.status != HTTPStatus.OK or not {"content-type", "x-request-id"} <= answer.headers.keys():
            return self._finished(environ, partial(proxy.responded, answer))(environ, start_response)
        headers = list(answer.headers.items())
        if isinstance(answer.body, list):
            headers.append(("Content-Length", str(sum(map(len, answer.body)))))
        start_response("200 OK", headers)
        return answer.body

    def _body(self, environ: WSGIEnvironment) -> bytes:
        """All of it. Raises RequestEntityTooLarge, and others for a body that is not what its head says."""
        limit, given = self._app.config["MAX_CONTENT_LENGTH"], environ["wsgi.input"]
        if type(given) is BytesIO and len(body := given.getvalue()) <= limit:
            # Our server has read it to its end.
            return body
        return get_input_stream(environ, max_content_length=limit).read()

    def route(self, environ: WSGIEnvironment) -> Found | None:
        """The route that a request is short cut to, and the model where the path names it; None: Flask's to find."""
        if environ["REQUEST_METHOD"] != "POST":
            return None
        path = environ["PATH_INFO"]
        found = self.paths.get(path)
        if found is None and (azure := AZURE.fullmatch(path)) is not None:
            return azure[2], azure[1]
        return found

    def _finished(self, environ: WSGIEnvironment, answer: Callable[[], ResponseReturnValue]) -> Response:
        """As Flask ends a request (see Flask.wsgi_app and Flask.full_dispatch_request)."""
        with self._app.request_context(environ):
            try:
                return self._app.finalize_request(answer())
            except Exception as error:  # noqa: BLE001 - the last resort, which logs
                return self._app.handle_exception(error)
