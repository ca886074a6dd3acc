"""What a provider's error means, whatever its wire format: whose fault it is, and whether another try may do better."""

from __future__ import annotations

from typing import Any

import orjson

from app.failures import Failure

# What stands in error.code, error.type or error.status of those who have a word for it: OpenAI ("Error codes"), Azure
# OpenAI ("Content filtering"), Groq, Mistral, Together, vLLM.
CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "context_window_exceeded"})
POLICY_CODES = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked"}
)
# What one organization or resource keeps, or has encrypted, no other knows: OpenAI ("Conversation state", "Reasoning").
ELSEWHERE_CODES = frozenset({"previous_response_not_found", "invalid_encrypted_content"})
# What only the message says, in lower case. Anthropic ("Errors"; 400 invalid_request_error), Gemini (400
# INVALID_ARGUMENT), Bedrock (ValidationException), Cohere, vLLM, OpenRouter.
CONTEXT_TEXTS = (
    "prompt is too long",
    "input is too long",
    "input length and `max_tokens` exceed context limit",
    "maximum context length",
    "exceeds the maximum number of tokens",
    "exceeds the model's maximum context",
    "context window",
    "too many tokens",
)
POLICY_TEXTS = (
    "content management policy",
    "content policy",
    "content filtering policy",
    "rejected as a result of our safety system",
    "output blocked by content",
)
# "Too large for our rate limit" is the request's fault, although OpenAI and Groq answer 429: no wait makes it fit.
TOO_LARGE_TEXT = "request too large"
CALLERS = frozenset({400, 413, 422})
BY_STATUS = {
    401: Failure.AUTHENTICATION,
    402: Failure.AUTHENTICATION,
    403: Failure.AUTHENTICATION,
    408: Failure.TIMEOUT,
    503: Failure.UNAVAILABLE,
    504: Failure.TIMEOUT,
    529: Failure.UNAVAILABLE,
}
TOO_MANY, FIRST_OF_THE_PROVIDER = 429, 500


def classify(status: int, body: bytes) -> Failure:
    """What an answer with an error's status (400 and above) says; `body` as the provider sent it."""
    words, text = _said(body)
    if status < FIRST_OF_THE_PROVIDER and words & ELSEWHERE_CODES:
        return Failure.NOT_HERE
    if status in CALLERS or status == TOO_MANY:
        if words & POLICY_CODES or (status != TOO_MANY and any(part in text for part in POLICY_TEXTS)):
            return Failure.CONTENT_POLICY
        if words & CONTEXT_CODES or (status != TOO_MANY and any(part in text for part in CONTEXT_TEXTS)):
            return Failure.CONTEXT_WINDOW
    if status == TOO_MANY:
        return Failure.BAD_REQUEST if TOO_LARGE_TEXT in text else Failure.RATE_LIMIT
    if status >= FIRST_OF_THE_PROVIDER:
        return BY_STATUS.get(status, Failure.INTERNAL)
    return BY_STATUS.get(status, Failure.BAD_REQUEST)


def _said(body: bytes) -> tuple[frozenset[str], str]:
    """The words of the error (code, type, status, and those of an inner error), and its message; all in lower case."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return frozenset(), ""
    if isinstance(answer, list) and answer:
        # Gemini's streams answer with a list of one error.
        answer = answer[0]
    if not isinstance(answer, dict):
        return frozenset(), ""
    error = answer.get("error", answer)
    if not isinstance(error, dict):
        return frozenset(), str(error).lower()
    inner = error.get("innererror") or error.get("inner_error")
    parts: list[dict[str, Any]] = [error, inner] if isinstance(inner, dict) else [error]
    words = (part.get(name) for part in parts for name in ("code", "type", "status"))
    message = error.get("message", "")
    return frozenset(str(word).lower() for word in words if word), str(message).lower()
