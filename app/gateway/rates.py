"""Requests and tokens per minute: what a call is reckoned with, how a refusal reads, the headers of every answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from app.errors import LimitReached, RequestRateReached, TokenRateReached
from app.gateway.asked import Asked
from app.gateway.offers import GENERATING, Offer
from app.limits.admission import NO_TOKENS, Rate, Verdict
from app.limits.meters import Meter, Tokens

# A token is about four bytes of text. A limit wants what a call is likely to use, not the bound that money is held by.
BYTES_PER_TOKEN = 4
# Nobody knows how long an answer without a cap becomes. A quarter of the smallest limit lets a few of them run at once,
# and what they really used counts as soon as they have ended.
PART_FOR_A_GUESS = 4


def reckoned(meters: Sequence[Meter], offers: Sequence[Offer], asked: Asked, gateway_cap: int | None) -> Tokens:
    """The tokens of a call on these meters; `gateway_cap` is an output cap that the gateway states for it.

    Input: the body's bytes, with a fixed number for each image or recording, by four. Output: the stated cap for each
    choice; without one the model's most, and no more than a quarter of the smallest limit.
    """
    smallest = min((meter.tpm for meter in meters if meter.tpm is not None), default=None)
    return NO_TOKENS if smallest is None else reckoned_for(smallest, offers, asked, gateway_cap)


def reckoned_for(smallest: int, offers: Sequence[Offer], asked: Asked, gateway_cap: int | None) -> Tokens:
    """As `reckoned`, for the smallest limit on tokens."""
    certain = -(-asked.input_bound // BYTES_PER_TOKEN)
    if asked.route not in GENERATING:
        return Tokens(certain, certain)
    if asked.output_cap is not None:
        certain += asked.output_cap * asked.choices
        return Tokens(certain, certain)
    most = max((one.max_output for one in offers), default=0) if gateway_cap is None else gateway_cap
    return Tokens(certain, certain + min(most * asked.choices, smallest // PART_FOR_A_GUESS))


def refusal(verdict: Verdict, meter: Meter, whose: str, tokens: Tokens) -> LimitReached:
    """The error for a caller whose requests or tokens do not fit into the minute."""
    kind: type[LimitReached]
    if verdict.reason == "rpm":
        kind, limit = RequestRateReached, meter.rpm or 0
        message = f"{whose} has made {verdict.taken} of {limit} requests in the last 60 seconds."
    else:
        kind, limit = TokenRateReached, meter.tpm or 0
        message = (
            f"{whose} has used {verdict.taken} of {limit} tokens in the last 60 seconds, "
            f"and this call is reckoned with {tokens.needed_of(limit)}."
        )
        if verdict.wait_ms is None:
            message += " It can never fit: its input, or the output cap that it states, is too large for the limit."
    seconds = None if verdict.wait_ms is None else verdict.wait_ms / 1000
    return kind(
        message,
        scope=meter.name,
        limit=limit,
        current=verdict.taken,
        resets_at=None if seconds is None else _moment(time.time() + seconds),
        retry_after=seconds,
    )


def headers(verdict: Verdict) -> dict[str, str]:
    """OpenAI's rate limit headers, of the limit with the least left; none where there is no such limit."""
    told: dict[str, str] = {}
    if verdict.requests is not None:
        told |= _headers("requests", verdict.requests)
    if verdict.tokens is not None:
        told |= _headers("tokens", verdict.tokens)
    return told


def _headers(unit: str, rate: Rate) -> dict[str, str]:
    told = {f"x-ratelimit-limit-{unit}": str(rate.limit), f"x-ratelimit-remaining-{unit}": str(rate.left)}
    if rate.reset_ms is not None:
        told[f"x-ratelimit-reset-{unit}"] = in_words(rate.reset_ms)
    return told


def in_words(milliseconds: int) -> str:
    """A time as OpenAI writes it, in whole seconds rounded up: "0s", "12s", "1m0s"."""
    minutes, seconds = divmod(-(-milliseconds // 1000), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
