"""Durations: windows tile time, and calendar windows open at the midnights of their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.durations import Window, check_window, seconds, window_at

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
# Midnight is skipped in Cairo and Beirut, comes twice in Havana; Apia left out a whole day in 2011.
ODD_ZONES = [ZoneInfo(name) for name in ("Africa/Cairo", "Asia/Beirut", "America/Havana", "Pacific/Apia")]
# Until 2011 the clocks of St. John's went back from 00:01 to 23:01 of the day before.
ST_JOHNS = ZoneInfo("America/St_Johns")

HOUR, DAY = 3600, 86_400

zones = st.sampled_from([UTC, BERLIN, NEW_YORK, LORD_HOWE, ST_JOHNS, *ODD_ZONES])
moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (given there)
calendar = st.one_of(
    st.sampled_from(["daily", "weekly", "monthly", "1d"]),
    st.builds("{}w".format, st.integers(1, 60)),
    st.builds("{}mo".format, st.integers(1, 30)),
)
rolling = st.one_of(
    st.builds("{}{}".format, st.integers(1, 10_000), st.sampled_from("smh")),
    st.builds("{}d".format, st.integers(2, 400)),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: tzinfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


@given(st.one_of(calendar, rolling), moments, moments, zones)
def test_a_window_contains_its_moment(duration: str, anchor: datetime, at: datetime, zone: tzinfo) -> None:
    window = window_at(duration, anchor, at, zone)

    assert window.start <= at.timestamp() < window.end


@given(st.one_of(calendar, rolling), moments, moments, zones)
def test_the_next_window_opens_where_one_ends(duration: str, anchor: datetime, at: datetime, zone: tzinfo) -> None:
    window = window_at(duration, anchor, at, zone)
    following = window_at(duration, anchor, datetime.fromtimestamp(window.end, UTC), zone)

    assert following.start == window.end


@given(st.one_of(calendar, rolling), moments, moments, zones)
def test_a_window_is_the_same_to_its_last_second(duration: str, anchor: datetime, at: datetime, zone: tzinfo) -> None:
    window = window_at(duration, anchor, at, zone)

    assert window_at(duration, anchor, datetime.fromtimestamp(window.end - 1, UTC), zone) == window


@given(st.one_of(calendar, rolling), moments, moments, zones)
def test_a_window_is_the_same_from_its_first_second(
    duration: str, anchor: datetime, at: datetime, zone: tzinfo
) -> None:
    window = window_at(duration, anchor, at, zone)

    assert window_at(duration, anchor, datetime.fromtimestamp(window.start, UTC), zone) == window


@given(calendar, moments, moments, st.sampled_from([UTC, BERLIN, NEW_YORK, LORD_HOWE]))
def test_a_calendar_window_opens_at_midnight(duration: str, anchor: datetime, at: datetime, zone: tzinfo) -> None:
    opening = datetime.fromtimestamp(window_at(duration, anchor, at, zone).start, zone)

    assert (opening.hour, opening.minute, opening.second) == (0, 0, 0)


@given(rolling, moments, moments, zones)
def test_a_rolling_window_ignores_the_zone(duration: str, anchor: datetime, at: datetime, zone: tzinfo) -> None:
    assert window_at(duration, anchor, at, zone) == window_at(duration, anchor, at, UTC)


@given(rolling, moments, moments)
def test_a_rolling_window_is_as_long_as_it_says(duration: str, anchor: datetime, at: datetime) -> None:
    window = window_at(duration, anchor, at)

    assert window.end - window.start == seconds(duration, at)


@given(moments, st.integers(1, 1200))
def test_a_month_keeps_the_day_or_takes_the_months_last(now: datetime, months: int) -> None:
    later = now + timedelta(seconds=seconds(f"{months}mo", now))

    assert later.day == now.day or (later.day < now.day and (later + timedelta(days=1)).day == 1)


@given(moments, st.integers(1, 1200))
def test_months_are_counted_on_the_calendar(now: datetime, months: int) -> None:
    later = now + timedelta(seconds=seconds(f"{months}mo", now))

    assert (later.year * 12 + later.month) - (now.year * 12 + now.month) == months


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
        (LORD_HOWE, "2026-10-04", 23.5),
        (LORD_HOWE, "2026-04-05", 24.5),
    ],
)
def test_the_day_on_which_clocks_change_is_shorter_or_longer(zone: tzinfo, day: str, hours: float) -> None:
    at = datetime.fromtimestamp(local(f"{day}T12:00", zone), UTC)
    start = local(f"{day}T00:00", zone)

    assert window_at("1d", at, at, zone) == Window(start, start + int(hours * HOUR))


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_runs_from_first_to_first(zone: tzinfo, month: int) -> None:
    at = datetime.fromtimestamp(local(f"2026-{month:02d}-15T12:00", zone), UTC)
    after = f"2026-{month + 1:02d}" if month < 12 else "2027-01"

    window = window_at("1mo", at, at, zone)

    assert window == Window(local(f"2026-{month:02d}-01T00:00", zone), local(f"{after}-01T00:00", zone))


def test_the_evening_that_comes_twice_is_in_one_window() -> None:
    # At 00:01 on 2010-11-07 it was 23:01 on the 6th again.
    midnight = local("2010-11-07T00:00", ST_JOHNS)
    again = datetime.fromtimestamp(midnight + 30 * 60, UTC)

    assert window_at("1d", again, again, ST_JOHNS) == Window(midnight, midnight + 25 * HOUR)


def test_a_day_without_midnight_opens_with_its_first_hour() -> None:
    cairo = ODD_ZONES[0]
    at = datetime.fromtimestamp(local("2024-04-26T12:00", cairo), UTC)

    assert window_at("1d", at, at, cairo).start == local("2024-04-26T01:00", cairo)


@pytest.mark.parametrize(
    ("duration", "start", "end"),
    [
        ("20m", "2026-11-23T22:45:10", "2026-11-23T23:05:10"),
        ("24h", "2026-11-23T22:45:10", "2026-11-24T22:45:10"),
        ("48h", "2026-11-23T22:45:10", "2026-11-25T22:45:10"),
        ("7d", "2026-11-23T22:45:10", "2026-11-30T22:45:10"),
        ("30d", "2026-11-23T22:45:10", "2026-12-23T22:45:10"),
        ("1d", "2026-11-23", "2026-11-24"),
        ("daily", "2026-11-23", "2026-11-24"),
        ("1w", "2026-11-23", "2026-11-30"),
        ("weekly", "2026-11-23", "2026-11-30"),
        ("2w", "2026-11-23", "2026-12-07"),
        ("1mo", "2026-11-01", "2026-12-01"),
        ("monthly", "2026-11-01", "2026-12-01"),
        ("3mo", "2026-11-01", "2027-02-01"),
    ],
)
def test_the_first_window_of_a_budget_made_on_a_monday_evening(duration: str, start: str, end: str) -> None:
    made = utc("2026-11-23T22:45:10")

    window = window_at(duration, made, made)

    assert window == Window(int(utc(start).timestamp()), int(utc(end).timestamp()))


def test_weeks_are_counted_from_the_week_of_the_anchor() -> None:
    window = window_at("2w", utc("2026-11-26T12:00"), utc("2026-12-10T12:00"))

    assert window.start == utc("2026-12-07").timestamp()


def test_months_are_counted_from_the_month_of_the_anchor() -> None:
    window = window_at("5mo", utc("2026-11-26T12:00"), utc("2027-04-01T00:00"))

    assert window.start == utc("2027-04-01").timestamp()


def test_a_window_before_the_anchor_exists_too() -> None:
    # The clocks of two hosts may differ by a little.
    window = window_at("1h", utc("2026-11-23T12:00"), utc("2026-11-23T11:59:59"))

    assert window.end == utc("2026-11-23T12:00").timestamp()


def test_the_window_of_a_leap_day_is_that_day() -> None:
    at = utc("2028-02-29T12:00")

    assert window_at("1d", at, at) == Window(int(utc("2028-02-29").timestamp()), int(utc("2028-03-01").timestamp()))


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


@given(st.one_of(calendar, rolling))
def test_what_can_be_a_window_passes_the_check(text: str) -> None:
    check_window(text)


@pytest.mark.parametrize("text", ["36526d", "1201mo", "5218w", "3155760001s", "9" * 5000 + "s"])
def test_more_than_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 100 years"):
        seconds(text, utc("2026-11-23"))


def test_a_long_text_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match=r"^.{,250}$"):
        check_window("x" * 10_000)
