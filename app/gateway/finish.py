"""The end of a call: its usage, its cost, its event. Runs once for every admitted call, whatever happened to it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.gateway.asked import Asked
from app.gateway.asked_routes import rules_of
from app.gateway.attempts import Attempts, Failed
from app.gateway.inflight import InFlight
from app.gateway.offers import Offer
from app.gateway.running import Running
from app.ledger.event import UNPRICED, Attempt
from app.ledger.pricing import cost as cost_of
from app.ledger.usage import Usage
from app.providers.base import Counted, Told

NO_USAGE = Usage.from_counts({})
# An answer is one request where the provider does not count them itself.
A_REQUEST = {"requests": 1}
# An answer whose usage the provider does not tell is counted: this many bytes of text to a token, which is on the dear
# side for every common tokenizer and language.
BYTES_PER_TOKEN = 3
# What a call may take, and has taken only where the answer says so.
UNCERTAIN = frozenset({"web_searches"})
FIRST_ERROR_STATUS = 400


class Finish:
    """Collects what happens to one call and books it, exactly once.

    `first_byte()` when the first byte of an answer is there; `measured()` or nothing at all for its usage; then
    `book()`.
    """

    def __init__(self, asked: Asked, running: Running, in_flight: InFlight) -> None:
        """Nothing is booked before `book`."""
        self._asked = asked
        self._running = running
        self._in_flight = in_flight
        self._first_byte_ms: int | None = None
        self.booked = False
        self.cost = 0

    def first_byte(self) -> None:
        """Remembers when the answer began."""
        if self._first_byte_ms is None:
            self._first_byte_ms = int(time.time() * 1000)

    def free_slots(self) -> None:
        """The client has left; nobody shall wait for the rest of an answer that is only read for its usage."""
        self._in_flight.free_slots(self._running)

    def book_attempts(self, attempts: Attempts) -> None:
        """Books a call without an answer; one that no provider has seen takes nothing from any limit and has no row."""
        if attempts.failed or attempts.asking is not None:
            self.book(attempts.failed, attempts.asking, outcome="cancelled")
        else:
            self.booked = True
            self._in_flight.refuse(self._running)

    def book(
        self,
        failed: Sequence[Failed],
        offer: Offer | None = None,
        status: int = 0,
        outcome: str = "failure",
        told: Told | None = None,
    ) -> None:
        """Books the attempts: those that failed, and the one that answered (`offer`), if any; only once."""
        if self.booked:
            return
        self.booked = True
        if self._running.left:
            outcome = "cancelled"
        tokens = 0
        attempts = [_attempt(one.offer, "failure", one.status, NO_USAGE, "none") for one in failed]
        if offer is not None:
            tier = None if told is None else told.tier
            usage, source = self._usage(status, told)
            answered = _attempt(offer, outcome, status, usage, source, tier)
            attempts.append(answered)
            tokens, self.cost = usage.input + usage.output, answered.cost
        # The template becomes the event: from here on nobody needs it as one.
        event = self._running.event
        event.attempts, event.first_byte_ms, event.ended_ms = attempts, self._first_byte_ms, int(time.time() * 1000)
        self._in_flight.end(event, self._running.meters, self.cost, tokens)

    def _usage(self, status: int, told: Told | None) -> tuple[Usage, str]:
        """Usage in the order in which it is believed: the provider's, else counted; an error uses nothing."""
        request = {} if rules_of(self._asked.route).free else A_REQUEST
        if told is not None and told.counts is not None:
            try:
                usage = Usage.from_counts(request | told.counts)
                return usage, "counted" if isinstance(told.counts, Counted) else "provider"
            except ValueError:
                pass  # Negative or absurd: counting is the better guess.
        if status >= FIRST_ERROR_STATUS:
            return NO_USAGE, "none"
        output = -(-(told.text_bytes if told is not None else 0) // BYTES_PER_TOKEN)
        counted = {"input": -(-self._asked.input_bound // BYTES_PER_TOKEN), "output": output}
        # The characters to speak, the length of a recording: the request tells them as well as the answer does.
        certain = {kind: amount for kind, amount in self._asked.others.items() if kind not in UNCERTAIN}
        return Usage.from_counts(request | certain | counted), "counted"


def _attempt(offer: Offer, outcome: str, status: int, usage: Usage, source: str, tier: str | None = None) -> Attempt:
    price = None if offer.price is None else offer.price.in_tier(tier)
    return Attempt(
        deployment_id=offer.deployment.id,
        provider=offer.deployment.provider,
        model=offer.deployment.model,
        outcome=outcome,
        http_status=status,
        usage_source=source,
        usage=usage.to_wire(),
        cost=0 if price is None else cost_of(price, usage),
        price=UNPRICED if price is None else price.source,
        tier=tier or "",
    )
