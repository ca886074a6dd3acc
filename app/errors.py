"""Every error that Tollgate raises on purpose.

    TollgateError
    ├── BadRequest                 400  the request cannot be understood; `param` names the field
    │   ├── UnknownField           400  a field nobody reads; names the nearest real one
    │   ├── AlreadyInTeam          400
    │   └── WrongConfiguration     400  config.yaml, read again, is wrong; nothing was changed
    ├── NotAuthenticated           401  who are you?
    │   ├── ExpiredKey             401
    │   └── BlockedKey             401
    ├── NotAllowed                 403  this caller may not do that
    │   ├── ModelNotAllowed        403
    │   ├── RouteNotAllowed        403  the key's allowed_routes do not have it
    │   ├── BlockedCustomer        403
    │   └── UnpricedModel          403  a budget cannot be kept on a model without a price
    ├── NotFound                   404
    │   └── NotServed              404  the model has no such route
    ├── Conflict                   409  the name is taken
    ├── TooLarge                   413
    ├── LimitReached               429  a limit or a budget; nothing was taken from any of them
    │   ├── BudgetExceeded         429  settled spend has reached the budget
    │   ├── BudgetHeld             429  the money left is held by calls in flight
    │   ├── BudgetTooSmall         429  a strict budget cannot cover the stated output cap
    │   ├── RequestRateReached     429  as many requests in the last minute as may be
    │   ├── TokenRateReached       429  the call's tokens do not fit into the minute
    │   ├── ParallelLimitReached   429
    │   └── DeploymentsFull        429  no deployment of the model has room
    ├── ProviderBusy               429  the providers have named the moment from which on they may be asked again
    ├── ProviderFailed             502  no deployment gave an answer
    │   └── ProviderTimedOut       504
    └── Unavailable                503  a part of ours is down; Retry-After says when to try again
        ├── LimitsUnavailable      503  Redis
        └── DatabaseUnavailable    503  SQL
    SettingsError                  the configuration is wrong; stops the start

Each error carries the HTTP status, the `type` and the `code` that clients see.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar


class TollgateError(Exception):
    """An error with an HTTP answer in OpenAI's shape."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """`message` is for people; `param` is the field of the request that is at fault."""
        super().__init__(message)
        self.message = message
        self.param = param
        # Of a model call that got as far as its limits: how those on requests and tokens stand, as headers.
        self.rates: dict[str, str] = {}

    def details(self) -> dict[str, Any]:
        """Fields that stand in the error beside message, type, param and code."""
        return {}

    def headers(self) -> dict[str, str]:
        """Headers that go with the answer."""
        return {}

    def body(self) -> dict[str, Any]:
        """The answer: `{"error": {"message", "type", "param", "code", ...}}`."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error | self.details()}


class BadRequest(TollgateError):
    """The request cannot be understood."""

    status = 400
    type = "invalid_request_error"
    code = "bad_request"


class UnknownField(BadRequest):
    """A field that nobody reads: a limit must never be ignored silently."""

    code = "unknown_field"


class AlreadyInTeam(BadRequest):
    """The user is a member of the team already. LiteLLM's clients expect 400 and this type."""

    type = "team_member_already_in_team"
    code = "team_member_already_in_team"


class WrongConfiguration(BadRequest):
    """The config.yaml of the host that was asked is wrong, so that everything goes on as before."""

    code = "wrong_configuration"

    def __init__(self, problems: list[str]) -> None:
        """`problems` are lines that name their path, and show no secret."""
        super().__init__("Nothing was changed. " + "; ".join(problems), param="config.yaml")
        self.problems = problems

    def details(self) -> dict[str, Any]:
        """The problems, one by one."""
        return {"problems": self.problems}


class NotAuthenticated(TollgateError):
    """The caller did not prove who they are."""

    status = 401
    type = "auth_error"
    code = "invalid_api_key"

    def headers(self) -> dict[str, str]:
        """RFC 9110, section 11.6.1: a 401 says how to authenticate."""
        return {"WWW-Authenticate": 'Bearer realm="tollgate"'}


class ExpiredKey(NotAuthenticated):
    """The virtual key was good once."""

    type = "expired_key"
    code = "expired_key"


class BlockedKey(NotAuthenticated):
    """The virtual key is blocked by hand."""

    code = "blocked_key"


class NotAllowed(TollgateError):
    """The caller is known and may not do this."""

    status = 403
    type = "permission_error"
    code = "not_allowed"


class ModelNotAllowed(NotAllowed):
    """The model is on none of the caller's lists, or does not exist."""

    type = "key_model_access_denied"
    code = "model_not_allowed"


class RouteNotAllowed(NotAllowed):
    """The key's allowed_routes or its key_type do not have the route."""

    type = "key_route_access_denied"
    code = "route_not_allowed"


class BlockedCustomer(NotAllowed):
    """The customer whom the call names is blocked by hand."""

    code = "blocked_customer"


class UnpricedModel(NotAllowed):
    """A caller with a budget asked for a model whose price is not known."""

    type = "unpriced_model"
    code = "unpriced_model"


class NotFound(TollgateError):
    """There is no such thing."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class NotServed(NotFound):
    """The model exists, and none of its deployments has the route."""

    code = "route_not_served"


class Conflict(TollgateError):
    """The name is taken."""

    status = 409
    type = "conflict"
    code = "conflict"


class TooLarge(TollgateError):
    """The body is larger than the gateway reads."""

    status = 413
    type = "invalid_request_error"
    code = "body_too_large"


class LimitReached(TollgateError):
    """A limit refused the call. A refused call takes nothing from any limit."""

    status = 429
    type = "throttling_error"
    code = "limit_reached"

    def __init__(
        self,
        message: str,
        *,
        scope: str,
        limit: float,
        current: float,
        resets_at: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`scope` is the meter ("user:ada"); money is in dollars; `resets_at` is ISO 8601.

        `retry_after` is in seconds, or None where waiting does not help.
        """
        super().__init__(message)
        self.scope = scope
        self.limit = limit
        self.current = current
        self.resets_at = resets_at
        self.retry_after = retry_after

    def details(self) -> dict[str, Any]:
        """Which limit it was, where it stands and when it opens again."""
        return {
            "scope": self.scope,
            "limit": self.limit,
            "current": self.current,
            "resets_at": self.resets_at,
        }

    def headers(self) -> dict[str, str]:
        """Retry-After (RFC 9110, section 10.2.3), or word to the SDKs that retrying is no use.

        `x-should-retry` is read by OpenAI's and Anthropic's clients.
        """
        if self.retry_after is None:
            return {"x-should-retry": "false"}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class BudgetExceeded(LimitReached):
    """Settled spend has reached the budget."""

    type = "budget_exceeded"
    code = "budget_exceeded"


class BudgetHeld(LimitReached):
    """The money that is left is held by calls in flight; it may come back."""

    type = "budget_held"
    code = "budget_held"


class BudgetTooSmall(LimitReached):
    """A strict budget has money left, but not enough for the output cap that the call states."""

    type = "budget_exceeded"
    code = "budget_too_small"


class RequestRateReached(LimitReached):
    """As many requests were made in the last 60 seconds as may be."""

    code = "rpm_limit"


class TokenRateReached(LimitReached):
    """The call's tokens do not fit into what the last 60 seconds have left, or into any minute at all."""

    code = "tpm_limit"


class ParallelLimitReached(LimitReached):
    """All parallel slots are taken."""

    code = "max_parallel_requests"


class DeploymentsFull(LimitReached):
    """No deployment of the model has room: calls at a time, requests or tokens per minute."""

    code = "deployment_limit"


class ProviderBusy(TollgateError):
    """Every deployment of the model was refused by its provider a moment ago, with the moment to come back at."""

    status = 429
    type = "provider_error"
    code = "provider_rate_limit"

    def __init__(self, message: str, *, retry_after: float) -> None:
        """`retry_after` is seconds, as the providers have said."""
        super().__init__(message)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Retry-After (RFC 9110, section 10.2.3)."""
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class ProviderFailed(TollgateError):
    """No deployment gave an answer."""

    status = 502
    type = "provider_error"
    code = "provider_failed"


class ProviderTimedOut(ProviderFailed):
    """The provider accepted the call and then said nothing in time."""

    status = 504
    code = "provider_timeout"


class Unavailable(TollgateError):
    """A part of ours is down. Nothing is wrong with the request or the key."""

    status = 503
    type = "service_unavailable"
    code = "unavailable"
    retry_after: ClassVar[int] = 2

    def headers(self) -> dict[str, str]:
        """When to try again, in seconds."""
        return {"Retry-After": str(self.retry_after)}


class LimitsUnavailable(Unavailable):
    """Redis did not answer, so no limit can be checked."""

    code = "limits_unavailable"


class DatabaseUnavailable(Unavailable):
    """SQL did not answer."""

    code = "database_unavailable"


class SettingsError(Exception):
    """The configuration is wrong. `problems` holds one line each: path, value, what was expected."""

    def __init__(self, problems: list[str]) -> None:
        """Each problem is one line for the person who starts the gateway."""
        super().__init__("\n".join(problems))
        self.problems = problems
