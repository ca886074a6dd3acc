"""Errors in Anthropic's shape."""

from __future__ import annotations

from typing import Any

# "Errors", HTTP errors.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FIRST_SERVER_STATUS = 500


def error_type(status: int) -> str:
    """Anthropic's word for a status."""
    return TYPES.get(status, "api_error" if status >= FIRST_SERVER_STATUS else "invalid_request_error")


def anthropic_error(status: int, message: str) -> dict[str, Any]:
    """The body of an error of this status: `{"type": "error", "error": {"type", "message"}}`."""
    return {"type": "error", "error": {"type": error_type(status), "message": message}}
