"""OpenAI's routes that cost nothing: moderations, and counting the tokens of a response."""

from __future__ import annotations

from app.providers.base import Sent, StreamReader, Whole
from app.providers.openai_answers import StreamReader as ChatReader
from app.providers.openai_answers import parsed
from app.providers.openai_routes import RouteFormat


class FreeFormat(RouteFormat):
    """A route without usage, for which nothing is charged (guides "Moderation" and "Counting tokens")."""

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. Nothing was used."""
        return Whole(answer, None if self.is_error(status) or not parsed(answer) else {})

    def reader(self, _sent: Sent) -> StreamReader:
        """See `base.WireFormat`. There are no streams; should a server have them, they pass."""
        return ChatReader(usage_asked=True)
