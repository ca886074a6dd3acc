"""Durations, time zones and days of the week as people write them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.durations import check_window, seconds, week_start, zone

HOUR, DAY = 3600, 86_400

moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (given there)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(moments, st.integers(1, 1200))
def test_a_month_keeps_the_day_or_takes_the_months_last(now: datetime, months: int) -> None:
    later = now + timedelta(seconds=seconds(f"{months}mo", now))

    assert later.day == now.day or (later.day < now.day and (later + timedelta(days=1)).day == 1)


@given(moments, st.integers(1, 1200))
def test_months_are_counted_on_the_calendar(now: datetime, months: int) -> None:
    later = now + timedelta(seconds=seconds(f"{months}mo", now))

    assert (later.year * 12 + later.month) - (now.year * 12 + now.month) == months


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("20m", 1200), ("1h", HOUR), ("1d", DAY), ("1w", 7 * DAY), ("36525d", 36_525 * DAY)],
)
def test_a_lifetime_in_seconds(text: str, expected: int) -> None:
    assert seconds(text, utc("2026-11-23")) == expected


@pytest.mark.parametrize(
    ("now", "text", "later"),
    [
        ("2026-01-31T10:00", "1mo", "2026-02-28T10:00"),
        ("2028-01-31T10:00", "1mo", "2028-02-29T10:00"),
        ("2028-02-29T10:00", "12mo", "2029-02-28T10:00"),
        ("2026-03-31T10:00", "1mo", "2026-04-30T10:00"),
        ("2026-12-15T10:00", "1mo", "2027-01-15T10:00"),
        ("2026-11-30T10:00", "13mo", "2027-12-30T10:00"),
        ("2026-01-01T00:00", "1200mo", "2126-01-01T00:00"),
    ],
)
def test_a_month_later(now: str, text: str, later: str) -> None:
    assert utc(now) + timedelta(seconds=seconds(text, utc(now))) == utc(later)


BAD = ["", "0s", "00m", "007d", "20x", "1.5h", "-1d", "+1d", "60", "1y", "20minutes", "1D", " 1d", "1d ", "1d\n", "mo"]


@pytest.mark.parametrize("text", [*BAD, "\N{ARABIC-INDIC DIGIT ONE}d", "daily", "monthly"])
def test_what_is_no_lifetime_is_refused_and_told_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a duration\. Expected a whole number above 0 and a unit .*"20m"'):
        seconds(text, utc("2026-11-23"))


@pytest.mark.parametrize("text", [*BAD, "hourly", "yearly", "Daily"])
def test_what_is_no_window_is_refused_and_told_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="A budget can also be daily, weekly or monthly"):
        check_window(text)


@pytest.mark.parametrize("text", ["36526d", "1201mo", "5218w", "3155760001s", "9" * 5000 + "s"])
def test_more_than_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 100 years"):
        seconds(text, utc("2026-11-23"))


def test_a_long_text_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match=r"^.{,250}$"):
        check_window("x" * 10_000)


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+2", "US/Pacific"]
)
def test_a_time_zone_is_found_by_its_name(name: str) -> None:
    assert zone(name) == ZoneInfo(name)


def test_every_zone_of_a_place_is_found() -> None:
    names = {name for name in available_timezones() if "/" in name}

    assert {zone(name).key for name in names} == names


def test_a_zone_is_read_once() -> None:
    assert zone("Asia/Kathmandu") is zone("Asia/Kathmandu")


def test_a_machine_without_time_zones_takes_them_from_a_package() -> None:
    code = "from app.durations import zone; print(zone('Europe/Berlin'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONTZPATH": ""},
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.stdout == "Europe/Berlin\n", done.stderr


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Europe/Berlinn", "Europe/Berlin"),
        ("Europe/Belrin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        (" Europe/Berlin\n", "Europe/Berlin"),
        ("Europe//Berlin", "Europe/Berlin"),
        ("right/Europe/Berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("US/Pacfic", "US/Pacific"),
        ("utc", "UTC"),
    ],
)
def test_a_slip_in_the_name_of_a_zone_is_answered_with_the_name_that_was_meant(written: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f'is no time zone; did you mean "{meant}"\\?$'):
        zone(written)


NO_ZONES = ["", "/", ".", "..", "Europe", "Europe/", "\0", "\ud800", "🕛", "UTC+2", "GMT+2", "+02:00", "CEST", "Munich"]
PATHS = ["../../etc/passwd", "/etc/passwd", "/usr/share/zoneinfo/UTC", "Europe/../UTC", "./UTC", "..\\UTC", "C:\\UTC"]
# Files that lie beside the zones, and what a machine calls its own zone.
BESIDE = ["tzdata.zi", "zone.tab", "posixrules", "localtime", "Factory", "__init__.py"]


@pytest.mark.parametrize("name", [*NO_ZONES, *PATHS, *BESIDE, "x/" * 100_000])
def test_what_is_no_time_zone_is_refused_and_told_what_is(name: str) -> None:
    with pytest.raises(ValueError, match=r'is no time zone\. Expected an IANA name, for example "Europe/Berlin"'):
        zone(name)


@given(st.text())
def test_any_text_is_a_zone_or_is_refused(name: str) -> None:
    try:
        found = zone(name).key
    except ValueError as error:
        assert "is no time zone" in str(error)  # noqa: PT017 (a text may also name a zone)
    else:
        assert found == name


def test_a_long_name_of_a_zone_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match=r"^.{,250}$"):
        zone("x" * 10_000)


def test_names_that_are_refused_are_not_kept() -> None:
    before = zone.cache_info().currsize
    for number in range(10):
        with pytest.raises(ValueError, match="is no time zone"):
            zone(f"Nowhere/{number}")

    assert zone.cache_info().currsize == before


DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@pytest.mark.parametrize(("number", "name"), list(enumerate(DAYS)))
def test_days_of_the_week_are_counted_from_monday(number: int, name: str) -> None:
    assert week_start(name) == number


@pytest.mark.parametrize("name", ["Sunday", "SUNDAY", "sunDay"])
def test_a_day_of_the_week_is_known_in_any_case(name: str) -> None:
    assert week_start(name) == 6


@pytest.mark.parametrize("name", ["", "sun", "6", "Sonntag", "sundays", " sunday", "sunday\n", "monday, tuesday", "\0"])
def test_what_is_no_day_of_the_week_is_refused_and_told_what_is(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no day of the week\. Expected one of monday, tuesday, .*, sunday\."):
        week_start(name)


def test_a_long_name_of_a_day_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match=r"^.{,250}$"):
        week_start("x" * 10_000)
