"""The short cut past Flask: whatever is asked, its answer is the one that Flask's dispatch would have given."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app.api import hot
from app.extensions import db
from app.model_list import Deployment
from app.router_settings import Router
from tests.scripted_provider import ScriptedProvider
from tests.services.settings import MOCK

# Which database it is makes no difference to how a request gets to the pipeline.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MASTER = {"Authorization": "Bearer sk-master-for-tests"}
ASKED = {"model": "mock-gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
STREAMED = ASKED | {"stream": True}
# What differs from one call to the next: names, times, money.
CHANGING = re.compile(rb"[0-9a-f]{24,32}|(?<=\"created\":)\d+|(?<=\"created_at\":)\d+")
Told = tuple[str, list[tuple[str, str]], bytes]

# Path, headers and body of a call.
CALLS: dict[str, tuple[str, dict[str, str], Any]] = {
    "a chat": ("/v1/chat/completions", {}, ASKED),
    "a chat without /v1": ("/chat/completions", {}, ASKED),
    "a chat in events": ("/v1/chat/completions", {}, STREAMED),
    "a text": ("/v1/completions", {}, {"model": "mock-gpt-4o", "prompt": "Hi"}),
    "vectors": ("/embeddings", {}, {"model": "mock-gpt-4o", "input": "Hi"}),
    "a chat of Anthropic's": ("/v1/messages", {}, ASKED | {"max_tokens": 5}),
    "a response": ("/v1/responses", {}, {"model": "mock-gpt-4o", "input": "Hi"}),
    "a chat of Azure's": ("/openai/deployments/mock-gpt-4o/chat/completions", {}, ASKED),
    "a chat of Azure's with a query": ("/openai/deployments/mock-gpt-4o/chat/completions?api-version=1", {}, ASKED),
    "Azure's path with a slash in it": ("/openai/deployments/a/b/chat/completions", {}, ASKED),
    "a text of Azure's": ("/openai/deployments/mock-gpt-4o/completions", {}, {"prompt": "Hi"}),
    "a query": ("/v1/chat/completions?a=b", {}, ASKED),
    "a path with a slash too many": ("/v1//chat/completions", {}, ASKED),
    "a path with a slash at its end": ("/v1/chat/completions/", {}, ASKED),
    "no key": ("/v1/chat/completions", {"Authorization": ""}, ASKED),
    "no key of Anthropic's client": ("/v1/messages", {"Authorization": ""}, ASKED),
    "a key nobody has": ("/v1/chat/completions", {"Authorization": "Bearer sk-nobody"}, ASKED),
    "a key in Anthropic's header": ("/v1/messages", {"Authorization": "", "x-api-key": "sk-master-for-tests"}, ASKED),
    "a key in Azure's header": ("/chat/completions", {"Authorization": "", "api-key": "sk-master-for-tests"}, ASKED),
    "a model nobody knows": ("/v1/chat/completions", {}, ASKED | {"model": "nobody"}),
    "a model nobody knows of Azure's": ("/openai/deployments/nobody/chat/completions", {}, ASKED),
    "no model": ("/v1/chat/completions", {}, {"messages": []}),
    "no JSON": ("/v1/chat/completions", {}, b"{"),
    "no JSON of Anthropic's client": ("/v1/messages", {}, b"{"),
    "no body": ("/v1/chat/completions", {}, b""),
    "a form": ("/v1/chat/completions", {"Content-Type": "multipart/form-data; boundary=a"}, b"--a--"),
    "tags that are none": ("/v1/chat/completions", {}, ASKED | {"metadata": {"tags": 5}}),
    "a provider's refusal": ("/v1/chat/completions", {}, ASKED | {"model": "status-400"}),
    "a provider's refusal to wait for": ("/v1/chat/completions", {}, ASKED | {"model": "status-429"}),
    "a provider that drops the call": ("/v1/chat/completions", {}, ASKED | {"model": "drop"}),
    "a provider's nonsense": ("/v1/chat/completions", {}, ASKED | {"model": "not-json"}),
    "a provider's events": ("/v1/chat/completions", {}, STREAMED | {"model": "chunks-3"}),
    "a provider's stream that breaks off": ("/v1/chat/completions", {}, STREAMED | {"model": "cut-after-2"}),
    "a body that is too large": ("/v1/chat/completions", {}, b" " * 100_001),
    "a body that is too large for Anthropic's client": ("/v1/messages", {}, b" " * 100_001),
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    with ScriptedProvider() as provider:
        names = ("status-400", "status-429", "drop", "not-json", "chunks-3", "cut-after-2")
        scripted = tuple(
            Deployment(
                id=name,
                model_name=name,
                provider="openai",
                model=name,
                api_base=f"{provider.url}/v1",
                api_key="sk-provider",
            )
            for name in names
        )
        # A deployment that cools down would answer the second call otherwise than the first.
        app = make_app(deployments=(MOCK, *scripted), router=Router(disable_cooldowns=True))
        app.config["MAX_CONTENT_LENGTH"] = 100_000
        app.config["PROPAGATE_EXCEPTIONS"] = False
        yield app


def asked(path: str, headers: dict[str, str], body: Any, method: str = "POST") -> dict[str, Any]:
    """A request's environ."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} | MASTER | headers
    named = [(name, value) for name, value in given.items() if value]
    path, _, query = path.partition("?")
    return EnvironBuilder(path=path, query_string=query, method=method, headers=named, data=data).get_environ()


def told(wsgi: Any, environ: dict[str, Any]) -> Told:
    """The status, the headers in their order and the body."""
    pieces, status, headers = run_wsgi_app(wsgi, environ, buffered=True)
    unnamed = [(name, CHANGING.sub(b"*", value.encode()).decode()) for name, value in headers]
    return status, unnamed, CHANGING.sub(b"*", b"".join(pieces))


def both(app: Flask, ask: Callable[[], dict[str, Any]]) -> tuple[Told, Told]:
    """The answers of the short cut and of Flask."""
    short_cut = app.wsgi_app
    assert isinstance(short_cut, hot.ShortCut)
    return told(short_cut, ask()), told(short_cut.flask, ask())


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_is_flask_s_to_the_byte(app: Flask, call: str) -> None:
    short_cut, flask = both(app, lambda: asked(*CALLS[call]))
    assert short_cut == flask
    assert any(name == "x-request-id" for name, _ in flask[1])


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "HEAD"])
def test_other_methods_are_flask_s(app: Flask, method: str) -> None:
    short_cut, flask = both(app, lambda: asked("/v1/chat/completions", {}, b"", method))
    assert short_cut == flask


def test_a_body_without_a_length_is_refused_where_it_is_too_long(app: Flask) -> None:
    """As it comes in chunks, which the server has put together."""

    def ask() -> dict[str, Any]:
        environ = asked("/v1/chat/completions", {}, b"")
        environ |= {"wsgi.input": io.BytesIO(b" " * 100_001), "wsgi.input_terminated": True}
        return {name: value for name, value in environ.items() if name != "CONTENT_LENGTH"}

    short_cut, flask = both(app, ask)
    assert (short_cut, short_cut[0]) == (flask, "413 REQUEST ENTITY TOO LARGE")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    "limits", [{"rpm_limit": 1}, {"rpm_limit": 5, "tpm_limit": 100_000, "max_budget": 5}, {"tpm_limit": 1}]
)
def test_limits_and_rates_are_told_as_flask_tells_them(app: Flask, path: str, limits: dict[str, Any]) -> None:
    def answers(user: str, wsgi: Any) -> list[Told]:
        new = limits | {"user_id": user, "key": f"sk-of-{user}-0123456789"}
        assert app.test_client().post("/user/new", json=new, headers=MASTER).status_code == 200
        headers = {"Authorization": f"Bearer {new['key']}"}
        found = [told(wsgi, asked(path, headers, ASKED | {"max_tokens": 5})) for _ in range(3)]
        # The same seconds may not be left to the second user.
        return [
            (status, [(name, "" if name.lower() in WAITING else value) for name, value in named], _unhurried(body))
            for status, named, body in found
        ]

    short_cut = app.wsgi_app
    assert isinstance(short_cut, hot.ShortCut)
    assert answers("ada", short_cut) == answers("bob", short_cut.flask)


WAITING = {"retry-after", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"}


def _unhurried(body: bytes) -> bytes:
    for name in (b"ada", b"bob"):
        body = body.replace(name, b"*")
    return re.sub(rb'"resets_at":"[^"]*"|\d+(\.\d+)? seconds?', b"*", body)


def test_an_unexpected_error_is_logged_and_told_as_flask_does(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(app.extensions["tollgate"], "answer", breaks)
    short_cut, flask = both(app, lambda: asked("/v1/chat/completions", {}, ASKED))
    assert (short_cut, short_cut[0], b"secret" in short_cut[2]) == (flask, "500 INTERNAL SERVER ERROR", False)
    first, second = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert first == second == "Exception on /v1/chat/completions [POST]"


def test_every_short_way_leads_to_a_route_that_is_documented(app: Flask) -> None:
    short_cut = app.wsgi_app
    assert isinstance(short_cut, hot.ShortCut)
    adapter = app.url_map.bind("gateway")
    azure = [f"/openai/deployments/a-model/{route}" for route in hot.ROUTES if route != "messages"]
    for path in (*short_cut.paths, *azure):
        endpoint, arguments = adapter.match(path, method="POST")
        environ = asked(path, {}, b"")
        found = short_cut.route(environ)
        assert found is not None
        assert app.view_functions[endpoint].__name__ == found[0].replace("/", "_")
        assert arguments.get("model") == found[1]


def test_a_context_has_nothing_to_tear_down_but_the_session(gateway_app: Flask) -> None:
    """Where there is no session, Application leaves it out (see app/foundation.py)."""
    assert gateway_app.teardown_appcontext_funcs == [db._teardown_session]
