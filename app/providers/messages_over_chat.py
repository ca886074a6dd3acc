"""Anthropic's messages, served by a provider that speaks OpenAI's chat/completions."""

from __future__ import annotations

from dataclasses import replace

from app.providers.anthropic_errors import anthropic_error
from app.providers.base import JSON, Outgoing, Sent, StreamReader, Target, Whole, WireFormat
from app.providers.chat_over_messages_answer import error_message
from app.providers.events import dumped
from app.providers.messages_over_chat_answer import message
from app.providers.messages_over_chat_request import chat_request
from app.providers.messages_over_chat_stream import MessageReader
from app.providers.openai_answers import parsed
from app.providers.translated import encoded

FIRST_ERROR_STATUS = 400
# Whose models are OpenAI's own.
OPENAIS = ("openai", "azure")


class MessagesOverChat:
    """Translates requests to a chat, and answers, streams and errors back; usage is what the inner format reads.

    `inner` is a format of the route "chat/completions". There is nothing like "messages/count_tokens" behind it.
    """

    def __init__(self, inner: WireFormat, vendor: str) -> None:
        """`vendor` is whose models these are; some want to be asked differently."""
        self._inner = inner
        self._vendor = vendor
        self.streams = inner.streams

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for what OpenAI has no word for.

        OpenAI's newer models know only the newer name of the cap, and every other server knows at least the older one.
        """
        newer = self._vendor == "azure" or (self._vendor == "openai" and target.api_base is None)
        cap = "max_completion_tokens" if newer else "max_tokens"
        body, raw = encoded(lambda: chat_request(sent, cap=cap, reasoning=self._vendor not in OPENAIS))
        return self._inner.prepare(target, replace(_inner(sent), raw=raw, body=body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. An answer that is no completion stays as it is."""
        whole = self._inner.whole(_inner(sent), status, answer)
        completion = parsed(whole.body)
        if status >= FIRST_ERROR_STATUS or completion.get("error"):
            return replace(whole, body=dumped(anthropic_error(status, error_message(status, whole.body))))
        choices = completion.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return whole
        return replace(whole, body=message(completion, choices[0], whole.counts))

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return MessageReader(self._inner.reader(_inner(sent)))


def _inner(sent: Sent) -> Sent:
    """The same call as one for a chat, without a body. Its usage is asked for: Anthropic's clients always get it."""
    return replace(sent, route="chat/completions", raw=b"{}", body={}, content_type=JSON, changes={}, usage_asked=True)
