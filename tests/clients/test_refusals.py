"""What the SDKs make of our refusals: which error their users catch, and when they try again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.clients.conftest import ANTHROPIC_KEY, OPENAI_KEY, Running
from tests.clients.matrix import Client, those_that_do
from tests.journeys.conftest import Person
from tests.scripted_http import RETRY_AFTER
from tests.scripted_provider import ScriptedProvider
from tests.services.valkey import Valkey

Start = Callable[[Client], Running]
Users = Callable[..., Person]

BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    413: "APIStatusError",
    429: "RateLimitError",
    503: "InternalServerError",
}
# The names of errors where a client has others.
NAMED = {
    "OpenAI Node": {413: "APIError"},
    "Anthropic Python": {413: "ContentTooLargeError", 503: "ServiceUnavailableError"},
    "Anthropic Node": {413: "ContentTooLargeError", 503: "ServiceUnavailableError"},
    "Vercel AI SDK": dict.fromkeys(BY_STATUS, "AI_APICallError"),
    "LiteLLM SDK": {403: "APIError", 503: "ServiceUnavailableError"},
}
# LiteLLM's SDK shows no code, and neither it nor Vercel's has a program that sends what is too large.
SHOWS_CODE = ("OpenAI Python", "OpenAI Node", "Anthropic Python", "Anthropic Node", "Vercel AI SDK")


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    limits: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    key: str | None = None


REFUSALS = [
    Refusal(401, "invalid_api_key", key="sk-nobody-knows-this-key"),
    Refusal(403, "model_not_allowed", {"models": ["text-embedding-3-small"]}),
    Refusal(404, "not_found", model="no-such-model"),
    Refusal(400, "bad_request", model=""),
    Refusal(429, "budget_exceeded", {"max_budget": 0}),
    Refusal(429, "rpm_limit", {"rpm_limit": 0}),
]


def with_errors(*, only: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    those = [client for client in those_that_do("errors") if not only or client.name in only]
    return pytest.mark.parametrize("client", those, ids=lambda client: client.name)


with_retries = pytest.mark.parametrize("client", those_that_do("retries"), ids=lambda client: client.name)


def speaks_as_anthropic(client: Client) -> bool:
    return "chat" not in client.does


def asked(client: Client) -> tuple[str, str]:
    """The plainest thing that the client does, and a model for it."""
    return ("messages", "claude-sonnet-4-5") if speaks_as_anthropic(client) else ("chat", "gpt-4o-mini")


def name_of(client: Client, status: int) -> str:
    return NAMED.get(client.name, {}).get(status, BY_STATUS[status])


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
@with_errors()
def test_each_refusal_is_the_error_that_the_client_has_for_it(
    client: Client, refusal: Refusal, running: Start, provider: ScriptedProvider, person: Users
) -> None:
    caller = person(**refusal.limits)
    do, usual = asked(client)
    model = usual if refusal.model is None else refusal.model
    error = running(client).ask(do, caller.url, refusal.key or caller.secret, model)["error"]
    told = (error["class"], error["status"])
    assert told == (name_of(client, refusal.status), refusal.status), error
    if client.name in SHOWS_CODE:
        assert error["code"] == refusal.code
    assert provider.calls == []


@with_errors(only=("OpenAI Python", "OpenAI Node", "Anthropic Python", "Anthropic Node"))
def test_what_is_too_large_is_said_to_be(client: Client, running: Start, person: Users) -> None:
    caller = person()
    error = running(client).ask("large", caller.url, caller.secret, asked(client)[1])["error"]
    assert (error["class"], error["status"], error["code"]) == (name_of(client, 413), 413, "body_too_large"), error


@with_errors()
def test_while_redis_is_silent_the_service_is_unavailable(
    client: Client, running: Start, person: Users, valkey_of_stack: Valkey
) -> None:
    caller = person()
    do, model = asked(client)
    valkey_of_stack.stop()
    try:
        error = running(client).ask(do, caller.url, caller.secret, model)["error"]
    finally:
        valkey_of_stack.cont()
    assert (error["class"], error["status"]) == (name_of(client, 503), 503), error


@with_errors()
def test_an_error_of_the_provider_is_the_same_through_the_gateway(
    client: Client, running: Start, provider: ScriptedProvider, person: Users
) -> None:
    caller = person()
    (do, _), model = (
        asked(client),
        "failing-claude-status-400" if speaks_as_anthropic(client) else "failing-gpt-status-400",
    )
    key = ANTHROPIC_KEY if speaks_as_anthropic(client) else OPENAI_KEY
    errors = [
        running(client).ask(do, url, secret, model)["error"]
        for url, secret in ((provider.url, key), (caller.url, caller.secret))
    ]
    told = [{name: error[name] for name in ("class", "status", "type", "code", "message")} for error in errors]
    assert told[0]["status"] == 400
    assert told[0] == told[1]


@with_retries
@pytest.mark.parametrize("limits", [{"max_budget": 0}, {"rpm_limit": 0}], ids=["budget_exceeded", "rpm_limit"])
def test_what_waiting_does_not_help_is_asked_once(
    client: Client, limits: dict[str, Any], running: Start, person: Users
) -> None:
    caller = person(**limits)
    do, model = asked(client)
    answer = running(client).ask(do, caller.url, caller.secret, model, retries=2)
    assert (answer["error"]["status"], answer["requests"]) == (429, 1), answer


@with_retries
@pytest.mark.parametrize(
    ("limits", "code", "wait"),
    [({"max_parallel_requests": 1}, "max_parallel_requests", 1), ({"max_budget": 0.0001}, "budget_held", 2)],
    ids=["max_parallel_requests", "budget_held"],
)
def test_a_client_comes_back_when_it_was_told_to_and_is_answered(
    client: Client, limits: dict[str, Any], code: str, wait: int, running: Start, person: Users
) -> None:
    # A call of a second, which runs when the other one comes; that comes back until it has ended.
    model = ("claude" if speaks_as_anthropic(client) else "gpt") + "-chunks-10-gap-0.1-tokens-1-2"
    impatient, patient = person(**limits), person(**limits)
    refused = running(client).ask("patient", impatient.url, impatient.secret, model)
    assert (refused["error"]["class"], refused["error"]["code"]) == ("RateLimitError", code), refused
    answer = running(client).ask("patient", patient.url, patient.secret, model, retries=5)
    assert "seen" in answer, answer
    assert answer["gaps"]
    assert min(answer["gaps"]) >= wait


@with_errors(only=("OpenAI Python", "OpenAI Node", "Anthropic Python", "Anthropic Node"))
def test_a_stream_that_breaks_off_is_an_error_to_the_client(
    client: Client, running: Start, provider: ScriptedProvider, person: Users
) -> None:
    caller = person()
    do, vendor = ("stream messages", "claude") if speaks_as_anthropic(client) else ("stream", "gpt")
    answer = running(client).ask(do, caller.url, caller.secret, f"failing-{vendor}-cut-after-4")
    assert answer["error"]["class"].startswith("API"), answer
    assert answer["error"]["code"] == "provider_failed"
    assert len(provider.calls) == 1


@with_retries
def test_the_providers_word_on_when_to_come_back_is_passed_on(
    client: Client, running: Start, provider: ScriptedProvider, person: Users
) -> None:
    caller = person()
    (do, _), vendor = asked(client), "claude" if speaks_as_anthropic(client) else "gpt"
    error = running(client).ask(do, caller.url, caller.secret, f"failing-{vendor}-status-429")["error"]
    assert (error["class"], error["status"]) == ("RateLimitError", 429), error
    assert error["retry_after"] == RETRY_AFTER
    assert len(provider.calls) == 1


def test_vercels_sdk_asks_again_even_where_waiting_does_not_help(running: Start, person: Users) -> None:
    """As the README says; it reads no x-should-retry."""
    (vercel,) = [client for client in those_that_do("errors") if client.name == "Vercel AI SDK"]
    caller = person(max_budget=0)
    answer = running(vercel).ask("chat", caller.url, caller.secret, "gpt-4o-mini", retries=1)
    assert answer["requests"] == 2, answer
