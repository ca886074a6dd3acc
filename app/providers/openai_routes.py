"""OpenAI's routes: what they have in common on the way to the provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from app.providers import form
from app.providers.base import EVENT_STREAM, Outgoing, Sent, StreamReader, Target, Whole
from app.providers.splice import spliced

# The client's headers that change what the model does. Everything else, its credentials first of all, stays here.
PASSED_HEADERS = frozenset({"openai-beta"})
FIRST_ERROR_STATUS = 400


class Endpoint(Protocol):
    """Where a vendor's routes are, and how it is shown a key."""

    def url(self, target: Target, route: str) -> str:
        """The address of a route. Raises ProviderFailed where the target lacks what it is made of."""
        ...

    def credentials(self, target: Target) -> dict[str, str]:
        """The headers that hold the key."""
        ...


class RouteFormat(ABC):
    """A route whose requests go out as they came, JSON or form, but for the model."""

    streams = EVENT_STREAM

    def __init__(self, endpoint: Endpoint, route: str) -> None:
        """`route` is also the end of its address."""
        self._endpoint = endpoint
        self._route = route

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        headers = request_headers(sent.headers) | self._endpoint.credentials(target)
        changes = {**self._changes(sent), "model": target.model}
        if form.is_form(sent.content_type):
            headers["Content-Type"] = sent.content_type
            body = form.spliced(sent.raw, sent.content_type, changes)
        else:
            body = spliced(sent.raw, changes, sent.body)
        return Outgoing(self._endpoint.url(target, self._route), headers, body)

    def _changes(self, sent: Sent) -> Mapping[str, Any]:
        """What of the body is changed beside the model."""
        return sent.changes

    @abstractmethod
    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""

    @abstractmethod
    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""

    @staticmethod
    def is_error(status: int) -> bool:
        """An error has neither usage nor output."""
        return status >= FIRST_ERROR_STATUS


def request_headers(incoming: Mapping[str, str]) -> dict[str, str]:
    """The headers of a call, but for its credentials.

    The answer is asked for uncompressed, because usage is read from it as it comes.
    """
    passed = {name: value for name in PASSED_HEADERS if (value := incoming.get(name)) is not None}
    return passed | {"Content-Type": "application/json", "Accept-Encoding": "identity"}
