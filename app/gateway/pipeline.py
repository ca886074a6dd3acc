"""One model call, told in order: who is calling, what for, may they, the provider's answer, what it cost.

Read `Gateway.answer` from top to bottom for the way of a call.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import orjson

from app import money
from app.access.callers import Caller, Callers
from app.access.models_allowed import allows
from app.errors import LimitsUnavailable, ModelNotAllowed, NotFound, ProviderFailed, TollgateError
from app.gateway import asked as asking
from app.gateway.admit import Permit, Stale, admit, meters_of
from app.gateway.asked import Asked
from app.gateway.call import Answered, ClientLeft, NoAnswer, connections, first_answer
from app.gateway.finish import FIRST_ERROR_STATUS, Finish
from app.gateway.inflight import InFlight
from app.gateway.offers import Offer, offer
from app.gateway.relay import Relay
from app.ledger.event import CallEvent
from app.routing.catalog import Catalog
from app.routing.choose import order
from app.settings import Settings

# An edit takes milliseconds; a caller who is edited faster than this is told to come back.
MOST_RELOADS = 5
# Only these of a provider's headers are passed on: others may tell secrets, or contradict ours.
PASSED_HEADERS = ("content-type", "retry-after", "openai-processing-ms", "openai-version", "x-should-retry")


# What the ledger calls a request whose client has left; nobody is there to read it.
CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it comes in. `route` is like "chat/completions"; `client` is the caller's socket, where it is known.

    `model` stands in the URL of Azure-style routes.
    """

    route: str
    body: bytes
    headers: Mapping[str, str]
    model: str | None = None
    client: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client: `body` is bytes as they come; it has a `close()` that must be called."""

    status: int
    headers: dict[str, str]
    body: Iterable[bytes]


class Gateway:
    """Everything a process needs to answer calls. Made once in create_app()."""

    def __init__(self, settings: Settings, context: Callable[[], AbstractContextManager[object]]) -> None:
        """Opens no connection; those come with the first call. `context` is the application's."""
        self.settings = settings
        self.catalog = Catalog(settings.deployments)
        self._callers = Callers(settings.master_key)
        self._in_flight = InFlight(settings.lease, context, cancel=settings.on_disconnect == "cancel")
        self._pool = connections()
        self._random = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def answer(self, secret: str, request: Request) -> Answer:
        """One call. Raises any TollgateError; what was admitted until then is booked."""
        caller = self._callers.find(secret)
        asked = asking.parse(request.route, request.body, request.model)
        permit, offers = self._admit(caller, secret, asked)
        try:
            return self._admitted(request, asked, permit, offers)
        except TollgateError as error:
            error.rates = permit.rates
            raise

    def _admitted(self, request: Request, asked: Asked, permit: Permit, offers: list[Offer]) -> Answer:
        """The answer to an admitted call, which is booked whatever happens. Raises any TollgateError."""
        running = self._in_flight.start(permit.event, permit.meters, permit.tokens, request.client)
        finish = Finish(asked, running, self._in_flight)
        try:
            answered = first_answer(
                self._pool,
                offers,
                asked,
                request.headers,
                running,
                stated_cap=permit.stated_cap,
                timeout=self.settings.timeout,
            )
        except ClientLeft as left:
            finish.book(left.failed, left.offer)
            return Answer(CLIENT_CLOSED_REQUEST, {}, [])
        except NoAnswer as nothing:
            finish.book(nothing.failed)
            raise nothing.error from nothing
        except BaseException:
            # The process is told to end while the provider has not answered; it may charge for the call all the same.
            finish.book([], offers[0], outcome="cancelled")
            raise
        headers = _headers(permit, answered)
        if asked.stream and answered.upstream.headers.get("content-type", "").startswith("text/event-stream"):
            return self._streamed(asked, answered, finish, headers)
        return self._whole(asked, answered, finish, headers)

    def close(self) -> None:
        """Nothing runs any more: what is not written down yet is written now."""
        self._in_flight.close()

    def _admit(self, caller: Caller, secret: str, asked: Asked) -> tuple[Permit, list[Offer]]:
        """The permit and the offers in the order of trying. A caller whose policy has changed is loaded again."""
        started_ms = int(time.time() * 1000)
        request_id = "req_" + secrets.token_hex(12)
        for _ in range(MOST_RELOADS):
            try:
                offers = self._offers(caller, asked)
            except ModelNotAllowed:
                # A snapshot never refuses before it has been looked at again: the list may be a longer one by now.
                caller = self._callers.find(secret, fresh=True)
                offers = self._offers(caller, asked)

            def draft(estimate: int, counted: list[list[object]], caller: Caller = caller) -> CallEvent:
                return CallEvent(
                    request_id=request_id,
                    key_id=caller.key_id,
                    token=caller.token,
                    user_id=caller.user_id,
                    end_user=asked.end_user,
                    route=asked.route,
                    model_name=asked.model,
                    stream=asked.stream,
                    started_ms=started_ms,
                    hold=estimate,
                    meters=counted,
                )

            try:
                permit = admit(
                    caller,
                    asked,
                    offers,
                    draft,
                    lease_ms=int(self.settings.lease * 1000),
                    wait=self.settings.budget_wait,
                    unpriced=self.settings.unpriced,
                )
            except Stale:
                caller = self._callers.find(secret, fresh=True)
            except LimitsUnavailable:
                # Redis may have admitted the call and only its answer was lost: whatever it took is given back.
                self._in_flight.give_back(request_id, meters_of(caller, time.time()))
                raise
            else:
                return permit, offers
        raise LimitsUnavailable("This key or its user is being changed right now. Try again.")

    def _offers(self, caller: Caller, asked: Asked) -> list[Offer]:
        """The deployments behind the name that was asked for. Raises ModelNotAllowed, NotFound."""
        groups = self.catalog.access_groups(asked.model)
        if not all(allows(entries, asked.model, groups) for entries in (caller.key_models, caller.user_models)):
            raise ModelNotAllowed(
                f"The model '{asked.model}' is not available for this API key, or does not exist. "
                "GET /v1/models lists what is.",
                param="model",
            )
        group = self.catalog.group(asked.model)
        if not group:
            # Why it is off is the admin's to know: GET /model/info says it.
            state = "does not exist" if self.catalog.off_reason(asked.model) is None else "is switched off"
            raise NotFound(f"The model '{asked.model}' {state}.", param="model")
        return [offer(deployment) for deployment in order(group, self._random)]

    def _whole(self, asked: Asked, answered: Answered, finish: Finish, headers: dict[str, str]) -> Answer:
        """An answer that is read to its end first, so that its cost stands in a header."""
        upstream, one = answered.upstream, answered.offer
        try:
            body = b"".join(upstream.chunks())
        except ProviderFailed:
            finish.book(answered.failed, one, upstream.status)
            raise
        except BaseException:
            finish.book(answered.failed, one, upstream.status, "cancelled")
            raise
        finally:
            upstream.close()
        finish.first_byte()
        counts = one.provider.counts(asked.route, body)
        answered_well = upstream.status < FIRST_ERROR_STATUS and (counts is not None or _is_json(body))
        finish.book(
            answered.failed,
            one,
            upstream.status,
            "success" if answered_well else "failure",
            counts if upstream.status < FIRST_ERROR_STATUS else None,
            one.provider.text_bytes(asked.route, body),
        )
        if upstream.status < FIRST_ERROR_STATUS and not answered_well:
            raise ProviderFailed(f"The provider answered {upstream.status} with something that is not an answer.")
        headers["x-tollgate-cost"] = f"{money.to_json(finish.cost):.9f}"
        return Answer(upstream.status, headers, [body if answered_well else _without_secrets(body, one)])

    def _streamed(self, asked: Asked, answered: Answered, finish: Finish, headers: dict[str, str]) -> Answer:
        """An answer that is passed on as it comes."""
        reader = answered.offer.provider.reader(asked.route, asked.usage_asked)
        try:
            relay = Relay(answered, reader, finish, drain=self.settings.on_disconnect == "drain")
        except BaseException as error:
            outcome = "failure" if isinstance(error, TollgateError) else "cancelled"
            finish.book(answered.failed, answered.offer, answered.upstream.status, outcome)
            answered.upstream.close()
            raise
        headers["cache-control"] = "no-cache"
        headers["x-accel-buffering"] = "no"
        return Answer(answered.upstream.status, headers, relay)


def _headers(permit: Permit, answered: Answered) -> dict[str, str]:
    headers = {name: value for name in PASSED_HEADERS if (value := answered.upstream.headers.get(name)) is not None}
    headers |= permit.rates
    headers["x-request-id"] = permit.event.request_id
    if permit.left is not None:
        headers["x-tollgate-budget-left"] = f"{money.to_json(permit.left):.9f}"
    if permit.stated_cap is not None:
        headers["x-tollgate-max-tokens"] = str(permit.stated_cap)
    return headers


def _without_secrets(body: bytes, one: Offer) -> bytes:
    """An error's text may quote the key that we sent."""
    if not one.target.api_key:
        return body
    return body.replace(one.target.api_key.encode(), b"[redacted]")


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
