"""The attempts of one admitted call: at one deployment after the other, until one answers or none may be asked."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import BadRequest, LimitsUnavailable, ProviderBusy, ProviderFailed, ProviderTimedOut, TollgateError
from app.failures import Failure
from app.gateway.admit import Permit
from app.gateway.asked import Asked
from app.gateway.call import LocalAnswer, Upstream, whole_body
from app.gateway.offers import Offer
from app.gateway.patience import Patience, patience
from app.gateway.places import Places
from app.gateway.running import Running, leave_place
from app.limits import places
from app.limits.admission import Cooling
from app.providers.refused import classify
from app.router_settings import Router
from app.routing import waits
from app.routing.choose import Candidates, Rest, Turn, cools_as

# How often a call that pauses looks whether its client is still there, in seconds.
NAP = 0.05
FIRST_ERROR_STATUS = 400
# One for all calls: to seed one takes longer than all the rest of this on a call that succeeds.
_random = random.Random()  # noqa: S311 - spreads load, keeps no secret

Ask = Callable[[Offer, Patience], Upstream]


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that gave no answer to pass on. `status` is the provider's, 0 where there was none."""

    offer: Offer
    status: int


@dataclass(slots=True)
class Answered:
    """The answer that the caller gets, the offer it came from, and the attempts before it.

    `failure` says what is wrong with it, where it is an error that nobody had a better answer for.
    """

    upstream: Upstream
    offer: Offer
    failed: list[Failed]
    failure: Failure | None = None


class NoAnswer(Exception):
    """No deployment gave an answer: what kind of failure it is, and the error for the caller."""

    def __init__(self, failure: Failure, error: TollgateError) -> None:
        """`error` is what the caller sees."""
        super().__init__(error.message)
        self.failure = failure
        self.error = error


class ClientLeft(Exception):
    """The client has gone before there was an answer: nobody is there to read one."""


@dataclass(slots=True)
class _Begun:
    """A stream whose first bytes are there."""

    upstream: Upstream
    status: int
    headers: Mapping[str, str]
    first: bytes
    rest: Iterator[bytes]

    def chunks(self) -> Iterator[bytes]:
        return itertools.chain([self.first], self.rest)

    def close(self) -> None:
        self.upstream.close()


class Attempts:
    """One call's way through its deployments. `first_answer` is for once.

    At any moment `failed` are the attempts that are over, and `asking` is who is being asked.
    """

    def __init__(
        self, router: Router, offers: Sequence[Offer], asked: Asked, permit: Permit, running: Running, seats: Places
    ) -> None:
        """`seats` are what the deployments have room for; `running.deadline` is when the whole call is over."""
        self._router = router
        self._asked = asked
        self._running = running
        self._seats = seats
        self._deadline = running.deadline
        self._offers = {one.deployment.id: one for one in offers}
        now = time.monotonic()
        resting = {name: Rest(now + cooling.ms / 1000, cooling.told) for name, cooling in permit.cooling.items()}
        self._candidates = Candidates([one.deployment for one in offers], resting)
        self.failed: list[Failed] = []
        self.asking: Offer | None = None
        # How many of them did not know what the request goes on from: to ask others is no retry.
        self._strangers = 0
        self._failure = Failure.UNAVAILABLE
        # What the last attempt said: the provider's own error, or ours.
        self._said: Answered | TollgateError | None = None

    def first_answer(self, ask: Ask) -> Answered:
        """Asks until there is an answer, or an error that is the caller's to see.

        Raises NoAnswer, ClientLeft.
        """
        while (one := self._next()) is not None:
            answered = self._answer_of(one, ask)
            if answered is not None:
                return answered
        return self._last_word()

    def _next(self) -> Offer | None:
        """Who is asked now, with a place there; None: nobody any more."""
        self._check_client()
        now = time.monotonic()
        if not self.failed and now >= self._deadline:
            # All of it went by in queues.
            raise NoAnswer(
                Failure.TIMEOUT, ProviderTimedOut("The time for this call was over before a provider was asked.")
            )
        turn = self._candidates.turn(now)
        if turn is None or (self.failed and not self._may_retry(now)) or not self._paused(turn, now):
            return None
        try:
            deployment = self._seats.take(turn.deployments, self._running, wait=not self._retries)
        except LimitsUnavailable as error:
            raise NoAnswer(Failure.UNAVAILABLE, error) from error
        self._check_client()
        return None if deployment is None else self._offers[deployment.id]

    def _may_retry(self, now: float) -> bool:
        return now < self._deadline and self._retries <= self._router.retries(self._asked.model, self._failure)

    @property
    def _retries(self) -> int:
        return len(self.failed) - self._strangers

    def _paused(self, turn: Turn, now: float) -> bool:
        """Waits before a deployment is asked again; False where that would take too long."""
        if not turn.again:
            return True
        seconds = waits.pause(self._retries - 1, self._router.retry_after, _random)
        until = max(now + seconds, turn.not_before)
        if until - now > max(waits.LONGEST_PAUSE, self._router.retry_after) or until >= self._deadline:
            return False
        while (left := until - time.monotonic()) > 0:
            self._check_client()
            time.sleep(min(left, NAP))
        return True

    def _answer_of(self, one: Offer, ask: Ask) -> Answered | None:
        """One attempt: an answer to pass on, or None where another attempt may do better."""
        began, running = time.monotonic(), self._running
        waited = patience(self._router.timeouts, one.deployment.timeouts, stream=self._asked.stream)
        running.cut, running.connection = False, None
        running.deadline = min(self._deadline, began + waited.length)
        self.asking, status = one, 0
        try:
            upstream = ask(one, waited)
            status = upstream.status
            if status >= FIRST_ERROR_STATUS:
                return self._refused(one, upstream)
            answered = Answered(self._begun(one, upstream), one, self.failed)
        except ProviderFailed as error:
            self._check_client()
            timed_out = isinstance(error, ProviderTimedOut)
            self._note(one, status, Failure.TIMEOUT if timed_out else Failure.INTERNAL, None, error)
            self._leave(began, timed_out=timed_out)
            return None
        except BadRequest as error:
            # It cannot be said in this provider's words, and nobody was asked.
            self._leave(began)
            self._candidates.drop(one.deployment)
            if self._said is None:
                self._said, self._failure = error, Failure.BAD_REQUEST
            return None
        running.began_ms = int((time.monotonic() - began) * 1000)
        return answered

    def _begun(self, one: Offer, upstream: Upstream) -> Upstream:
        """An answer that can be passed on. Of a stream its first bytes are there: until then another may still do.

        Raises ProviderFailed.
        """
        kind = upstream.headers.get("content-type", "")
        if not (self._asked.stream and kind.startswith(one.format_of(self._asked.route).streams)):
            return upstream
        chunks = upstream.chunks()
        try:
            first = next(chunks, b"")
        except BaseException:
            upstream.close()
            raise
        if not first:
            upstream.close()
            raise ProviderFailed("The provider ended the stream before its first event.")
        return _Begun(upstream, upstream.status, upstream.headers, first, chunks)

    def _refused(self, one: Offer, upstream: Upstream) -> Answered | None:
        """An error's answer: the caller's to see at once where it is the request's own fault. Raises ProviderFailed."""
        try:
            body = whole_body(upstream)
        finally:
            upstream.close()
        failure = classify(upstream.status, body)
        whole = LocalAnswer(upstream.status, upstream.headers, [body])
        answered = Answered(whole, one, list(self.failed), failure)
        if failure is Failure.NOT_HERE:
            self.failed.append(Failed(one, upstream.status))
            self._strangers += 1
            self._failure, self._said = failure, answered
            self._candidates.drop(one.deployment)
            self._leave(0)
            return None
        if failure.is_the_callers:
            return answered
        self._note(one, upstream.status, failure, waits.retry_after(upstream.headers, datetime.now(UTC)), answered)
        self._leave(0)
        return None

    def _note(
        self, one: Offer, status: int, failure: Failure, told: float | None, said: Answered | TollgateError
    ) -> None:
        """Remembers a failure; `told` is for how many seconds the provider does not want to be asked."""
        now = time.monotonic()
        self.failed.append(Failed(one, status))
        self._failure, self._said = failure, said
        self._candidates.failed(one.deployment, failure, 0.0 if told is None else now + told)
        if self._router.disable_cooldowns:
            return
        rate_limited = failure is Failure.RATE_LIMIT and told is not None
        own = one.deployment.cooldown_time
        usual = self._router.cooldown_time if own is None else own
        seconds = min(told, waits.LONGEST_REST) if rate_limited and told is not None else usual
        if seconds <= 0:
            return
        cooling = Cooling(int(seconds * 1000), failure, told=rate_limited)
        # With Redis down the others find out by themselves.
        with suppress(LimitsUnavailable):
            if places.cool(cools_as(one.deployment), self._router.fails_allowed(failure), cooling):
                self._candidates.rest(one.deployment, Rest(now + seconds, rate_limited))

    def _leave(self, began: float, *, timed_out: bool = False) -> None:
        """The attempt is over: its place is free. What took too long says how slow the deployment is."""
        self.asking = None
        self._running.connection, self._running.deadline = None, self._deadline
        self._running.began_ms = int((time.monotonic() - began) * 1000) if timed_out else None
        leave_place(self._running, 0)

    def _check_client(self) -> None:
        if self._running.left:
            raise ClientLeft

    def _last_word(self) -> Answered:
        """The last error of a provider, with a true Retry-After. Raises NoAnswer."""
        now = time.monotonic()
        opens = self._candidates.opens(now)
        seconds = 0 if opens is None else opens - now
        # One that may know what the request goes on from is among those that could not be asked.
        missed = self._failure is Failure.NOT_HERE and (opens is not None or self._seats.full is not None)
        if isinstance(self._said, Answered) and not missed:
            upstream = self._said.upstream
            if opens is not None:
                upstream.headers = {name.lower(): value for name, value in upstream.headers.items()}
                upstream.headers |= {"retry-after": str(max(1, math.ceil(seconds)))}
            return self._said
        if isinstance(self._said, TollgateError):
            raise NoAnswer(self._failure, self._said)
        if self._seats.full is not None:
            raise NoAnswer(Failure.RATE_LIMIT, self._seats.refusal(self._asked.model))
        model = self._asked.model
        message = f"The providers of model '{model}' have asked not to be called for a while."
        raise NoAnswer(Failure.RATE_LIMIT, ProviderBusy(message, retry_after=seconds))
