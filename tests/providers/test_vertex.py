"""Vertex AI is called where the project lives, with a token for it, and its answers come back metered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import urllib3

from app.errors import BadRequest, ProviderFailed
from app.providers import provider_of
from app.providers.base import StreamReader, Target, Whole, WireFormat
from tests.providers import gemini_examples, messages
from tests.providers.sending import sent
from tests.scripted_vertex import Answer, ScriptedVertex

CLAUDE, GEMINI, EMBEDDING = "claude-sonnet-4-5@20250929", "gemini-2.5-flash", "gemini-embedding-001"
CHAT = {"model": "ours", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
PLACE = {"vertex_project": "my-project", "vertex_location": "europe-west1"}
MODELS = "/v1/projects/my-project/locations/europe-west1/publishers"
EVENTS = "text/event-stream; charset=utf-8"


@pytest.fixture(scope="module")
def vertex() -> Iterator[ScriptedVertex]:
    with ScriptedVertex() as server:
        yield server


def format_of(route: str, model: str) -> WireFormat:
    return provider_of("vertex_ai", model).formats[route]


def asked(
    vertex: ScriptedVertex, route: str, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> tuple[Whole | StreamReader, bytes]:
    """A call from its beginning to its end: what was read, and what the client gets."""
    to = Target(model=model, api_base=vertex.url, options=PLACE | {"vertex_credentials": vertex.credentials()})
    wire, call = format_of(route, model), sent(route, body, headers)
    outgoing = wire.prepare(to, call)
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request("POST", outgoing.url, body=outgoing.body, headers=outgoing.headers)
    if not response.headers["Content-Type"].startswith(wire.streams):
        whole = wire.whole(call, response.status, response.data)
        return whole, whole.body
    reader = wire.reader(call)
    pieces = reader.feed(response.data)
    return reader, b"".join(pieces) + reader.rest()


@pytest.mark.parametrize("example", gemini_examples.EXAMPLES)
@pytest.mark.parametrize("route", ["chat/completions", "messages"])
def test_gemini_counts_the_same_streamed_and_not(vertex: ScriptedVertex, example: str, route: str) -> None:
    said, counts = gemini_examples.EXAMPLES[example]
    body = json.dumps(said).encode()
    vertex.answers["generateContent"] = Answer(200, body)
    vertex.answers["streamGenerateContent?alt=sse"] = Answer(200, b"data: " + body + b"\r\n\r\n", EVENTS)
    whole, _ = asked(vertex, route, GEMINI, CHAT)
    assert vertex.calls[-1].path == f"{MODELS}/google/models/{GEMINI}:generateContent"
    reader, _ = asked(vertex, route, GEMINI, CHAT | {"stream": True})
    assert vertex.calls[-1].path == f"{MODELS}/google/models/{GEMINI}:streamGenerateContent?alt=sse"
    assert (whole.counts, reader.counts) == (counts, counts)


# Anthropic, "Prompt caching": input_tokens are those that were neither read from the cache nor written to it.
USAGES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "fresh": ({"input_tokens": 25, "output_tokens": 15}, {"input": 25, "output": 15}),
    "cache read": (
        {"input_tokens": 21, "cache_read_input_tokens": 188086, "output_tokens": 393},
        {"input": 188107, "output": 393, "cache_read": 188086},
    ),
    "cache write": (
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 556,
            "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 393,
        },
        {"input": 577, "output": 393, "cache_write_5m": 456, "cache_write_1h": 100},
    ),
}


@pytest.mark.parametrize("example", USAGES)
@pytest.mark.parametrize("route", ["chat/completions", "messages"])
def test_claude_counts_the_same_streamed_and_not(vertex: ScriptedVertex, example: str, route: str) -> None:
    usage, counts = USAGES[example]
    vertex.answers["rawPredict"] = Answer(200, json.dumps(messages.message([], usage)).encode())
    stream = messages.start(usage | {"output_tokens": 1}) + messages.text(0, "Hi") + messages.end(usage)
    vertex.answers["streamRawPredict"] = Answer(200, stream, EVENTS)
    whole, _ = asked(vertex, route, CLAUDE, CHAT)
    assert vertex.calls[-1].path == f"{MODELS}/anthropic/models/{CLAUDE}:rawPredict"
    reader, _ = asked(vertex, route, CLAUDE, CHAT | {"stream": True})
    assert vertex.calls[-1].path == f"{MODELS}/anthropic/models/{CLAUDE}:streamRawPredict"
    assert (whole.counts, reader.counts) == (counts, counts)


def test_a_message_to_claude_is_anthropics_own(vertex: ScriptedVertex) -> None:
    said = json.dumps(messages.message([{"type": "text", "text": "Hi!"}]), indent=1).encode()
    vertex.answers["rawPredict"] = Answer(200, said)
    headers = {"anthropic-beta": "claude-code-20250219,context-1m-2025-08-07", "x-api-key": "theirs"}
    _, body = asked(vertex, "messages", CLAUDE, CHAT, headers)
    call = vertex.calls[-1]
    assert (body, call.headers["anthropic-beta"], "x-api-key" in call.headers) == (said, "context-1m-2025-08-07", False)
    assert call.body == {key: value for key, value in CHAT.items() if key != "model"} | {
        "anthropic_version": "vertex-2023-10-16"
    }


def test_a_stream_of_claudes_passes_byte_for_byte(vertex: ScriptedVertex) -> None:
    stream = messages.start() + messages.PING + messages.text(0, "Hi", "!") + messages.end()
    vertex.answers["streamRawPredict"] = Answer(200, stream, EVENTS)
    _, shown = asked(vertex, "messages", CLAUDE, CHAT | {"stream": True})
    assert (shown, vertex.calls[-1].body["stream"]) == (stream, True)


def test_tokens_are_counted_for_free(vertex: ScriptedVertex) -> None:
    vertex.answers["rawPredict"] = Answer(200, b'{"input_tokens": 14}')
    whole, body = asked(vertex, "messages/count_tokens", CLAUDE, {key: CHAT[key] for key in ("model", "messages")})
    call = vertex.calls[-1]
    assert (body, whole.counts) == (b'{"input_tokens": 14}', None)
    assert (call.path, call.body["model"]) == (f"{MODELS}/anthropic/models/count-tokens:rawPredict", CLAUDE)


def test_a_call_without_a_good_token_is_refused_in_the_clients_shape(vertex: ScriptedVertex) -> None:
    vertex.answers["generateContent"] = Answer(200, b"{}")
    wire, call = format_of("chat/completions", GEMINI), sent("chat/completions", CHAT)
    outgoing = wire.prepare(Target(model=GEMINI, api_base=vertex.url, api_key="wrong", options=PLACE), call)
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request("POST", outgoing.url, body=outgoing.body, headers=outgoing.headers)
    error = json.loads(wire.whole(call, response.status, response.data).body)["error"]
    assert (response.status, error["message"]) == (401, "Request had invalid authentication credentials.")


# Google, "Get text embeddings": the answer's token_count is a number with a point.
def test_texts_are_embedded(vertex: ScriptedVertex) -> None:
    predictions = [
        {"embeddings": {"values": [0.5, 1.0], "statistics": {"truncated": False, "token_count": count}}}
        for count in (4.0, 3)
    ]
    vertex.answers["predict"] = Answer(200, json.dumps({"predictions": predictions}).encode())
    body = {"model": "ours", "input": ["a", "b"], "dimensions": 2}
    whole, told = asked(vertex, "embeddings", EMBEDDING, body)
    assert vertex.calls[-1].body == {
        "instances": [{"content": "a"}, {"content": "b"}],
        "parameters": {"outputDimensionality": 2},
    }
    assert whole.counts == {"input": 7, "output": 0}
    assert [item["embedding"] for item in json.loads(told)["data"]] == [[0.5, 1.0], [0.5, 1.0]]


@pytest.mark.parametrize("answer", [b"{}", b'{"predictions": 3}', b'{"predictions": [3]}', b"[]", b"no"])
def test_embeddings_that_tell_no_tokens_are_left_to_be_counted(answer: bytes) -> None:
    call = sent("embeddings", {"model": "ours", "input": "a"})
    assert format_of("embeddings", EMBEDDING).whole(call, 200, answer).counts is None


@pytest.mark.parametrize("given", [[1, 2], None, {}])
def test_tokens_are_not_embedded(given: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        format_of("embeddings", EMBEDDING).prepare(
            Target(model=EMBEDDING, api_key="k", options=PLACE), sent("embeddings", {"input": given})
        )
    assert caught.value.param == "input"


def address(model: str = GEMINI, **options: str) -> str:
    to = Target(model=model, api_key="k", options=PLACE | options)
    return format_of("chat/completions", model).prepare(to, sent("chat/completions", CHAT)).url


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_a_location_has_its_host(location: str, host: str) -> None:
    place = f"projects/my-project/locations/{location}/publishers"
    assert address(vertex_location=location) == f"https://{host}/v1/{place}/google/models/{GEMINI}:generateContent"


@pytest.mark.parametrize("name", ["vertex_project", "vertex_location"])
@pytest.mark.parametrize("value", ["evil.example/", "a@b", "x?y", ""])
def test_a_project_and_a_location_lead_nowhere_else(name: str, value: str) -> None:
    with pytest.raises(ProviderFailed, match=name):
        address(**{name: value})


def test_a_service_account_knows_its_project(vertex: ScriptedVertex) -> None:
    options = {"vertex_location": "global", "vertex_credentials": vertex.credentials(project_id="its-own")}
    to = Target(model=CLAUDE, options=options)
    url = format_of("messages", CLAUDE).prepare(to, sent("messages", CHAT)).url
    assert "/projects/its-own/locations/global/" in url


def test_the_machines_own_token_goes_to_google_alone() -> None:
    to = Target(model=GEMINI, api_base="https://elsewhere.example/v1", options=PLACE)
    with pytest.raises(ProviderFailed, match="vertex_credentials"):
        format_of("chat/completions", GEMINI).prepare(to, sent("chat/completions", CHAT))


def test_no_secret_is_shown(vertex: ScriptedVertex) -> None:
    to = Target(model=GEMINI, options=PLACE | {"vertex_credentials": vertex.credentials()})
    outgoing = format_of("chat/completions", GEMINI).prepare(to, sent("chat/completions", CHAT))
    assert "PRIVATE KEY" not in repr(to) + repr(outgoing) + str(outgoing.headers)
    assert outgoing.headers["Authorization"].removeprefix("Bearer ") not in repr(outgoing)
