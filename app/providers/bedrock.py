"""AWS Bedrock: every chat model by way of the Converse API, Anthropic's in their own format too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import orjson

from app.providers import aws_events, bedrock_access
from app.providers.base import Outgoing, Sent, StreamReader, Target, Whole, WireFormat
from app.providers.bedrock_embeddings import BedrockEmbeddings
from app.providers.bedrock_messages import BedrockMessages, BedrockTokenCount
from app.providers.converse_answers import whole_chat
from app.providers.converse_request import converse_body
from app.providers.converse_stream import ChatReader
from app.providers.messages_over_chat import MessagesOverChat


class Converse:
    """`POST …/model/{model}/converse`: chat/completions, translated both ways, the same for every model."""

    streams = aws_events.EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`. Raises BadRequest for what Converse has no words for."""
        asked = {name: value for name, value in {**sent.body, **sent.changes}.items() if value is not None}
        body = converse_body(asked, bedrock_access.model_of(target))
        return bedrock_access.call(target, "converse-stream" if sent.stream else "converse", orjson.dumps(body))

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        return whole_chat(sent, status, answer)

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return ChatReader(sent)


class Bedrock:
    """Any model on Bedrock. Its name is Bedrock's own, an inference profile's, or an ARN."""

    name = "bedrock"
    local: Literal[False] = False
    formats: Mapping[str, WireFormat] = {
        "chat/completions": Converse(),
        "messages": MessagesOverChat(Converse(), name),
        "embeddings": BedrockEmbeddings(),
    }


class BedrockClaude:
    """Anthropic's models on Bedrock, which speak their own language too."""

    name = "bedrock"
    local: Literal[False] = False
    formats: Mapping[str, WireFormat] = {
        "chat/completions": Converse(),
        "messages": BedrockMessages(),
        "messages/count_tokens": BedrockTokenCount(),
    }
