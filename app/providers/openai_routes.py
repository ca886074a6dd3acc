"""OpenAI's routes beside the text routes: what they have in common on the way to the provider."""

from __future__ import annotations

from abc import ABC, abstractmethod

from app.providers import form
from app.providers.base import EVENT_STREAM, Outgoing, Sent, StreamReader, Target, Whole
from app.providers.openai import FIRST_ERROR_STATUS, Endpoint, request_headers
from app.providers.splice import spliced


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
        if form.is_form(sent.content_type):
            headers["Content-Type"] = sent.content_type
            body = form.spliced(sent.raw, sent.content_type, {**sent.changes, "model": target.model})
        else:
            body = spliced(sent.raw, {**sent.changes, "model": target.model}, sent.body)
        return Outgoing(self._endpoint.url(target, self._route), headers, body)

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
