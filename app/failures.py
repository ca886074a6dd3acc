"""How a call to a provider can fail: the words by which retries, cooldowns and fallbacks tell failures apart."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """One kind of failure.

    BAD_REQUEST     the caller's own mistake: the same request fails everywhere
    CONTEXT_WINDOW  the request is too long for the model
    CONTENT_POLICY  the provider does not like what the request says
    NOT_HERE        the provider does not know what the request goes on from; another deployment may
    AUTHENTICATION  the provider does not take our key
    RATE_LIMIT      the provider has had enough of us for now
    TIMEOUT         nothing was said in time
    UNAVAILABLE     the provider is overloaded or being worked on
    INTERNAL        everything else: the provider is broken, or cannot be reached
    """

    BAD_REQUEST = "bad_request"
    CONTEXT_WINDOW = "context_window"
    CONTENT_POLICY = "content_policy"
    NOT_HERE = "not_here"
    AUTHENTICATION = "authentication"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    @property
    def is_the_callers(self) -> bool:
        """Whether the request itself is at fault, and no deployment for refusing it."""
        return self in {Failure.BAD_REQUEST, Failure.CONTEXT_WINDOW, Failure.CONTENT_POLICY, Failure.NOT_HERE}
