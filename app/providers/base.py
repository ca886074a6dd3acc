"""What every provider can do: say where a call goes, and read usage from what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

# Amounts by kind, by the names of `ledger.usage.KINDS`: "input" and "output" are totals of tokens, most others are
# parts of them, and some ("images", "characters") are no tokens at all. What the provider does not tell is left out.
Counts = dict[str, int]


class Counted(Counts):
    """Counts of our own, where the provider has none to tell: from the request, and from what came back."""


JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Target:
    """Where one deployment lives, and what opens it.

    `options` are the parameters that only some providers have, by their names in config.yaml ("aws_region_name").
    """

    model: str
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_version: str | None = None
    mock_response: str | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Sent:
    """A request as the client has sent it, and what the gateway has to change in it.

    `route` is like "chat/completions" or "messages". `raw` is the body byte for byte, `body` the same parsed: it is
    read and never written to; of a form it has the text fields. `changes` are members of the body's top level that the
    gateway sets, or takes out where the value is None; the model is not among them. `headers` are the client's, found
    by name in any case. `content_type` is that of `raw`. `usage_asked`: the client wants usage in its stream.
    """

    route: str
    raw: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content_type: str = JSON
    changes: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    usage_asked: bool = False


@dataclass(slots=True)
class Outgoing:
    """A call as it goes to the provider, by POST. The headers hold the provider's key."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Told(Protocol):
    """What an answer tells of what it took.

    `counts` is the usage as the provider tells it (None: it has none or cannot be read; no value is judged here).
    `tier` is the provider's word for the way it was served where that has a price of its own ("flex", "priority",
    "fast"), else None. `text_bytes` are UTF-8 bytes of output, for counting when there is no usage; 0 for an error.
    """

    @property
    def counts(self) -> Counts | None: ...  # noqa: D102 - said above
    @property
    def tier(self) -> str | None: ...  # noqa: D102
    @property
    def text_bytes(self) -> int: ...  # noqa: D102


@dataclass(slots=True)
class Whole:
    """An answer that was read to its end.

    `body` is what the client gets, in the client's own wire format (where that is the provider's: the very bytes).
    The rest as in `Told`.
    """

    body: bytes = field(repr=False)
    counts: Counts | None = None
    tier: str | None = None
    text_bytes: int = 0


class StreamReader(Protocol):
    """Reads usage from a stream on its way to the client. Nothing that a provider sends makes it raise.

    counts, tier: as in `Whole`; the last that was told
    finished: the stream's own end was seen; what comes after it is dropped
    text_bytes: UTF-8 bytes of output so far (text, refusals, reasoning, tool calls)
    """

    counts: Counts | None
    tier: str | None
    finished: bool
    text_bytes: int

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces to pass on now, in order: whole events, as they came. The stream's end is a piece of its own."""
        ...

    def rest(self) -> bytes:
        """What is left when upstream ends in the middle of an event; to be asked for once, at the end."""
        ...


class WireFormat(Protocol):
    """One route at one provider: how a request goes there, and how its answers are read.

    `streams` is the content type by which the provider marks a stream, mostly "text/event-stream".
    """

    streams: str

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """The call to make. Streams are made to end with their usage.

        Of the client's headers only those that are the model's business pass. Raises ProviderFailed where the target
        lacks what the provider's addresses are made of, BadRequest for what cannot be said in the provider's words.
        """
        ...

    def whole(self, sent: Sent, status: int, answer: bytes) -> Whole:
        """Reads a whole answer, also an error's (status 400 and above), which then has neither counts nor text."""
        ...

    def reader(self, sent: Sent) -> StreamReader:
        """A reader for one stream; it hides usage from a client that did not ask for it."""
        ...


class Provider(Protocol):
    """A provider that is called over HTTP. `formats` are the routes that it serves, its own or by translation."""

    name: str
    local: Literal[False]
    formats: Mapping[str, WireFormat]


class LocalProvider(Protocol):
    """A provider that answers by itself, without a network."""

    name: str
    local: Literal[True]
    formats: Mapping[str, WireFormat]

    def answer(self, target: Target, sent: Sent) -> tuple[int, dict[str, str], Iterable[bytes]]:
        """Status, headers and the body's pieces; with `stream` the pieces are events."""
        ...
