"""The call to one deployment, over a kept connection."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from app.errors import ProviderFailed, ProviderTimedOut
from app.gateway.asked import Asked
from app.gateway.offers import Offer
from app.gateway.patience import Patience
from app.gateway.running import Running
from app.providers.base import Sent

READ_BYTES = 65536
# A socket takes 0 for "do not wait at all".
SHORTEST_WAIT = 0.001
TOO_LONG = "The provider's answer took longer than it may."
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
    """A provider's answer over HTTP, whose first piece must come by `first` (time.monotonic()).

    `idle` is the longest silence after it, seconds.
    """

    response: urllib3.BaseHTTPResponse
    status: int
    headers: Mapping[str, str]
    running: Running
    first: float
    idle: float

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come."""
        try:
            self._wait_at_most(max(SHORTEST_WAIT, self.first - time.monotonic()))
            for chunk in self.response.stream(READ_BYTES, decode_content=True):
                yield chunk
                self._wait_at_most(self.idle)
        except ReadTimeoutError as error:
            raise ProviderTimedOut("The provider stopped sending.") from error
        except (HTTPError, OSError) as error:
            if self.running.cut:
                raise ProviderTimedOut(TOO_LONG) from error
            raise ProviderFailed("The connection to the provider broke while it was answering.") from error
        if self.running.cut:
            # Where the provider states no length, a connection that we have closed looks like the end of the answer.
            raise ProviderTimedOut(TOO_LONG)

    def _wait_at_most(self, seconds: float) -> None:
        connection = self.running.connection
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(seconds)

    def close(self) -> None:
        """An unread rest makes the connection useless, so it is closed rather than kept."""
        if not self.response.closed:
            self.response.close()
        self.response.release_conn()


class _Current(threading.local):
    """The call that this thread (a greenlet under gevent) is making."""

    running: Running | None = None


_current = _Current()


class _Http(HTTPConnection):
    """Tells the running call which connection it uses, so that it can be closed when the client leaves."""

    _user: Running | None = None

    def request(self, *args: Any, **options: Any) -> None:
        self._user = _current.running
        if self._user is not None:
            self._user.connection = self
        super().request(*args, **options)

    def let_go(self) -> None:
        """It is kept for other calls: the one that has used it must not close it any more."""
        user, self._user = self._user, None
        if user is not None and user.connection is self:
            user.connection = None


class _Https(_Http, HTTPSConnection):
    """As _Http, over TLS: everything else is HTTPSConnection's."""


class _HttpPool(urllib3.HTTPConnectionPool):
    """Its connections are let go as soon as the last byte has come, which may be long before the call is over."""

    ConnectionCls = _Http

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.let_go()
        super()._put_conn(conn)


class _HttpsPool(_HttpPool, urllib3.HTTPSConnectionPool):
    """As _HttpPool, over TLS."""

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


def send(pool: urllib3.PoolManager, offer: Offer, sent: Sent, running: Running, waited: Patience) -> Upstream:
    """One request to one deployment. Raises ProviderFailed, ProviderTimedOut, BadRequest."""
    provider = offer.provider
    if provider.local:
        status, headers, pieces = provider.answer(offer.target, sent)
        return LocalAnswer(status, urllib3.HTTPHeaderDict(headers), pieces)
    outgoing = offer.format_of(sent.route).prepare(offer.target, sent)
    began = time.monotonic()
    _current.running = running
    try:
        response = pool.urlopen(
            "POST",
            outgoing.url,
            body=outgoing.body,
            headers=outgoing.headers,
            timeout=urllib3.Timeout(connect=waited.connect, read=waited.first),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    except (ConnectTimeoutError, NewConnectionError) as error:
        raise ProviderFailed("The provider cannot be reached.") from error
    except ReadTimeoutError as error:
        raise ProviderTimedOut("The provider did not answer in time.") from error
    except (HTTPError, OSError) as error:
        if running.cut:
            raise ProviderTimedOut(TOO_LONG) from error
        raise ProviderFailed("The connection to the provider broke before it answered.") from error
    return HttpAnswer(response, response.status, response.headers, running, began + waited.first, waited.idle)
