"""The mock's answers are what OpenAI's own client takes for OpenAI's."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.providers import PROVIDERS
from app.providers.base import Counts, Target
from app.providers.mock import Mock
from app.vendors import VENDORS
from tests.providers.sending import sent

TARGET = Target(model="gpt-4o", mock_response="Twelve chars")
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def answered(route: str, body: dict[str, Any], target: Target = TARGET) -> bytes:
    status, _, pieces = Mock().answer(target, sent(route, body))
    assert status == 200
    return b"".join(pieces)


def counts(route: str, body: dict[str, Any]) -> Counts | None:
    return Mock().formats[route].whole(sent(route, body), 200, answered(route, body)).counts


def streamed(route: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    events = answered(route, body | {"stream": True}).removesuffix(b"data: [DONE]\n\n")
    return [orjson.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n") if event]


def test_a_chat_answer_is_openais() -> None:
    answer = ChatCompletion.model_validate_json(answered("chat/completions", HELLO), strict=True)
    assert answer.choices[0].message.content == "Twelve chars"


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_clients_are_answered_in_their_format(stream: bool) -> None:  # noqa: FBT001 - as pytest gives it
    request = sent("messages", HELLO | {"max_tokens": 10, "stream": stream})
    _, _, pieces = Mock().answer(TARGET, request)
    messages = Mock().formats["messages"]
    if stream:
        told: Any = messages.reader(request)
        body = b"".join(piece for given in pieces for piece in told.feed(given)) + told.rest()
    else:
        told = messages.whole(request, 200, b"".join(pieces))
        body = told.body
    assert told.counts == counts("chat/completions", HELLO)
    assert b'"text"' in body


def test_a_completion_is_openais() -> None:
    answer = Completion.model_validate_json(answered("completions", {"prompt": "hello"}), strict=True)
    assert answer.choices[0].text == "Twelve chars"


def test_four_characters_are_a_token() -> None:
    assert counts("chat/completions", HELLO) == {"input": 3, "output": 3}


def test_a_stream_says_the_same_as_a_whole_answer() -> None:
    chunks = [ChatCompletionChunk.model_validate(event, strict=True) for event in streamed("chat/completions", HELLO)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Twelve chars"


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_a_stream_uses_what_a_whole_answer_uses(route: str) -> None:
    body = HELLO | {"prompt": "hello"}
    reader = Mock().formats[route].reader(sent(route, body))
    reader.feed(answered(route, body | {"stream": True}))
    assert reader.finished
    assert reader.counts == counts(route, body)


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_an_output_cap_is_kept(cap: str) -> None:
    answer = ChatCompletion.model_validate_json(answered("chat/completions", HELLO | {cap: 2}))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Twelve c", "length")


def test_n_answers_are_paid_n_times() -> None:
    answer = ChatCompletion.model_validate_json(answered("chat/completions", HELLO | {"n": 3}))
    assert answer.usage is not None
    assert (len(answer.choices), answer.usage.completion_tokens) == (3, 9)


def test_an_unreasonable_n_does_not_run_away() -> None:
    assert len(orjson.loads(answered("chat/completions", HELLO | {"n": 10**9}))["choices"]) == 128


@pytest.mark.parametrize(
    ("given", "vectors"), [("hello", 1), (["hello", "you"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)]
)
def test_each_input_gets_its_vector(given: object, vectors: int) -> None:
    answer = CreateEmbeddingResponse.model_validate_json(answered("embeddings", {"input": given}))
    assert len(answer.data) == vectors


def test_the_same_input_has_the_same_vector() -> None:
    first, second, other = (orjson.loads(answered("embeddings", {"input": text}))["data"] for text in "aab")
    assert first == second != other


def test_a_vector_has_the_dimensions_asked_for() -> None:
    assert len(orjson.loads(answered("embeddings", {"input": "a", "dimensions": 3}))["data"][0]["embedding"]) == 3


def test_a_vector_comes_in_base64_when_asked_for() -> None:
    body = {"input": "a", "dimensions": 3, "encoding_format": "base64"}
    assert len(orjson.loads(answered("embeddings", body))["data"][0]["embedding"]) == 16


def test_each_provider_answers_to_its_name() -> None:
    assert {name: provider.name for name, provider in PROVIDERS.items()} == {name: name for name in (*VENDORS, "mock")}
