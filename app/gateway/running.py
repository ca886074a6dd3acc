"""One call that runs: what it holds, who waits for it, and how it is let go."""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from dataclasses import dataclass, field

from app.errors import LimitsUnavailable
from app.http import Connection
from app.ledger.event import CallEvent
from app.limits import places
from app.limits.meters import Meter, Tokens
from app.limits.places import Place

# The state of a connection whose other side has closed it (Linux, tcp_states.h).
CLOSE_WAIT, CLOSED = 8, 7


@dataclass(frozen=True, slots=True)
class Leaving:
    """A place that is given back, with the tokens that were used and how long the answer took to begin (ms, if told).

    That there ever was such a place need not be certain.
    """

    place: Place
    tokens: int = 0
    began_ms: int | None = None

    def tell(self) -> None:
        """May be repeated. Raises LimitsUnavailable."""
        places.leave(self.place, self.tokens, self.began_ms)


@dataclass(slots=True, eq=False)
class Running:
    """One admitted call, reckoned with `tokens`; `since` is on the clock of time.monotonic().

    `client` is the caller's socket where it is known, `connection` the provider's while in use. `left` says that the
    client has gone, and that the connection was closed because of it. `place` is what it has at a deployment, where
    that counts, and `began_ms` how long its answer took to begin. It is `cut` off when `deadline` has passed (on the
    clock of time.monotonic()). `unleft` are places that Redis has not taken back yet.
    """

    event: CallEvent
    meters: tuple[Meter, ...]
    tokens: Tokens
    client: socket.socket | None
    since: float = field(default_factory=time.monotonic)
    connection: Connection | None = None
    left: bool = False
    place: Place | None = None
    began_ms: int | None = None
    deadline: float = math.inf
    cut: bool = False
    unleft: deque[Leaving] = field(default_factory=deque)

    def leave(self) -> None:
        """The client has gone: whoever waits for the provider gets an error at once."""
        self.left = True
        self._close()

    def cut_off(self) -> None:
        """The answer takes too long: whoever waits for the rest gets an error at once."""
        self.cut = True
        self._close()

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.abort()


def leave_place(running: Running, tokens: int) -> None:
    """Gives back a call's place at a deployment, if it has one. With Redis down that is done when it answers again."""
    place, running.place = running.place, None
    if place is not None:
        leaving = Leaving(place, tokens, running.began_ms)
        try:
            leaving.tell()
        except LimitsUnavailable:
            running.unleft.append(leaving)
    running.began_ms = None


def has_closed(client: socket.socket) -> bool:
    """Whether the other side has closed the connection. Reads nothing and waits for nothing; Linux only."""
    if not hasattr(socket, "TCP_INFO") or client.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    try:
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return True
    return state in {CLOSE_WAIT, CLOSED}
