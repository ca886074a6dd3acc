"""Anthropic's models on Bedrock in their own format, by way of InvokeModel."""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

from app.providers import anthropic_answers, aws_events, bedrock_access
from app.providers.anthropic_betas import ON_BEDROCK, betas
from app.providers.base import EVENT_STREAM, Outgoing, Sent, StreamReader, Target, Whole
from app.providers.bedrock_errors import DAMAGED, anthropic_error
from app.providers.events import dumped, event_of
from app.providers.openai_answers import parsed
from app.providers.splice import spliced

VERSION = "bedrock-2023-05-31"
# The geography of an inference profile ("us.anthropic.claude-…").
GEOGRAPHY = re.compile(r"^[a-z-]+\.(?=anthropic\.)")


class BedrockMessages:
    """`POST …/model/{model}/invoke`: the client's body with a version in it, and without the model.

    A stream is Anthropic's own in frames of AWS's: the client gets the events that Anthropic would have sent.
    """

    streams = aws_events.EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        operation = "invoke-with-response-stream" if sent.stream else "invoke"
        return bedrock_access.call(target, operation, _body(sent))

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        message = parsed(answer)
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(dumped(anthropic_error(status, message)))
        usage = message.get("usage")
        counts, tier = anthropic_answers.usage_counts(usage), anthropic_answers.tier_of(usage)
        return Whole(answer, counts, tier, anthropic_answers.output_bytes(message))

    def reader(self, _sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return MessagesReader()


class BedrockTokenCount:
    """`POST …/model/{model}/count-tokens`, which takes a body of InvokeModel. It costs nothing."""

    streams = EVENT_STREAM

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        body = {"input": {"invokeModel": {"body": base64.b64encode(_body(sent, **_cap(sent.body))).decode()}}}
        # Tokens are counted by a model, and not by an inference profile of it.
        model = GEOGRAPHY.sub("", bedrock_access.model_of(target))
        return bedrock_access.call(target, "count-tokens", orjson.dumps(body), model)

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`. The count is the answer, and no usage."""
        said = parsed(answer)
        if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
            return Whole(dumped(anthropic_error(status, said)))
        return Whole(dumped({"input_tokens": said.get("inputTokens")}))

    def reader(self, _sent: Sent) -> StreamReader:
        """See `base.WireFormat`. A count has no stream; nothing ever comes this way."""
        return MessagesReader()


class MessagesReader(anthropic_answers.StreamReader):
    """Frames in, Anthropic's events out. See `base.StreamReader`.

    A failure in the stream becomes Anthropic's error event, and there is then no end.
    """

    __slots__ = ("_frames", "_over")

    def __init__(self) -> None:
        """Nothing has come yet."""
        super().__init__()
        self._frames = aws_events.FrameReader()
        # Whatever comes now is not passed on.
        self._over = False

    def feed(self, data: bytes) -> list[bytes]:
        """One piece for all events that this read completes, and one for the stream's end."""
        if self._over:
            return []
        events: list[bytes] = []
        for frame in self._frames.feed(data):
            events.append(self._event(frame))
            if self._over:
                break
        if self._frames.broken and not self._over:
            self._over = True
            events.append(_error(DAMAGED))
        return super().feed(b"".join(events))

    def rest(self) -> bytes:
        """Nothing: half a frame is no event."""
        return b""

    def _event(self, frame: aws_events.Frame) -> bytes:
        said = parsed(frame.payload)
        if frame.event is None:
            self._over = True
            return _error(said, frame.failure)
        given = said.get("bytes")
        try:
            data = base64.b64decode(given, validate=True) if isinstance(given, str) else b""
        except ValueError:
            self._over = True
            return _error(DAMAGED)
        event = parsed(data)
        kind = event.get("type")
        # Events have their kind for a name; one without it is none of Anthropic's.
        if not isinstance(kind, str) or not kind.isidentifier():
            return b""
        # Line ends between the members of an object would end the event.
        if b"\n" in data or b"\r" in data:
            data = dumped(event)
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _body(sent: Sent, **more: Any) -> bytes:
    """The client's own bytes but for what Bedrock has elsewhere: the model and the stream are in the address."""
    changes = {**sent.changes, "model": None, "stream": None, **more}
    if "anthropic_version" not in sent.body:
        changes["anthropic_version"] = VERSION
    if asked := betas(sent.headers, ON_BEDROCK):
        stated = sent.body.get("anthropic_beta")
        stated = stated if isinstance(stated, list) else []
        changes["anthropic_beta"] = [*stated, *(beta for beta in asked if beta not in stated)]
    return spliced(sent.raw, changes)


def _cap(body: Any) -> dict[str, int]:
    """A cap on output, which InvokeModel must have and those who count do not state: above the thinking's budget."""
    if "max_tokens" in body:
        return {}
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return {"max_tokens": budget + 1 if type(budget) is int else 1}


def _error(said: dict[str, Any], failure: str = "") -> bytes:
    return event_of(anthropic_error(0, said, failure), "error")
