"""The call to the provider: over a kept connection, to the next deployment on failure."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from app.errors import ProviderFailed, ProviderTimedOut, TollgateError
from app.gateway.asked import Asked
from app.gateway.inflight import Running
from app.gateway.offers import Offer
from app.providers.base import Sent

CONNECT_TIMEOUT_SECONDS = 10.0
READ_BYTES = 65536
# Answers that another deployment may do better on; every other status is the caller's to see.
WORTH_ANOTHER = frozenset({408, 429, 500, 502, 503, 504, 529})
MOST_CONNECTIONS_PER_HOST = 1000
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


@dataclass(slots=True)
class HttpAnswer:
    """A provider's answer over HTTP."""

    response: urllib3.BaseHTTPResponse
    status: int
    headers: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come."""
        try:
            yield from self.response.stream(READ_BYTES, decode_content=True)
        except ReadTimeoutError as error:
            raise ProviderTimedOut("The provider stopped sending.") from error
        except (HTTPError, OSError) as error:
            raise ProviderFailed("The connection to the provider broke while it was answering.") from error

    def close(self) -> None:
        """An unread rest makes the connection useless, so it is closed rather than kept."""
        if not self.response.closed:
            self.response.close()
        self.response.release_conn()


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that gave no answer to pass on. `status` is the provider's, 0 where there was none."""

    offer: Offer
    status: int


@dataclass(slots=True)
class Answered:
    """The answer that the caller gets, the offer it came from, and the attempts before it."""

    upstream: Upstream
    offer: Offer
    failed: list[Failed]


class NoAnswer(Exception):
    """No deployment gave an answer: the attempts, and the error for the caller."""

    def __init__(self, failed: list[Failed], error: TollgateError) -> None:
        """`error` is what the caller sees."""
        super().__init__(error.message)
        self.failed = failed
        self.error = error


class ClientLeft(Exception):
    """The client has gone while the provider had not answered yet: the offer that was being asked, and those before."""

    def __init__(self, offer: Offer, failed: list[Failed]) -> None:
        """Whoever catches this books the call; there is nobody to answer."""
        super().__init__("the client has left")
        self.offer = offer
        self.failed = failed


class _Current(threading.local):
    """The call that this thread (a greenlet under gevent) is making."""

    running: Running | None = None


_current = _Current()


class _Http(HTTPConnection):
    """Tells the running call which connection it uses, so that it can be closed when the client leaves."""

    def request(self, *args: Any, **options: Any) -> None:
        if _current.running is not None:
            _current.running.connection = self
        super().request(*args, **options)


class _Https(_Http, HTTPSConnection):
    """As _Http, over TLS: everything else is HTTPSConnection's."""


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


def connections() -> urllib3.PoolManager:
    """Kept connections to providers: certificates checked, no proxies from the environment, no retries."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    manager = urllib3.PoolManager(
        num_pools=200, maxsize=MOST_CONNECTIONS_PER_HOST, block=False, retries=False, ssl_context=context
    )
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


def first_answer(
    pool: urllib3.PoolManager,
    offers: Sequence[Offer],
    asked: Asked,
    running: Running,
    *,
    stated_cap: int | None,
    timeout: float,
) -> Answered:
    """Tries the offers in order until one answers; `timeout` is the longest silence in seconds. Raises NoAnswer."""
    _current.running = running
    failed: list[Failed] = []
    error: TollgateError = ProviderFailed("No deployment of this model answered.")
    for number, offer in enumerate(offers, 1):
        try:
            upstream = _send(pool, offer, _sent(asked, offer, stated_cap), timeout)
        except ProviderFailed as failure:
            if running.left:
                raise ClientLeft(offer, failed) from failure
            failed.append(Failed(offer, 0))
            error = failure
            continue
        if upstream.status in WORTH_ANOTHER and number < len(offers):
            failed.append(Failed(offer, upstream.status))
            upstream.close()
            continue
        return Answered(upstream, offer, failed)
    raise NoAnswer(failed, error)


def _sent(asked: Asked, offer: Offer, stated_cap: int | None) -> Sent:
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


def _send(pool: urllib3.PoolManager, offer: Offer, sent: Sent, timeout: float) -> Upstream:
    """One request to one deployment. Raises ProviderFailed, ProviderTimedOut, BadRequest."""
    provider = offer.provider
    if provider.local:
        status, headers, pieces = provider.answer(offer.target, sent)
        return LocalAnswer(status, urllib3.HTTPHeaderDict(headers), pieces)
    outgoing = offer.format_of(sent.route).prepare(offer.target, sent)
    silence = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=offer.deployment.timeout or timeout)
    try:
        response = pool.urlopen(
            "POST",
            outgoing.url,
            body=outgoing.body,
            headers=outgoing.headers,
            timeout=silence,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    except (ConnectTimeoutError, NewConnectionError) as error:
        raise ProviderFailed("The provider cannot be reached.") from error
    except ReadTimeoutError as error:
        raise ProviderTimedOut("The provider did not answer in time.") from error
    except (HTTPError, OSError) as error:
        raise ProviderFailed("The connection to the provider broke before it answered.") from error
    return HttpAnswer(response, response.status, response.headers)
