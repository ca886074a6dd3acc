"""Unmodified SDKs reach models on Bedrock and Vertex AI, and pay the same streamed and not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic import Anthropic, RateLimitError
from openai import OpenAI

from tests.journeys.conftest import Person, user_of
from tests.journeys.test_stored_models import everywhere
from tests.journeys.waiting import until
from tests.providers import aws_frames, converse_examples, gemini_examples, messages
from tests.scripted_bedrock import FRAMES, KEYS, SECRET_KEY, SESSION_TOKEN, ScriptedBedrock
from tests.scripted_bedrock import Answer as BedrockAnswer
from tests.scripted_vertex import Answer as VertexAnswer
from tests.scripted_vertex import ScriptedVertex
from tests.services.stack import Stack

CLAUDE_ON_BEDROCK, NOVA = "bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock/amazon.nova-pro-v1:0"
CLAUDE_ON_VERTEX, GEMINI = "vertex_ai/claude-sonnet-4-5@20250929", "vertex_ai/gemini-2.5-flash"
PRIVATE_KEY = "BEGIN PRIVATE KEY"
COSTS = {
    "input_cost_per_token": 0.0001,
    "output_cost_per_token": 0.001,
    "cache_read_input_token_cost": 0.00001,
    "cache_creation_input_token_cost": 0.0002,
}
HELLO: Any = [{"role": "user", "content": "Hello"}]
# 21 fresh tokens, 500 from the cache, 60 out; in Converse's words and in Anthropic's.
CONVERSE_USAGE = {"inputTokens": 21, "outputTokens": 60, "totalTokens": 581, "cacheReadInputTokens": 500}
ANTHROPIC_USAGE = {"input_tokens": 21, "cache_read_input_tokens": 500, "output_tokens": 60}
GEMINI_USAGE = {
    "promptTokenCount": 521,
    "cachedContentTokenCount": 500,
    "candidatesTokenCount": 60,
    "totalTokenCount": 581,
}
COST = 21 * 0.0001 + 500 * 0.00001 + 60 * 0.001


@pytest.fixture(scope="module")
def bedrock() -> Iterator[ScriptedBedrock]:
    converse = converse_examples.answer({"text": "Hi!"}, usage=CONVERSE_USAGE)
    streamed = converse_examples.START + converse_examples.text("Hi", "!") + converse_examples.end(usage=CONVERSE_USAGE)
    claudes = b"".join(aws_frames.chunk(event) for event in messages.chunks(claude_stream()))
    with ScriptedBedrock() as server:
        server.answers["converse"] = BedrockAnswer(200, json.dumps(converse).encode())
        server.answers["converse-stream"] = BedrockAnswer(200, streamed, FRAMES)
        server.answers["invoke"] = BedrockAnswer(200, claude_message())
        server.answers["invoke-with-response-stream"] = BedrockAnswer(200, claudes, FRAMES)
        yield server


@pytest.fixture(scope="module")
def vertex() -> Iterator[ScriptedVertex]:
    gemini = gemini_examples.answer(gemini_examples.candidate({"text": "Hi!"}), usage=GEMINI_USAGE)
    streamed = b"data: " + json.dumps(gemini).encode() + b"\r\n\r\n"
    with ScriptedVertex() as server:
        server.answers["generateContent"] = VertexAnswer(200, json.dumps(gemini).encode())
        server.answers["streamGenerateContent?alt=sse"] = VertexAnswer(200, streamed, "text/event-stream")
        server.answers["rawPredict"] = VertexAnswer(200, claude_message())
        server.answers["streamRawPredict"] = VertexAnswer(200, claude_stream(), "text/event-stream; charset=utf-8")
        yield server


def claude_message() -> bytes:
    return json.dumps(messages.message([{"type": "text", "text": "Hi!"}], ANTHROPIC_USAGE)).encode()


def claude_stream() -> bytes:
    return (
        messages.start(ANTHROPIC_USAGE | {"output_tokens": 1})
        + messages.text(0, "Hi", "!")
        + messages.end(ANTHROPIC_USAGE)
    )


@pytest.fixture
def params(bedrock: ScriptedBedrock, vertex: ScriptedVertex) -> Callable[[str], dict[str, Any]]:
    """What a deployment of the model says of itself."""
    of_bedrock = KEYS | {"aws_bedrock_runtime_endpoint": bedrock.url}
    of_vertex = {
        "vertex_location": "europe-west1",
        "vertex_credentials": json.dumps(json.loads(vertex.credentials())),
        "api_base": vertex.url,
    }
    return lambda model: {"model": model} | COSTS | (of_bedrock if model.startswith("bedrock") else of_vertex)


@pytest.fixture
def deployed(admin: Person, ada: str, params: Callable[[str], dict[str, Any]]) -> Callable[[str], str]:
    """deployed(model) adds a deployment of it, and tells the name by which it is called."""

    def add(model: str) -> str:
        made = admin.post("/model/new", {"model_name": f"model-of-{ada}", "litellm_params": params(model)})
        assert made.status_code == 200, made.text
        return f"model-of-{ada}"

    return add


def spent(admin: Person, user_id: str, calls: int) -> list[float]:
    until(lambda: len(admin.get("/spend/logs", user_id=user_id).json()) == calls)
    return [row["spend"] for row in admin.get("/spend/logs", user_id=user_id).json()]


EVERY_MODEL = pytest.mark.parametrize("model", [CLAUDE_ON_BEDROCK, NOVA, CLAUDE_ON_VERTEX, GEMINI])


@EVERY_MODEL
def test_openais_library_chats_and_pays_the_same_streamed_and_not(
    admin: Person, person: Callable[..., Person], deployed: Callable[[str], str], ada: str, model: str
) -> None:
    caller, name = person(user_id=ada, max_budget=5), deployed(model)
    with OpenAI(base_url=caller.url + "/v1", api_key=caller.secret, max_retries=0) as client:
        whole = client.chat.completions.create(model=name, messages=HELLO, max_tokens=100)
        with client.chat.completions.create(
            model=name, messages=HELLO, max_tokens=100, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = list(stream)
    assert whole.choices[0].message.content == "Hi!"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hi!"
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert (whole.usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (521, 60)
    assert spent(admin, ada, 2) == pytest.approx([COST, COST])


@EVERY_MODEL
def test_anthropics_library_talks_and_pays_the_same_streamed_and_not(
    admin: Person, person: Callable[..., Person], deployed: Callable[[str], str], ada: str, model: str
) -> None:
    caller, name = person(user_id=ada, max_budget=5), deployed(model)
    with Anthropic(base_url=caller.url, api_key=caller.secret, max_retries=0) as client:
        whole = client.messages.create(model=name, messages=HELLO, max_tokens=100)
        with client.messages.stream(model=name, messages=HELLO, max_tokens=100) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert "".join(block.text for block in message.content if block.type == "text") == "Hi!"
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (21, 500)
        assert message.usage.output_tokens == 60
    assert spent(admin, ada, 2) == pytest.approx([COST, COST])


def test_a_stream_that_bedrock_breaks_off_is_one_row_with_what_was_said(
    admin: Person, person: Callable[..., Person], deployed: Callable[[str], str], bedrock: ScriptedBedrock, ada: str
) -> None:
    caller, name = person(user_id=ada, max_budget=5), deployed(NOVA)
    whole = bedrock.answers["converse-stream"]
    failing = (
        converse_examples.START + converse_examples.text("Hi") + aws_frames.exception("throttlingException", "Slow.")
    )
    bedrock.answers["converse-stream"] = BedrockAnswer(200, failing, FRAMES)
    answer = caller.chat(name, max_tokens=100, stream=True)
    bedrock.answers["converse-stream"] = whole
    assert ('"rate_limit_error"' in answer.text, "[DONE]" in answer.text) == (True, False)
    assert 0 < spent(admin, ada, 1)[0] < COST


def test_anthropics_library_knows_bedrocks_throttling(
    person: Callable[..., Person], deployed: Callable[[str], str], bedrock: ScriptedBedrock
) -> None:
    caller, name = person(max_budget=5), deployed(CLAUDE_ON_BEDROCK)
    whole = bedrock.answers["invoke"]
    said = json.dumps({"message": f"Too many requests of {SECRET_KEY}"}).encode()
    bedrock.answers["invoke"] = BedrockAnswer(429, said)
    with (
        Anthropic(base_url=caller.url, api_key=caller.secret, max_retries=0) as client,
        pytest.raises(RateLimitError) as caught,
    ):
        client.messages.create(model=name, messages=HELLO, max_tokens=100)
    bedrock.answers["invoke"] = whole
    assert caught.value.message.count("[redacted]") >= 1
    assert SECRET_KEY not in caught.value.message


def test_the_secrets_of_clouds_are_nowhere_in_clear(
    own_stack: Stack, params: Callable[[str], dict[str, Any]], database_url: str, redis_url: str
) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, max_budget=5)
    answers = [
        admin.post("/model/new", {"model_name": name, "litellm_params": params(model) | changed})
        for name, model, changed in (
            ("nova", NOVA, {}),
            ("gemini", GEMINI, {}),
            ("wrong", GEMINI, {"vertex_credentials": "{" + PRIVATE_KEY}),
            ("refused", NOVA, {"aws_secret_access_key": SECRET_KEY + " ", "aws_access_key_id": SECRET_KEY}),
        )
    ]
    answers += [caller.chat(name, max_tokens=100) for name in ("nova", "gemini", "wrong", "refused")]
    answers += [admin.get("/model/info"), admin.get("/v2/model/info"), admin.get("/audit")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 200, 502, 403, 200, 200, 200]
    places = everywhere(own_stack, database_url, redis_url)
    places["answers"] = "".join(str(answer.headers) + answer.text for answer in answers)
    secrets = (SECRET_KEY, SESSION_TOKEN, PRIVATE_KEY, "ya29.")
    assert [(place, secret) for place, text in places.items() for secret in secrets if secret in text] == []
    # Were the search blind, it would find nothing either.
    assert [place for place in ("SQL", "answers") if "nova" not in places[place]] == []
