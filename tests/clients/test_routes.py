"""No route slips past the meter: each one that is mounted is metered, free for a reason that stands here, or guarded.

A new route fails here until it is one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from app import create_app
from tests.journeys.conftest import HTTP, Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.settings import settings_for

# What costs nothing, and why.
FREE = {
    "/": "the page about the routes",
    "/openapi.json": "what the page is made of",
    "/swagger-ui/<path:filename>": "what the page is made of",
    "/health/liveliness": "a probe",
    "/health/liveness": "a probe",
    "/health/readiness": "a probe",
    "/models": "a list of names; no provider is asked",
    "/v1/models": "a list of names; no provider is asked",
    "/models/<path:model>": "a name; no provider is asked",
    "/v1/models/<path:model>": "a name; no provider is asked",
}
HELLO = [{"role": "user", "content": "hi"}]
SOUND = {"file": ("a.wav", b"RIFF", "audio/wav")}
# By the ends of their paths: the model to call and the rest of the body; files make it a form.
METERED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat/completions": ("gpt-4o-mini", {"messages": HELLO}, {}),
    "completions": ("gpt-4o-mini", {"prompt": "hi"}, {}),
    "embeddings": ("text-embedding-3-small", {"input": "hi"}, {}),
    "responses": ("gpt-4o-mini", {"input": "hi"}, {}),
    "responses/compact": ("gpt-4o-mini", {"input": "hi"}, {}),
    "responses/input_tokens": ("gpt-4o-mini", {"input": "hi"}, {}),
    "messages": ("claude-sonnet-4-5", {"messages": HELLO, "max_tokens": 9}, {}),
    "messages/count_tokens": ("claude-sonnet-4-5", {"messages": HELLO}, {}),
    "images/generations": ("gpt-image-1", {"prompt": "A fjord."}, {}),
    "images/edits": ("gpt-image-1", {"prompt": "Bluer."}, {"image": ("a.png", b"PNG", "image/png")}),
    "audio/speech": ("gpt-4o-mini-tts", {"input": "hi", "voice": "alloy"}, {}),
    "audio/transcriptions": ("gpt-4o-transcribe", {}, SOUND),
    "audio/translations": ("whisper-1", {}, SOUND),
    "moderations": ("omni-moderation-latest", {"input": "hi"}, {}),
    "rerank": ("rerank-v3.5", {"query": "hi", "documents": ["a", "b"]}, {}),
}
# A model in the path is Azure's way; the body has none then.
MODEL = "<path:model>"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Opens no connection: only its routes are asked for."""
    database = tmp_path_factory.mktemp("routes") / "never-opened.db"
    return create_app(settings_for(f"sqlite:///{database}", "redis://127.0.0.1:1/0"))


def is_guarded(app: Flask, rule: Rule) -> bool:
    return bool(app.before_request_funcs.get(rule.endpoint.rpartition(".")[0]))


def filled(rule: Rule) -> str:
    """The path with something in each place: `key` is a kind of meter, too."""
    return re.sub(r"<[^>]+>", "key", rule.rule)


def metered_as(rule: Rule) -> str | None:
    """The longest end of the path that is known."""
    ends = [end for end in METERED if rule.rule.endswith("/" + end)]
    return max(ends, key=len) if ends and "POST" in (rule.methods or ()) else None


def test_each_route_is_metered_or_free_for_a_reason_or_guarded(app: Flask) -> None:
    kinds = {
        rule.rule: [
            rule.rule in FREE,
            metered_as(rule) is not None and not is_guarded(app, rule),
            is_guarded(app, rule),
        ]
        for rule in app.url_map.iter_rules()
    }
    assert {path: kind for path, kind in kinds.items() if sum(kind) != 1} == {}


def test_what_is_said_to_be_free_is_there_and_only_read(app: Flask) -> None:
    rules = {rule.rule: rule.methods for rule in app.url_map.iter_rules()}
    assert set(FREE) - set(rules) == set()
    assert [path for path in FREE if set(rules[path] or ()) - {"GET", "HEAD", "OPTIONS"}] == []


def test_a_guarded_route_does_nothing_for_somebody_without_a_key(app: Flask) -> None:
    client = app.test_client()
    answers = {
        (method, rule.rule): client.open(filled(rule), method=method).status_code
        for rule in app.url_map.iter_rules()
        if is_guarded(app, rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert len(answers) > 100
    assert {route: status for route, status in answers.items() if status != 401} == {}


def ask(caller: Person, path: str, kind: str) -> int:
    model, fields, files = METERED[kind]
    body = fields if MODEL in path else {"model": model, **fields}
    sent: dict[str, Any] = {"data": body, "files": files} if files else {"json": body}
    headers = {"Authorization": f"Bearer {caller.secret}"}
    status: int = HTTP.post(caller.url + path.replace(MODEL, model), headers=headers, timeout=30, **sent).status_code
    return status


def test_a_call_of_each_metered_route_leaves_exactly_one_row(
    app: Flask, provider: ScriptedProvider, person: Callable[..., Person]
) -> None:
    routes = {rule.rule: kind for rule in app.url_map.iter_rules() if (kind := metered_as(rule)) is not None}
    callers = {path: person() for path in routes}
    assert {path: status for path, kind in routes.items() if (status := ask(callers[path], path, kind)) != 200} == {}
    assert len(provider.calls) == len(routes)
    rows: dict[str, list[dict[str, Any]]] = {}

    def booked() -> bool:
        rows.update({path: callers[path].get("/spend/logs").json() for path in routes if not rows.get(path)})
        return all(rows.values())

    until(booked)
    assert {path: [row["call_type"] for row in found] for path, found in rows.items()} == {
        path: [kind] for path, kind in routes.items()
    }
