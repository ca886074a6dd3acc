"""OpenAI's chat/completions, served by a provider that speaks Anthropic's messages."""

from __future__ import annotations

from dataclasses import replace

from app.providers.base import JSON, Outgoing, Sent, StreamReader, Target, Whole, WireFormat
from app.providers.chat_over_messages_answer import completion, error_body
from app.providers.chat_over_messages_request import messages_request
from app.providers.chat_over_messages_stream import ChunkReader
from app.providers.openai_answers import parsed
from app.providers.translated import encoded

FIRST_ERROR_STATUS = 400


class ChatOverMessages:
    """Translates requests to messages, and answers, streams and errors back; usage is what the inner format reads.

    `inner` is a format of the route "messages": Anthropic's own, or another provider's whose bodies are the same.
    """

    def __init__(self, inner: WireFormat) -> None:
        """Both sides of the format are without state, so one object serves every call."""
        self._inner = inner
        self.streams = inner.streams

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for a field that Anthropic has no word for."""
        body, raw = encoded(lambda: messages_request(target.model, sent))
        return self._inner.prepare(target, replace(_inner(sent), raw=raw, body=body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. An answer that is no message stays as it is."""
        whole = self._inner.whole(_inner(sent), status, answer)
        message = parsed(whole.body)
        if status >= FIRST_ERROR_STATUS or message.get("type") == "error":
            return replace(whole, body=error_body(status, whole.body))
        if not isinstance(message.get("content"), list):
            return whole
        return replace(whole, body=completion(message, whole.counts))

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return ChunkReader(self._inner.reader(_inner(sent)), usage_asked=sent.usage_asked)


def _inner(sent: Sent) -> Sent:
    """The same call as one for messages, without a body."""
    return replace(sent, route="messages", raw=b"{}", body={}, content_type=JSON, changes={}, usage_asked=True)
