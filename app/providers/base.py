"""What every provider can do: say where a call goes, and read usage from what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

# Tokens by kind: "input" and "output" are totals; "cache_read", "cache_write_5m", "cache_write_1h" and "audio_input"
# are parts of the one, "reasoning" and "audio_output" of the other. Kinds that the provider does not tell are left out.
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """Where one deployment lives, and the key that opens it."""

    model: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_version: str | None = None
    mock_response: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call as it goes to the provider, by POST. The headers hold the provider's key."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class StreamReader(Protocol):
    """Reads usage from a stream on its way to the client.

    counts: the provider's usage once it was seen; the last one wins
    finished: the stream's own end was seen; what comes after it is dropped
    text_bytes: UTF-8 bytes of output so far (text, refusals, reasoning, tool calls), for counting when no usage comes
    """

    counts: Counts | None
    finished: bool
    text_bytes: int

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces to pass on now, in order: whole events, as they came. The stream's end is a piece of its own."""
        ...

    def rest(self) -> bytes:
        """What is left when upstream ends in the middle of an event; to be asked for once, at the end."""
        ...


class WireFormat(Protocol):
    """How a provider's answers are read.

    Routes are "chat/completions", "completions" and "embeddings".
    """

    name: str
    routes: frozenset[str]

    def counts(self, route: str, answer: bytes) -> Counts | None:
        """The usage of a whole answer; None where it has none or cannot be read. No value is judged here."""
        ...

    def text_bytes(self, route: str, answer: bytes) -> int:
        """UTF-8 bytes of the output of a whole answer, for counting when there is no usage; 0 for an error."""
        ...

    def reader(self, route: str, usage_asked: bool) -> StreamReader:  # noqa: FBT001 - the client's own stream_options
        """A reader for one stream; it hides the usage event from a client that did not ask for one."""
        ...


class Provider(WireFormat, Protocol):
    """A provider that is called over HTTP."""

    local: Literal[False]

    def prepare(self, target: Target, route: str, body: dict[str, Any], incoming: Mapping[str, str]) -> Outgoing:
        """The call to make for a parsed request, whose `model` is already the provider's; `body` is left as it is.

        Streams are made to end with their usage. Of the client's headers only those that are the model's business pass.
        Raises ProviderFailed where the target lacks what the provider's addresses are made of.
        """
        ...


class LocalProvider(WireFormat, Protocol):
    """A provider that answers by itself, without a network."""

    local: Literal[True]

    def answer(self, target: Target, route: str, body: dict[str, Any]) -> tuple[int, dict[str, str], Iterable[bytes]]:
        """Status, headers and the body's pieces; with `stream` the pieces are events."""
        ...
