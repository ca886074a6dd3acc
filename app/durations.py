"""Durations as people write them ("20m", "30d", "1mo"): how long a key lives, when a budget's window opens and ends."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
WINDOWS_BY_WORD = {"daily": (1, "d"), "weekly": (1, "w"), "monthly": (1, "mo")}
MONTHS_A_YEAR = 12

# A hundred years never hold more than 25 leap days, so the two limits mean the same span.
MOST_MONTHS = 100 * MONTHS_A_YEAR
MOST_SECONDS = 36_525 * 86_400

_FORM = re.compile(r"([1-9][0-9]*)(mo|[smhdw])")
_SHOWN_CHARACTERS = 30


@dataclass(frozen=True, slots=True)
class Window:
    """The seconds from `start` up to, not including, `end`, both since the epoch."""

    start: int
    end: int


def seconds(text: str, now: datetime) -> int:
    """How many seconds from `now` (aware) a duration takes. A month is a calendar month in UTC, cut to its last day.

    Raises ValueError, worded for the caller, for anything but a whole positive number with a unit, and above 100 years.
    """
    count, unit = _parsed(text)
    if unit != "mo":
        return count * SECONDS_BY_UNIT[unit]
    start = now.astimezone(UTC)
    return int((_months_later(start, count) - start).total_seconds())


def check_window(text: str) -> None:
    """Raise ValueError, worded for the caller, unless `text` can be a budget's duration."""
    _parsed_window(text)


def window_at(duration: str, anchor: datetime, at: datetime, zone: tzinfo = UTC) -> Window:
    """Find the window of a budget in which `at` lies; `anchor` is when the budget began. Both are aware.

    Seconds, minutes, hours and two days or more are counted from the anchor's second, whatever clocks do. One day,
    weeks and months run from one midnight in `zone` to another: weeks from Mondays, months from the first.

    Raises ValueError where `check_window` does.
    """
    count, unit = _parsed_window(duration)
    moment = math.floor(at.timestamp())
    if unit in ("w", "mo") or (count, unit) == (1, "d"):
        return _calendar_window(count, unit, anchor.astimezone(zone).date(), moment, zone)
    length = count * SECONDS_BY_UNIT[unit]
    first = math.floor(anchor.timestamp())
    start = first + (moment - first) // length * length
    return Window(start, start + length)


def _parsed(text: str) -> tuple[int, str]:
    """("20m") -> (20, "m")."""
    match = _FORM.fullmatch(text)
    if match is None:
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
        raise ValueError(
            f'"{shown}" is not a duration. Expected a whole number above 0 and a unit (s, m, h, d, w or mo), '
            'for example "30s", "20m", "24h", "7d", "2w" or "1mo".'
        )
    digits, unit = match.groups()
    # Python refuses to read endless rows of digits; nobody needs more of them than this.
    count = int(digits[: len(str(MOST_SECONDS)) + 1])
    if count > (MOST_MONTHS if unit == "mo" else MOST_SECONDS // SECONDS_BY_UNIT[unit]):
        raise ValueError("A duration can be at most 100 years.")
    return count, unit


def _parsed_window(text: str) -> tuple[int, str]:
    """As `_parsed`, with the words that name a calendar window."""
    if text in WINDOWS_BY_WORD:
        return WINDOWS_BY_WORD[text]
    try:
        return _parsed(text)
    except ValueError as error:
        raise ValueError(f"{error} A budget can also be daily, weekly or monthly.") from None


def _months_later(start: datetime, count: int) -> datetime:
    """Go `count` months on, to the same day and time, or to that month's last day where it has no such day."""
    years, month = divmod(start.month - 1 + count, MONTHS_A_YEAR)
    year = start.year + years
    _, last_day = monthrange(year, month + 1)
    return start.replace(year=year, month=month + 1, day=min(start.day, last_day))


def _calendar_window(count: int, unit: str, anchor: date, moment: int, zone: tzinfo) -> Window:
    """Find the window between two midnights of `zone` in which `moment` lies."""
    today = datetime.fromtimestamp(moment, zone).date()
    day_of, number = _calendar(count, unit, anchor, today)

    def opens(number: int) -> int:
        # Where clocks skip midnight this is the moment of the skip, where it comes twice the first of the two.
        return math.floor(datetime.combine(day_of(number), time(), zone).timestamp())

    # Where clocks are set back over midnight, the date of yesterday comes again in today's window.
    while opens(number + 1) <= moment:
        number += 1
    return Window(opens(number), opens(number + 1))


def _calendar(count: int, unit: str, anchor: date, today: date) -> tuple[Callable[[int], date], int]:
    """Give the first day of a window by its number (0 is the anchor's), and the number of today's."""
    if unit == "mo":
        first_month = anchor.year * MONTHS_A_YEAR + anchor.month - 1
        this_month = today.year * MONTHS_A_YEAR + today.month - 1

        def month_opens(number: int) -> date:
            year, month = divmod(first_month + number * count, MONTHS_A_YEAR)
            return date(year, month + 1, 1)

        return month_opens, (this_month - first_month) // count
    first = anchor - timedelta(days=anchor.weekday()) if unit == "w" else anchor
    step = 7 * count if unit == "w" else count
    return lambda number: first + timedelta(days=number * step), (today - first).days // step
