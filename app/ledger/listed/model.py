"""One model of the price list, and what it costs at a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

MILLION, THOUSAND = 10**6, 10**3
# The kinds of ours, what the list calls their price (the first that is there counts), and for how many it is.
LISTED_AS = {
    "input": (("input_mtok",), MILLION),
    "output": (("output_mtok",), MILLION),
    "cache_read": (("cache_read_mtok",), MILLION),
    "cache_write_5m": (("cache_write_5m_mtok", "cache_write_mtok"), MILLION),
    "cache_write_1h": (("cache_write_1h_mtok", "cache_write_mtok"), MILLION),
    "reasoning": (("output_reasoning_mtok",), MILLION),
    "audio_input": (("input_audio_mtok",), MILLION),
    "audio_output": (("output_audio_mtok",), MILLION),
    "cache_read_audio": (("cache_audio_read_mtok",), MILLION),
    "cache_read_image": (("cache_image_read_mtok",), MILLION),
    "image_input": (("input_image_mtok", "input_video_mtok"), MILLION),
    "image_output": (("output_image_mtok", "output_video_mtok"), MILLION),
    "web_searches": (("web_searches_kcount",), THOUSAND),
    "audio_ms": (("input_audio_hours", "output_audio_hours", "audio_hours"), 1),
    "characters": (("input_mchars",), MILLION),
    "requests": (("requests_kcount",), THOUSAND),
    "pages": (("input_document_kpages",), THOUSAND),
}


class TieredPrice(NamedTuple):
    """A price that is another one in calls with more input tokens than one of the `tiers` says, in ascending order."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...]


# Dollars for one, or for so many as LISTED_AS says, under the list's names.
Prices = dict[str, Decimal | TieredPrice]
# As they are written: "2.5", or ["2.5", [200000, "5"]] where a call of more than 200,000 tokens pays $5.
Written = dict[str, str | list[Any]]
# When a price holds: from a day on, from a time of the day until another, or always. All of it in UTC.
When = str | list[str] | None


class Model(NamedTuple):
    """A model of the list, by the provider at whom it was looked for; not its `own` where that one borrows a list.

    Of `written` the last prices count that hold, else the first. `in_tiers` has what is different in a service tier:
    there the first counts, price by price.
    """

    provider: str
    own: bool
    id: str
    context_window: int | None
    written: list[tuple[When, Written]]
    in_tiers: list[tuple[str, When, Written]]

    def has_tier(self, tier: str, at: datetime) -> bool:
        """Whether there are prices of that service tier at that moment."""
        return any(one == tier and _holds(when, at) for one, when, _ in self.in_tiers)

    def prices(self, at: datetime, tier: str = "") -> Prices:
        """The prices of a moment, in that service tier where it has some of its own."""
        holding = [prices for when, prices in self.written if _holds(when, at)]
        counting = dict(holding[-1] if holding else self.written[0][1])
        for one, when, prices in reversed(self.in_tiers):
            if one == tier and _holds(when, at):
                counting |= prices
        return {name: _read(price) for name, price in counting.items()}


def _holds(when: When, at: datetime) -> bool:
    if when is None:
        return True
    # What has no zone is in UTC already. Days and times in ISO's form are in the order of their texts.
    at = at if at.tzinfo is None else at.astimezone(UTC)
    if isinstance(when, str):
        return at.date().isoformat() >= when
    start, end = when
    time = at.time().isoformat()
    return start <= time < end if start <= end else time >= start or time < end


def _read(price: str | list[Any]) -> Decimal | TieredPrice:
    if isinstance(price, str):
        return Decimal(price)
    base, *tiers = price
    return TieredPrice(Decimal(base), tuple((start, Decimal(dollars)) for start, dollars in tiers))
