"""One model call, told in order: who is calling, what for, may they, the provider's answer, what it cost.

Read `Gateway.answer` from top to bottom for the way of a call.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote

import orjson

from app import money
from app.access.callers import Caller
from app.errors import LimitsUnavailable, ProviderFailed, ProviderTimedOut, TollgateError
from app.failures import Failure
from app.gateway import asked as asking
from app.gateway.admit import Permit, Stale, admit, on_path
from app.gateway.asked import Asked, Request
from app.gateway.attempts import Answered, Ask, Attempts, ClientLeft, NoAnswer
from app.gateway.call import Upstream, send, sent_to, whole_body
from app.gateway.explain import Explained, explain
from app.gateway.finish import FIRST_ERROR_STATUS, Finish
from app.gateway.hops import Answer, Hop, HopFailed, through
from app.gateway.inflight import InFlight
from app.gateway.models import Models
from app.gateway.offers import Offer
from app.gateway.parties import Finder, Parties
from app.gateway.patience import Patience, total
from app.gateway.places import Places
from app.gateway.relay import Relay
from app.gateway.running import Running
from app.http import Pool
from app.ledger.event import CallEvent
from app.providers.base import EVENT_STREAM
from app.settings import Settings

# An edit takes milliseconds; a caller who is edited faster than this is told to come back.
MOST_RELOADS = 5
# Only these of a provider's headers are passed on: others may tell secrets, or contradict ours.
PASSED_HEADERS = ("content-type", "retry-after", "openai-processing-ms", "openai-version", "x-should-retry")


SAFE_IN_HEADERS = "/:@*+,;=()[] "
# What the ledger calls a request whose client has left; nobody is there to read it.
CLIENT_CLOSED_REQUEST = 499
NOTHING = {"requests": 0}
# The name of a call is no secret, and the system's own randomness takes twenty times as long. Forks must not share it.
_random = random.Random()  # noqa: S311 - see above
os.register_at_fork(after_in_child=_random.seed)


@dataclass(slots=True)
class Call:
    """What all hops of one call have in common. `deadline` is on the clock of time.monotonic()."""

    secret: str
    caller: Caller
    asked: Asked
    client: socket.socket | None
    request_id: str
    started_ms: int
    deadline: float


def new_request_id() -> str:
    """A name that no other call has."""
    return f"req_{_random.getrandbits(96):024x}"


class Gateway:
    """Everything a process needs to answer calls. Made in create_app(), and anew when config.yaml has changed.

    One Gateway keeps its settings for ever: a call runs under those with which it began.
    """

    def __init__(
        self,
        settings: Settings,
        context: Callable[[], AbstractContextManager[object]],
        before: Gateway | None = None,
    ) -> None:
        """Opens no connection; those come with the first call. `context` is the application's.

        What the process knows and what runs in it is shared with the Gateway `before`.
        """
        self.settings = settings
        self._context = context
        self.models: Models = Models(settings, None if before is None else before.models.known)
        if before is None:
            self._parties = Finder(settings, self.models)
            self._in_flight, self._pool = InFlight(settings.lease, context), Pool()
        else:
            parties, self._in_flight, self._pool = before.lasting
            self._parties = parties.under(settings, self.models)

    @property
    def lasting(self) -> tuple[Finder, InFlight, Pool]:
        """What the next Gateway of the process goes on with."""
        return self._parties, self._in_flight, self._pool

    def under(self, settings: Settings) -> Gateway:
        """The next Gateway of this process; calls that run go on in this one."""
        return Gateway(settings, self._context, self)

    def answer(self, secret: str, request: Request) -> Answer:
        """One call. Raises any TollgateError; what was admitted until then is booked."""
        call = Call(
            secret=secret,
            caller=self._parties.caller(secret),
            asked=asking.parse(request, self.settings.customer_header),
            client=request.client,
            request_id=new_request_id(),
            started_ms=int(time.time() * 1000),
            deadline=time.monotonic() + total(self.settings.router.timeouts),
        )
        return through(self.settings.router, lambda hop: self._hop(call, hop), call.deadline)

    def _hop(self, call: Call, hop: Hop) -> Answer:
        """The answer of one model. Raises HopFailed where another may do better, and any TollgateError."""
        permit, parties = self._admit(call, hop)
        try:
            return self._admitted(call, hop, parties, permit)
        except TollgateError as error:
            error.rates = permit.rates
            raise
        except HopFailed as failed:
            if isinstance(failed.said, TollgateError):
                failed.said.rates = permit.rates
            raise

    def _admitted(self, call: Call, hop: Hop, parties: Parties, permit: Permit) -> Answer:
        """The answer to an admitted call, which is booked whatever happens. Raises HopFailed, any TollgateError."""
        asked, offers = parties.asked, parties.offers
        watched = call.client if self.settings.on_disconnect == "cancel" else None
        running = self._in_flight.start(permit.event, permit.meters, permit.tokens, watched)
        running.deadline = call.deadline
        finish = Finish(asked, running, self._in_flight)
        counted = frozenset(meter.name for meter in permit.meters)
        seats = Places(self.settings.router, offers, asked, lease=self.settings.lease, wait=self.settings.budget_wait)
        attempts = Attempts(self.settings.router, offers, asked, permit, running, seats)
        try:
            answered = attempts.first_answer(self._asking(asked, permit, running))
        except ClientLeft:
            finish.book_attempts(attempts)
            return Answer(CLIENT_CLOSED_REQUEST, {}, [])
        except NoAnswer as nothing:
            finish.book_attempts(attempts)
            counted = counted if attempts.failed else frozenset()
            raise HopFailed(asked.model, nothing.failure, nothing.error, counted) from nothing
        except BaseException:
            # The process is told to end while the provider has not answered; it may charge for the call all the same.
            finish.book_attempts(attempts)
            raise
        headers = _headers(permit, answered, hop)
        if asked.stream and answered.failure is None and _is_stream(answered, asked.route):
            return self._streamed(asked, answered, finish, headers)
        try:
            answer = self._whole(asked, answered, finish, headers)
        except ProviderFailed as error:
            failure = Failure.TIMEOUT if isinstance(error, ProviderTimedOut) else Failure.INTERNAL
            raise HopFailed(asked.model, failure, error, counted) from error
        if answered.failure is not None:
            raise HopFailed(asked.model, answered.failure, answer, counted)
        return answer

    def _asking(self, asked: Asked, permit: Permit, running: Running) -> Ask:
        """How one deployment is asked."""

        def ask(one: Offer, waited: Patience) -> Upstream:
            return send(self._pool, one, sent_to(asked, one, permit.stated_cap), running, waited)

        return ask

    def explain(self, caller: Caller, request: Request) -> Explained:
        """What would become of a call; nothing is taken, nobody is called. Raises what refuses it before its limits."""
        asked = asking.parse(request, self.settings.customer_header)
        return explain(self._parties.imagined(caller, asked), self.settings)

    def close(self) -> None:
        """Nothing runs any more: what is not written down yet is written now."""
        self._in_flight.close()
        self._pool.close()

    def _admit(self, call: Call, hop: Hop) -> tuple[Permit, Parties]:
        """The permit, and who takes part. Where somebody's policy has changed, everybody is loaded again."""
        request_id = hop.id_of(call.request_id)
        asked = call.asked if hop.model is None else replace(call.asked, model=hop.model)
        for attempt in range(MOST_RELOADS):
            caller = call.caller if hop.number == attempt == 0 else None
            parties = self._parties.find(call.secret, asked, fresh=attempt > 0, caller=caller)
            parties = parties.without_requests(hop.counted)

            def draft(estimate: int, counted: list[list[object]], parties: Parties = parties) -> CallEvent:
                return CallEvent(
                    request_id=request_id,
                    key_id=parties.caller.key_id,
                    token=parties.caller.token,
                    user_id=parties.caller.user_id,
                    team_id=parties.caller.team_id,
                    end_user=asked.end_user,
                    customer_id=parties.customer.customer_id,
                    tags=parties.tags,
                    route=asked.route,
                    model_name=parties.asked.model,
                    stream=asked.stream,
                    started_ms=call.started_ms,
                    hold=estimate,
                    meters=counted,
                )

            try:
                return admit(parties, draft, self.settings, call.client), parties
            except Stale:
                continue
            except LimitsUnavailable:
                # Redis may have admitted the call and only its answer was lost: whatever it took is given back.
                self._in_flight.give_back(request_id, on_path(parties.limits, time.time()).meters)
                raise
        raise LimitsUnavailable("This key, who it belongs to, or the models, are being changed right now. Try again.")

    def _whole(self, asked: Asked, answered: Answered, finish: Finish, headers: dict[str, str]) -> Answer:
        """An answer that is read to its end first, so that its cost stands in a header."""
        upstream, one = answered.upstream, answered.offer
        try:
            body = whole_body(upstream)
        except ProviderFailed:
            finish.book(answered.failed, one, upstream.status)
            raise
        except BaseException:
            finish.book(answered.failed, one, upstream.status, "cancelled")
            raise
        finally:
            upstream.close()
        finish.first_byte()
        whole = one.format_of(asked.route).whole(asked.sent, upstream.status, body)
        said = None if whole.counts is not None else _parsed(body)
        refused = upstream.status >= FIRST_ERROR_STATUS or (isinstance(said, dict) and bool(said.get("error")))
        answered_well = not refused and (whole.counts is not None or said is not None)
        # An error takes nothing, whatever its status.
        told = replace(whole, counts=NOTHING) if refused and upstream.status < FIRST_ERROR_STATUS else whole
        finish.book(answered.failed, one, upstream.status, "success" if answered_well else "failure", told)
        if not refused and not answered_well:
            raise ProviderFailed(f"The provider answered {upstream.status} with something that is not an answer.")
        headers["x-tollgate-cost"] = f"{money.to_json(finish.cost):.9f}"
        return Answer(upstream.status, headers, [one.without_secrets(whole.body) if refused else whole.body])

    def _streamed(self, asked: Asked, answered: Answered, finish: Finish, headers: dict[str, str]) -> Answer:
        """An answer that is passed on as it comes."""
        wire = answered.offer.format_of(asked.route)
        reader = wire.reader(asked.sent)
        events = bool(wire.streams) or answered.upstream.headers.get("content-type", "").startswith(EVENT_STREAM)
        try:
            told = asked.route if events else None
            relay = Relay(answered, reader, finish, route=told, drain=self.settings.on_disconnect == "drain")
        except BaseException as error:
            outcome = "failure" if isinstance(error, TollgateError) else "cancelled"
            finish.book(answered.failed, answered.offer, answered.upstream.status, outcome)
            answered.upstream.close()
            raise
        if events:
            headers["content-type"] = f"{EVENT_STREAM}; charset=utf-8"
        headers["cache-control"] = "no-cache"
        headers["x-accel-buffering"] = "no"
        return Answer(answered.upstream.status, headers, relay)


def _headers(permit: Permit, answered: Answered, hop: Hop) -> dict[str, str]:
    headers = {name: value for name in PASSED_HEADERS if (value := answered.upstream.headers.get(name)) is not None}
    headers |= permit.rates
    headers["x-request-id"] = permit.event.request_id
    # Behind a wildcard the caller chooses the name, and not every character can stand in a header.
    headers["x-tollgate-model"] = _quoted(permit.event.model_name)
    headers["x-litellm-model-id"] = _quoted(answered.offer.deployment.id)
    headers["x-litellm-attempted-retries"] = str(len(answered.failed))
    headers["x-litellm-attempted-fallbacks"] = str(hop.number)
    if permit.left is not None:
        headers["x-tollgate-budget-left"] = f"{money.to_json(permit.left):.9f}"
    if permit.stated_cap is not None:
        headers["x-tollgate-max-tokens"] = str(permit.stated_cap)
    return headers


@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return quote(name, safe=SAFE_IN_HEADERS)


def _is_stream(answered: Answered, route: str) -> bool:
    kind = answered.upstream.headers.get("content-type", "")
    return answered.upstream.status < FIRST_ERROR_STATUS and kind.startswith(answered.offer.format_of(route).streams)


def _parsed(body: bytes) -> object:
    """What the JSON holds; None where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
