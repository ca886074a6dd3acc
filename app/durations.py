"""Durations as people write them ("20m", "30d", "1mo"): how long a key lives, when a budget's window opens and ends."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
WINDOWS_BY_WORD = {"daily": (1, "d"), "weekly": (1, "w"), "monthly": (1, "mo")}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS_A_WEEK, MONTHS_A_YEAR = 7, 12

# A hundred years never hold more than 25 leap days, so the two limits mean the same span.
MOST_MONTHS = 100 * MONTHS_A_YEAR
MOST_SECONDS = 36_525 * 86_400

_FORM = re.compile(r"([1-9][0-9]*)(mo|[smhdw])")
# More than the longest name of a time zone, which has 32.
_SHOWN_CHARACTERS = 40
# The share of letters in common from which one name may be meant for another: a slip or two.
_LIKE_ENOUGH = 0.8


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


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the windows of a budget follow one another; `anchor` (aware) is when the budget began.

    Seconds, minutes, hours and two days or more are counted from the anchor's second, whatever clocks do. One day,
    weeks and months run from one midnight in `zone` to another: weeks from the day `week_start` (0 is Monday, 6 is
    Sunday), months from the first. Several weeks or months are counted from the anchor's.

    Both methods raise ValueError where `check_window` does.
    """

    duration: str
    anchor: datetime
    zone: tzinfo = UTC
    week_start: int = 0

    def window_at(self, at: datetime) -> Window:
        """Find the window in which `at` (aware) lies."""
        return self._window(math.floor(at.timestamp()))

    def window_before(self, at: datetime) -> Window | None:
        """Find the window before the one in which `at` (aware) lies; None if that is the anchor's, or earlier."""
        present = self.window_at(at)
        return None if present.start <= self.anchor.timestamp() else self._window(present.start - 1)

    def _window(self, moment: int) -> Window:
        count, unit = _parsed_window(self.duration)
        if unit in ("w", "mo") or (count, unit) == (1, "d"):
            return self._calendar_window(count, unit, moment)
        length = count * SECONDS_BY_UNIT[unit]
        first = math.floor(self.anchor.timestamp())
        start = first + (moment - first) // length * length
        return Window(start, start + length)

    def _calendar_window(self, count: int, unit: str, moment: int) -> Window:
        today = datetime.fromtimestamp(moment, self.zone).date()
        day_of, number = self._calendar(count, unit, today)

        def opens(number: int) -> int:
            # Where clocks skip midnight this is the moment of the skip, where it comes twice the first of the two.
            return math.floor(datetime.combine(day_of(number), time(), self.zone).timestamp())

        # Where clocks are set back over midnight, the date of yesterday comes again in today's window.
        while opens(number + 1) <= moment:
            number += 1
        return Window(opens(number), opens(number + 1))

    def _calendar(self, count: int, unit: str, today: date) -> tuple[Callable[[int], date], int]:
        """Give the first day of a window by its number (0 is the anchor's), and the number of today's."""
        first = self.anchor.astimezone(self.zone).date()
        if unit == "mo":
            first_month = first.year * MONTHS_A_YEAR + first.month - 1
            this_month = today.year * MONTHS_A_YEAR + today.month - 1

            def month_opens(number: int) -> date:
                year, month = divmod(first_month + number * count, MONTHS_A_YEAR)
                return date(year, month + 1, 1)

            return month_opens, (this_month - first_month) // count
        step = count
        if unit == "w":
            first -= timedelta(days=(first.weekday() - self.week_start) % DAYS_A_WEEK)
            step = DAYS_A_WEEK * count
        return lambda number: first + timedelta(days=number * step), (today - first).days // step


@cache
def zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name. Raises ValueError, worded for the caller, for anything else."""
    # Only listed names reach ZoneInfo, which looks them up as paths of files.
    if name in _zone_names():
        return ZoneInfo(name)
    if (meant := _zone_meant(name)) is not None:
        raise ValueError(f'"{_shown(name)}" is no time zone; did you mean "{meant}"?')
    raise ValueError(
        f'"{_shown(name)}" is no time zone. Expected an IANA name, '
        'for example "Europe/Berlin", "America/New_York" or "UTC".'
    )


def week_start(name: str) -> int:
    """Number a day of the week by its English name: 0 is Monday. Raises ValueError, worded for the caller."""
    if name.lower() not in WEEKDAYS:
        raise ValueError(f'"{_shown(name)}" is no day of the week. Expected one of {", ".join(WEEKDAYS)}.')
    return WEEKDAYS.index(name.lower())


def _parsed(text: str) -> tuple[int, str]:
    """("20m") -> (20, "m")."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            f'"{_shown(text)}" is not a duration. Expected a whole number above 0 and a unit (s, m, h, d, w or mo), '
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


@cache
def _zone_names() -> frozenset[str]:
    """Every zone that this machine or the package tzdata knows, without the two that name no place."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _zone_meant(name: str) -> str | None:
    """The zone that is written most like `name`, by its whole name or by its city; None if none is much like it."""
    spellings = {"utc": "UTC"}
    # Etc/GMT+2 is two hours west of Greenwich; hardly anybody who writes GMT+2 means that.
    for known in sorted(known for known in _zone_names() if "/" in known and not known.startswith("Etc/")):
        spellings[known.lower()] = known
        spellings.setdefault(known.rpartition("/")[2].lower(), known)
    sought = name[:_SHOWN_CHARACTERS].lower().replace(" ", "_")
    close = get_close_matches(sought, spellings, n=1, cutoff=_LIKE_ENOUGH)
    return spellings[close[0]] if close else None


def _shown(text: str) -> str:
    """Text of the caller as an error repeats it, cut where it is long."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
