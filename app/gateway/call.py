"""The call to one deployment, over a kept connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from app.errors import ProviderFailed
from app.gateway.asked import Asked
from app.gateway.offers import Offer
from app.gateway.patience import Patience
from app.gateway.running import Running
from app.http import Headers, Pool, Waits
from app.providers.base import Sent

# The largest honest answers, thousands of embeddings written out as numbers, have some 140 MB.
MOST_BODY_BYTES = 256 * 1024 * 1024
FIRST_REDIRECT, FIRST_ERROR = 300, 400
# What an output cap is called, where it is not max_tokens.
CAP_NAMES = {"responses": "max_output_tokens"}


class Upstream(Protocol):
    """An answer whose body has not been read yet. `chunks` gives bytes as they come."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]:
        """Raises ProviderFailed where the connection breaks, ProviderTimedOut where it falls silent."""

    def close(self) -> None:
        """Gives the connection back where the body was read to its end; drops it otherwise."""


@dataclass(slots=True)
class LocalAnswer:
    """An answer that a deployment of ours makes itself (mock_response)."""

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The body."""
        return iter(self.body)

    def close(self) -> None:
        """There is no connection."""


def whole_body(upstream: Upstream) -> bytes:
    """The body of an answer that is read to its end before anything of it is passed on.

    Raises ProviderTimedOut, and ProviderFailed also for one that would fill the memory.
    """
    pieces, size = [], 0
    for piece in upstream.chunks():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BODY_BYTES:
            raise ProviderFailed("The provider's answer is too large.")
    return b"".join(pieces)


def sent_to(asked: Asked, offer: Offer, stated_cap: int | None) -> Sent:
    """What the deployment gets: the client's own bytes, and the output cap that the gateway states, if any."""
    if stated_cap is None:
        return asked.sent
    name = CAP_NAMES.get(asked.route, "max_tokens")
    # OpenAI's newer models know only the newer name, and every other server knows at least the older one.
    if asked.route == "chat/completions" and (
        offer.provider.name == "azure" or (offer.provider.name == "openai" and offer.target.api_base is None)
    ):
        name = "max_completion_tokens"
    return replace(asked.sent, changes={**asked.sent.changes, name: stated_cap})


def send(pool: Pool, offer: Offer, sent: Sent, running: Running, waited: Patience) -> Upstream:
    """One request to one deployment. Raises ProviderFailed, ProviderTimedOut, BadRequest."""
    provider = offer.provider
    if provider.local:
        status, headers, pieces = provider.answer(offer.target, sent)
        return LocalAnswer(status, Headers.of(headers), pieces)
    outgoing = offer.format_of(sent.route).prepare(offer.target, sent)
    waits = Waits(connect=waited.connect, first=waited.first, idle=waited.idle, until=running.deadline)
    upstream = pool.post(outgoing.url, outgoing.headers, outgoing.body, waits, running)
    if FIRST_REDIRECT <= upstream.status < FIRST_ERROR:
        # Followed, it would take the key and the prompt to an address that no admin has named.
        upstream.close()
        raise ProviderFailed("The provider's address leads to another one, where calls do not go.")
    return upstream
