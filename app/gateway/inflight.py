"""What this process knows and Redis might not: calls that are running, and endings that the worker has not settled yet.

One thread for all calls of the process (a greenlet under gevent) looks after them: it renews leases, notices clients
that have left, sends endings that Redis did not take, and when Redis has restarted or lost its data puts everything
back.
"""

from __future__ import annotations

import atexit
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace

from redis.exceptions import RedisError

from app import queue
from app.errors import DatabaseUnavailable, LimitsUnavailable
from app.extensions import redis, write_transaction
from app.gateway.running import Leaving, Running, has_closed, leave_place
from app.ledger import post
from app.ledger.event import CallEvent
from app.limits import admission, places
from app.limits.meters import SETTLED, Meter, Tokens
from app.limits.places import Place

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
RENEWED_AT_ONCE = 500
# Refused calls that Redis may have admitted, and places that it has not taken back: they book nothing, so during a long
# outage the oldest may be forgotten.
MOST_GIVEN_BACK = 100_000
# Endings that Redis has and the worker has not settled. Beyond this many the oldest are left to Redis alone.
MOST_UNCONFIRMED = 50_000
# Endings that Redis has not taken for this long are written to SQL, in case that this process ends too.
SQL_AFTER_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Ending:
    """How a call ended: its cost in nano-dollars, the tokens it used, its event in bytes.

    `place` is where Redis has the event, b"" where it does not. No event (b""): nothing is booked and everything given
    back. As bytes, because tens of thousands may wait to be settled: garbage collection would go through the parts of
    all of them.
    """

    request_id: str
    meters: tuple[Meter, ...]
    cost: int = 0
    tokens: int = 0
    event: bytes = b""
    place: bytes = b""
    since: float = field(default_factory=time.monotonic)
    in_sql: bool = False


class InFlight:
    """The calls and endings of this process."""

    def __init__(self, lease: float, context: Callable[[], AbstractContextManager[object]]) -> None:
        """`lease` is seconds, renewed three times before it would end; `context` is the application's, for SQL."""
        self._lease_ms = int(lease * 1000)
        self._every = lease / 3
        self._context = context
        self._running: dict[str, Running] = {}
        self._unsent: deque[Ending] = deque()
        self._given_back: deque[Ending] = deque(maxlen=MOST_GIVEN_BACK)
        self._unconfirmed: deque[Ending] = deque(maxlen=MOST_UNCONFIRMED)
        self._unleft: deque[Leaving] = deque(maxlen=MOST_GIVEN_BACK)
        self._life: tuple[object, str] | None = None
        self._renewed = time.monotonic()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = threading.Event()

    def start(
        self, event: CallEvent, meters: tuple[Meter, ...], tokens: Tokens, client: socket.socket | None
    ) -> Running:
        """From now on the call's lease is renewed. Where `client` is given, the call ends when that has gone."""
        running = Running(event, meters, tokens, client, unleft=self._unleft)
        self._running[event.request_id] = running
        if self._thread is None:
            self._begin()
        return running

    def end(self, event: CallEvent, meters: tuple[Meter, ...], cost: int, tokens: int) -> None:
        """Tells Redis, now if it answers, and again and again until it does if not. Never raises for Redis."""
        running = self._running.pop(event.request_id, None)
        ending = Ending(event.request_id, meters, cost, tokens, event.to_bytes())
        try:
            self._tell(ending)
        except LimitsUnavailable:
            log.warning("Redis did not take the end of a call; it is kept and sent again")
            self._unsent.append(ending)
        if running is not None:
            leave_place(running, tokens)

    def refuse(self, running: Running) -> None:
        """Ends a call for which no provider was asked: everything is given back. Never raises for Redis."""
        self._running.pop(running.event.request_id, None)
        ending = Ending(running.event.request_id, running.meters)
        try:
            self._tell(ending)
        except LimitsUnavailable:
            self._given_back.append(ending)
        leave_place(running, 0)

    def free_slots(self, running: Running) -> None:
        """The call goes on without its parallel slots; its money stays held."""
        running.meters = tuple(replace(meter, max_parallel=None) for meter in running.meters)
        with suppress(RedisError):
            admission.free_slots(running.event.request_id, [meter[0] for meter in running.event.meters])

    def give_back(self, request_id: str, meters: tuple[Meter, ...]) -> None:
        """For a call whose admission got no answer: Redis may have taken slots and money for it. Returns at once."""
        self._given_back.append(Ending(request_id, meters))
        if self._thread is None:
            self._begin()

    def _tell(self, ending: Ending) -> None:
        ended = admission.finish(ending.request_id, ending.meters, ending.cost, ending.event, ending.tokens)
        if ending.event:
            ending.place = ended.place
            self._unconfirmed.append(ending)
        if ended.wake:
            queue.waker.wake()

    def _begin(self) -> None:
        with self._starting:
            if self._thread is None:
                # Known from the first call on: a Redis that loses it must be noticed, even in the same second.
                with suppress(LimitsUnavailable):
                    self._life, _ = _life_of_redis()
                self._thread = threading.Thread(target=self._run, name="in-flight", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def _run(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            try:
                self.look()
            except Exception:
                # Leases, endings and clients depend on this thread: whatever went wrong, the next look may succeed.
                log.exception("looking after the calls in flight failed")

    def look(self) -> None:
        """One round: clients, leases, endings, and whether Redis is still the one that it was."""
        self._watch_clients()
        self._watch_deadlines()
        try:
            self._compare_lives()
            self._renew()
            self._send_again(self._unsent)
            self._send_again(self._given_back)
            self._leave_again()
        except LimitsUnavailable:
            self._write_to_sql(SQL_AFTER_SECONDS)

    def _watch_clients(self) -> None:
        for running in list(self._running.values()):
            # Again and again until the call is over: it may only now have got the connection that has to be closed.
            if running.left or (running.client is not None and has_closed(running.client)):
                running.leave()

    def _watch_deadlines(self) -> None:
        """As for clients that have left."""
        now = time.monotonic()
        for running in list(self._running.values()):
            if now >= running.deadline:
                running.cut_off()

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < self._every:
            return
        running = list(self._running.items())
        calls = [(request_id, admission.slots_of(call.meters)) for request_id, call in running]
        calls += [(place.attempt, [place.slot]) for place in self._places()]
        for first in range(0, len(calls), RENEWED_AT_ONCE):
            admission.renew(self._lease_ms, calls[first : first + RENEWED_AT_ONCE])
        self._renewed = time.monotonic()

    def _send_again(self, endings: deque[Ending]) -> None:
        while endings:
            self._tell(endings[0])
            endings.popleft()

    def _leave_again(self) -> None:
        while self._unleft:
            self._unleft[0].tell()
            self._unleft.popleft()

    def _compare_lives(self) -> None:
        """Puts everything back into a Redis that has restarted or was emptied; else forgets what is settled."""
        life, through = _life_of_redis()
        if life != self._life or not life[1]:
            if self._life is not None and life[0] != self._life[0]:
                _doubt_balances(life[0])
            self._put_back()
            self._life = life
            return
        while self._unconfirmed and _order(self._unconfirmed[0].place) <= through:
            self._unconfirmed.popleft()

    def _places(self) -> list[Place]:
        return [call.place for call in list(self._running.values()) if call.place is not None]

    def _put_back(self) -> None:
        """Whatever Redis still knows is not changed by being told again."""
        for call in list(self._running.values()):
            event = call.event
            admission.restore(
                event.request_id,
                call.meters,
                event.hold,
                self._lease_ms,
                event.to_bytes(),
                call.tokens,
                int((time.monotonic() - call.since) * 1000),
            )
        if held := self._places():
            places.restore(held, self._lease_ms)
        again = list(self._unconfirmed)
        self._unconfirmed.clear()
        self._unsent.extend(again)
        if again:
            log.warning("Redis has restarted or lost its data: %d endings are sent again", len(again))

    def _write_to_sql(self, older_than: float) -> None:
        """Books endings that Redis does not take. They are still sent when it returns: the ledger takes each once."""
        now = time.monotonic()
        late = [ending for ending in list(self._unsent) if not ending.in_sql and now - ending.since >= older_than]
        calls = [post.rows_of(CallEvent.from_bytes(ending.event), None) for ending in late if ending.event]
        if not calls:
            return
        try:
            with self._context(), write_transaction() as session:
                post.post(session, calls)
        except DatabaseUnavailable:
            log.warning("neither Redis nor SQL takes %d endings; they are kept", len(calls))
            return
        for ending in late:
            ending.in_sql = True

    def close(self) -> None:
        """The process ends: what Redis has not taken goes to it or to SQL now."""
        self._closed.set()
        with suppress(LimitsUnavailable):
            self._send_again(self._unsent)
        self._write_to_sql(0)


def _life_of_redis() -> tuple[tuple[object, str], tuple[int, ...]]:
    """Which process and which life of its data Redis is, and up to which place events are settled.

    Raises LimitsUnavailable.
    """
    try:
        with redis.client.pipeline(transaction=True) as pipeline:
            pipeline.info("server")
            pipeline.get(SETTLED)
            server, settled = pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer.") from error
    return (server.get("run_id"), admission.warm_up()), _order(settled or b"")


def _doubt_balances(run_id: object) -> None:
    """A Redis that restarts may have lost its last second, and with it balances that SQL has."""
    try:
        admission.doubt_balances(str(run_id))
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer.") from error


def _order(place: bytes) -> tuple[int, ...]:
    """A stream id as numbers that can be compared: milliseconds, then a counter."""
    return tuple(int(part) for part in place.split(b"-")) if place else ()
