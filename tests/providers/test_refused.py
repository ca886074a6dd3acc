"""Whose fault an error is: the bodies are those of the vendors' documentation and of what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.failures import Failure
from app.providers.refused import classify


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": "messages", "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


TOO_LONG = [
    openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
    openai("Please reduce the length of the messages.", "context_length_exceeded"),
    anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    anthropic(
        "invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000, decrease"
    ),
    {
        "error": {
            "code": 400,
            "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "status": "INVALID_ARGUMENT",
        }
    },
    {"message": "Input is too long for requested model."},
    {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
]
DISLIKED = [
    openai("The response was filtered due to Azure OpenAI's content management policy.", "content_filter"),
    openai("Your request was rejected as a result of our safety system.", "content_policy_violation"),
    openai("Blocked.", "moderation_blocked"),
    {"error": {"code": "bad", "message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    anthropic("invalid_request_error", "Output blocked by content filtering policy"),
]


def said(status: int, body: Any) -> Failure:
    return classify(status, json.dumps(body).encode())


@pytest.mark.parametrize("body", TOO_LONG)
def test_a_request_that_is_too_long_for_the_model_is_known_as_such(body: dict[str, Any]) -> None:
    assert said(400, body) is Failure.CONTEXT_WINDOW


@pytest.mark.parametrize("body", DISLIKED)
def test_a_request_that_the_provider_does_not_like_is_known_as_such(body: dict[str, Any]) -> None:
    assert said(400, body) is Failure.CONTENT_POLICY


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 415, 422])
def test_any_other_error_about_the_request_is_the_callers_own(status: int) -> None:
    assert said(status, openai("Unknown parameter: 'foo'.")) is Failure.BAD_REQUEST


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, Failure.AUTHENTICATION),
        (402, Failure.AUTHENTICATION),
        (403, Failure.AUTHENTICATION),
        (408, Failure.TIMEOUT),
        (429, Failure.RATE_LIMIT),
        (500, Failure.INTERNAL),
        (502, Failure.INTERNAL),
        (503, Failure.UNAVAILABLE),
        (504, Failure.TIMEOUT),
        (529, Failure.UNAVAILABLE),
    ],
)
def test_other_statuses_say_what_they_mean(status: int, failure: Failure) -> None:
    assert said(status, openai("no")) is failure


def test_a_request_that_no_minute_has_room_for_is_the_callers_own() -> None:
    text = "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 41200."
    assert said(429, openai(text, "rate_limit_exceeded", "tokens")) is Failure.BAD_REQUEST


def test_an_exhausted_quota_is_a_rate_limit() -> None:
    body = openai("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")
    assert said(429, body) is Failure.RATE_LIMIT


def test_a_list_with_one_error_is_read_as_that_error() -> None:
    assert said(400, [openai("long", "context_length_exceeded")]) is Failure.CONTEXT_WINDOW


def test_words_about_the_context_in_a_server_error_do_not_make_it_the_callers() -> None:
    assert said(500, openai("context window worker crashed")) is Failure.INTERNAL


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "innererror"]), inner),
)


@given(st.integers(400, 599), JSON)
def test_whatever_an_error_says_it_is_of_some_kind(status: int, body: Any) -> None:
    assert said(status, body) in Failure


@given(st.integers(400, 599), st.binary())
def test_an_error_that_is_not_json_is_of_some_kind(status: int, body: bytes) -> None:
    assert classify(status, body) in Failure
