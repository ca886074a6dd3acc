"""Bedrock's errors, in the shapes that OpenAI's and Anthropic's clients read."""

from __future__ import annotations

from typing import Any

from app.providers import anthropic_errors

# AWS, "Amazon Bedrock Runtime: Errors", the names in lower case: in a stream they begin with a small letter.
STATUSES = {
    "accessdeniedexception": 403,
    "conflictexception": 400,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 400,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "validationexception": 400,
}
DAMAGED = {"message": "The stream of the provider is damaged."}


def chat_error(status: int, said: dict[str, Any], failure: str = "") -> dict[str, Any]:
    """An error in OpenAI's shape. `status` is 0 in a stream, where `failure` is all there is to go by."""
    failure = failure or _failure(said)
    kind = anthropic_errors.error_type(status or _status(failure))
    return {"error": {"message": _message(said, failure), "type": kind, "param": None, "code": failure or None}}


def anthropic_error(status: int, said: dict[str, Any], failure: str = "") -> dict[str, Any]:
    """An error in Anthropic's shape; as above."""
    failure = failure or _failure(said)
    return anthropic_errors.anthropic_error(status or _status(failure), _message(said, failure))


def _status(failure: str) -> int:
    return STATUSES.get(failure.lower(), 500)


def _failure(said: dict[str, Any]) -> str:
    """(`{"__type": "com.amazon.coral#ThrottlingException"}`) -> "ThrottlingException"; empty where none is told."""
    kind = said.get("__type")
    return kind.rpartition("#")[2] if isinstance(kind, str) else ""


def _message(said: dict[str, Any], failure: str) -> str:
    for name in ("message", "Message", "originalMessage"):
        if isinstance(message := said.get(name), str) and message:
            return message
    return f"Bedrock answered with {failure or 'an error'}."
