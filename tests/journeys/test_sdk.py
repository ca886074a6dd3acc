"""OpenAI's own Python client, unmodified, against the gateway."""

from __future__ import annotations

from collections.abc import Callable

import openai
import pytest

from tests.journeys.conftest import Person
from tests.scripted_provider import ScriptedProvider


@pytest.fixture
def sdk(person: Callable[..., Person]) -> Callable[..., openai.OpenAI]:
    def make(**limits: object) -> openai.OpenAI:
        caller = person(**limits)
        return openai.OpenAI(api_key=caller.secret, base_url=caller.url + "/v1")

    return make


HELLO: list[openai.types.chat.ChatCompletionUserMessageParam] = [{"role": "user", "content": "hi"}]


def test_a_chat(sdk: Callable[..., openai.OpenAI]) -> None:
    answer = sdk().chat.completions.create(model="dime", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 100


def test_a_stream_hides_the_usage_that_was_not_asked_for(sdk: Callable[..., openai.OpenAI]) -> None:
    chunks = list(sdk().chat.completions.create(model="stream", messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_shows_the_usage_that_was_asked_for(sdk: Callable[..., openai.OpenAI]) -> None:
    options = {"include_usage": True}
    chunks = list(
        sdk().chat.completions.create(model="stream", messages=HELLO, stream=True, stream_options=options)  # type: ignore[call-overload]
    )
    assert chunks[-1].usage.completion_tokens == 10


def test_embeddings_and_the_list_of_models(sdk: Callable[..., openai.OpenAI]) -> None:
    client = sdk()
    assert client.embeddings.create(model="dime", input="hello").data[0].embedding
    assert "dime" in {model.id for model in client.models.list()}


def test_an_exceeded_budget_is_a_rate_limit_error_that_is_not_retried(
    sdk: Callable[..., openai.OpenAI], provider: ScriptedProvider
) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        sdk(max_budget=0).chat.completions.create(model="dime", messages=HELLO)
    assert refused.value.code == "budget_exceeded"
    assert provider.calls == []


def test_a_model_that_is_not_allowed_is_a_permission_error(sdk: Callable[..., openai.OpenAI]) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        sdk(models=["beta-models"]).chat.completions.create(model="dime", messages=HELLO)
    assert refused.value.param == "model"


def test_a_wrong_key_is_an_authentication_error(sdk: Callable[..., openai.OpenAI]) -> None:
    client = sdk().with_options(api_key="sk-wrong-0123456789")
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="dime", messages=HELLO)


def test_azures_client_is_answered_on_azures_paths(person: Callable[..., Person]) -> None:
    caller = person()
    client = openai.AzureOpenAI(api_key=caller.secret, azure_endpoint=caller.url, api_version="2024-10-21")
    assert client.chat.completions.create(model="dime", messages=HELLO).choices
