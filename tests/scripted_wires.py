"""Which wire format is spoken on which route of the scripted provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any, Protocol

from tests import scripted_answers, scripted_media, scripted_messages, scripted_responses
from tests.scripted_answers import Behaviour, Call, error_of, event


class Says(Protocol):
    """An answer: `streams` tells whether it comes as events, `type` is the content type of the whole one."""

    streams: bool
    type: str

    def whole(self) -> dict[str, Any] | bytes: ...

    def events(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """`error` is the body of an error status, `error_event` what a stream says before it breaks off."""

    answer: Callable[[Call, Behaviour], Says]
    error: Callable[[int], dict[str, Any]] = error_of
    error_event: Callable[[int], bytes] = lambda status: event(error_of(status))


OPENAI = Wire(scripted_answers.Answer)
MESSAGES = Wire(scripted_messages.Answer, scripted_messages.error_of, scripted_messages.error_event)
WIRES = {
    "chat/completions": OPENAI,
    "completions": OPENAI,
    "embeddings": OPENAI,
    "responses": Wire(scripted_responses.Answer, error_event=scripted_responses.error_event),
    "responses/compact": Wire(scripted_responses.Compaction),
    "responses/input_tokens": Wire(scripted_responses.InputTokens),
    "messages": MESSAGES,
    "messages/count_tokens": MESSAGES,
    "images/generations": Wire(scripted_media.Images),
    "images/edits": Wire(scripted_media.Images),
    "audio/speech": Wire(scripted_media.Speech),
    "audio/transcriptions": Wire(scripted_media.Transcription),
    "audio/translations": Wire(scripted_media.Transcription),
    "moderations": Wire(scripted_media.Moderation),
    "rerank": Wire(scripted_media.Rerank),
}
# The first bytes of the event that ends a stream.
LAST = (b"data: [DONE]", b"event: message_stop", b"event: response.completed")


def form_of(raw: bytes, content_type: str) -> dict[str, Any]:
    """The text fields of a form, without its files."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    fields: dict[str, Any] = {}
    for part in form.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes) and not part.get_filename():
            fields[name] = content.decode()
    return fields
