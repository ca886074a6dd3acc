"""Windows of budgets on dates that are out of the ordinary, and on plain ones."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from app.durations import Schedule, Window

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
# Midnight is skipped in Cairo and Beirut, and was in São Paulo until 2018; it comes twice in Havana.
CAIRO, BEIRUT, SAO_PAULO, HAVANA = map(ZoneInfo, ("Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo", "America/Havana"))
# Until 2011 the clocks of St. John's went back from 00:01 to 23:01 of the day before. Apia left out 2011-12-30.
ST_JOHNS, APIA = ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")

HOUR, DAY = 3600, 86_400
SATURDAY, SUNDAY = 5, 6

# When clocks are set forward in spring, and back in autumn, with the hours of that day.
CHANGES = [
    (BERLIN, "2026-03-29", 23),
    (BERLIN, "2026-10-25", 25),
    (NEW_YORK, "2026-03-08", 23),
    (NEW_YORK, "2026-11-01", 25),
    (LORD_HOWE, "2026-10-04", 23.5),
    (LORD_HOWE, "2026-04-05", 24.5),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: tzinfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def during(text: str, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(local(text, zone), UTC)


def between(start: str, end: str, zone: tzinfo) -> Window:
    """The window between two local times."""
    return Window(local(start, zone), local(end, zone))


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_the_day_on_which_clocks_change_is_shorter_or_longer(zone: tzinfo, day: str, hours: float) -> None:
    at = during(f"{day}T12:00", zone)
    start = local(f"{day}T00:00", zone)

    assert Schedule("1d", at, zone).window_at(at) == Window(start, start + int(hours * HOUR))


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_the_week_in_which_clocks_change_is_shorter_or_longer(zone: tzinfo, day: str, hours: float) -> None:
    at = during(f"{day}T12:00", zone)
    start = local(f"{day}T00:00", zone)

    # All of these days are Sundays.
    assert Schedule("1w", at, zone, SUNDAY).window_at(at) == Window(start, start + 6 * DAY + int(hours * HOUR))


@pytest.mark.parametrize(("zone", "day"), [change[:2] for change in CHANGES])
def test_the_day_before_clocks_change_is_a_full_one(zone: tzinfo, day: str) -> None:
    at = during(f"{day}T12:00", zone)
    start = local(f"{day}T00:00", zone)

    assert Schedule("1d", utc("2026-01-01"), zone).window_before(at) == Window(start - DAY, start)


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_the_day_on_which_clocks_changed_is_the_window_before_the_next(zone: tzinfo, day: str, hours: float) -> None:
    start = local(f"{day}T00:00", zone)
    changed = Window(start, start + int(hours * HOUR))

    next_day = datetime.fromtimestamp(changed.end, UTC)
    assert Schedule("1d", utc("2026-01-01"), zone).window_before(next_day) == changed


@pytest.mark.parametrize(("zone", "day"), [change[:2] for change in CHANGES])
def test_twenty_four_hours_stay_so_when_clocks_change(zone: tzinfo, day: str) -> None:
    at = during(f"{day}T00:00", zone)
    start = int(at.timestamp())

    assert Schedule("24h", at, zone).window_at(at) == Window(start, start + DAY)


@pytest.mark.parametrize(
    ("zone", "month", "following", "days", "hours"),
    [
        (BERLIN, "2026-03", "2026-04", 31, -1),
        (BERLIN, "2026-10", "2026-11", 31, 1),
        (NEW_YORK, "2026-03", "2026-04", 31, -1),
        (NEW_YORK, "2026-11", "2026-12", 30, 1),
        (LORD_HOWE, "2026-10", "2026-11", 31, -0.5),
        (LORD_HOWE, "2026-04", "2026-05", 30, 0.5),
    ],
)
def test_the_month_in_which_clocks_change_is_shorter_or_longer(
    zone: tzinfo, month: str, following: str, days: int, hours: float
) -> None:
    window = Schedule("1mo", utc("2026-01-01"), zone).window_at(during(f"{month}-15T12:00", zone))

    assert window == between(f"{month}-01", f"{following}-01", zone)
    assert window.end - window.start == days * DAY + int(hours * HOUR)


@pytest.mark.parametrize(
    ("zone", "day", "following"),
    [
        (SAO_PAULO, "2018-11-04", "2018-11-05"),
        (BEIRUT, "2022-03-27", "2022-03-28"),
        (CAIRO, "2024-04-26", "2024-04-27"),
    ],
)
def test_a_day_without_midnight_opens_with_its_first_hour(zone: tzinfo, day: str, following: str) -> None:
    at = during(f"{day}T12:00", zone)
    window = Schedule("1d", at, zone).window_at(at)

    assert window == between(f"{day}T01:00", f"{following}T00:00", zone)
    assert window.end - window.start == 23 * HOUR


@pytest.mark.parametrize(("zone", "day"), [(SAO_PAULO, "2018-11-04"), (BEIRUT, "2022-03-27"), (CAIRO, "2024-04-26")])
def test_the_day_before_a_skipped_midnight_ends_with_the_skip(zone: tzinfo, day: str) -> None:
    skip = local(f"{day}T01:00", zone)

    before = Schedule("1d", utc("2018-01-01"), zone).window_before(datetime.fromtimestamp(skip, UTC))
    assert before == Window(skip - DAY, skip)


def test_a_week_opens_with_the_skip_of_its_first_midnight() -> None:
    # São Paulo went from midnight to one o'clock on a Sunday.
    at = during("2018-11-07T12:00", SAO_PAULO)

    assert Schedule("1w", at, SAO_PAULO, SUNDAY).window_at(at) == between("2018-11-04T01:00", "2018-11-11", SAO_PAULO)


def test_a_day_that_loses_midnight_to_its_own_last_hour_ends_after_it_came_twice() -> None:
    # At midnight on 2018-02-18 it was 23:00 on the 17th again.
    at = during("2018-02-17T12:00", SAO_PAULO)
    start = local("2018-02-17", SAO_PAULO)

    assert Schedule("1d", at, SAO_PAULO).window_at(at) == Window(start, start + 25 * HOUR)


def test_a_day_opens_with_the_first_of_two_midnights() -> None:
    # At one o'clock on 2026-11-01 it was midnight again.
    at = during("2026-11-01T12:00", HAVANA)
    first_midnight = local("2026-11-02", HAVANA) - 25 * HOUR

    assert Schedule("1d", at, HAVANA).window_at(at).start == first_midnight


def test_the_window_before_passes_over_a_day_that_was_left_out() -> None:
    at = during("2011-12-31T12:00", APIA)

    assert Schedule("1d", utc("2011-12-01"), APIA).window_before(at) == between("2011-12-29", "2011-12-31", APIA)


def test_a_week_whose_first_day_is_left_out_opens_on_its_second() -> None:
    at = during("2012-01-02T12:00", APIA)
    friday = 4

    assert Schedule("1w", at, APIA, friday).window_at(at) == between("2011-12-31", "2012-01-06", APIA)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_runs_from_first_to_first(zone: tzinfo, month: int) -> None:
    at = during(f"2026-{month:02d}-15T12:00", zone)
    after = f"2026-{month + 1:02d}" if month < 12 else "2027-01"

    window = Schedule("1mo", at, zone).window_at(at)

    assert window == Window(local(f"2026-{month:02d}-01T00:00", zone), local(f"{after}-01T00:00", zone))


def test_the_evening_that_comes_twice_is_in_one_window() -> None:
    # At 00:01 on 2010-11-07 it was 23:01 on the 6th again.
    midnight = local("2010-11-07T00:00", ST_JOHNS)
    again = datetime.fromtimestamp(midnight + HOUR // 2, UTC)

    assert Schedule("1d", again, ST_JOHNS).window_at(again) == Window(midnight, midnight + 25 * HOUR)


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

    window = Schedule(duration, made).window_at(made)

    assert window == Window(int(utc(start).timestamp()), int(utc(end).timestamp()))


def test_weeks_are_counted_from_the_week_of_the_anchor() -> None:
    window = Schedule("2w", utc("2026-11-26T12:00")).window_at(utc("2026-12-10T12:00"))

    assert window.start == utc("2026-12-07").timestamp()


def test_months_are_counted_from_the_month_of_the_anchor() -> None:
    window = Schedule("5mo", utc("2026-11-26T12:00")).window_at(utc("2027-04-01T00:00"))

    assert window.start == utc("2027-04-01").timestamp()


def test_a_window_before_the_anchor_exists_too() -> None:
    # The clocks of two hosts may differ by a little.
    window = Schedule("1h", utc("2026-11-23T12:00")).window_at(utc("2026-11-23T11:59:59"))

    assert window.end == utc("2026-11-23T12:00").timestamp()


def test_the_window_of_a_leap_day_is_that_day() -> None:
    at = utc("2028-02-29T12:00")

    assert Schedule("1d", at).window_at(at) == Window(
        int(utc("2028-02-29").timestamp()), int(utc("2028-03-01").timestamp())
    )


@pytest.mark.parametrize(
    ("week_start", "start", "end"),
    [
        (0, "2026-11-23", "2026-11-30"),
        (1, "2026-11-24", "2026-12-01"),
        (2, "2026-11-25", "2026-12-02"),
        (3, "2026-11-19", "2026-11-26"),
        (4, "2026-11-20", "2026-11-27"),
        (5, "2026-11-21", "2026-11-28"),
        (6, "2026-11-22", "2026-11-29"),
    ],
)
def test_the_week_of_a_wednesday_by_the_day_on_which_weeks_start(week_start: int, start: str, end: str) -> None:
    wednesday = utc("2026-11-25T12:00")

    assert Schedule("weekly", wednesday, UTC, week_start).window_at(wednesday) == between(start, end, UTC)


def test_a_week_from_sunday_ends_with_saturday() -> None:
    saturday = utc("2026-11-28T23:59:59")

    assert Schedule("1w", saturday, UTC, SUNDAY).window_at(saturday) == between("2026-11-22", "2026-11-29", UTC)


def test_the_day_of_the_week_is_that_of_the_zone() -> None:
    # In New York it is still Saturday evening.
    sunday = utc("2026-11-29T03:00")

    window = Schedule("1w", sunday, NEW_YORK, SUNDAY).window_at(sunday)

    assert window == between("2026-11-22", "2026-11-29", NEW_YORK)


def test_pairs_of_weeks_from_sunday_are_counted_from_the_anchors_sunday() -> None:
    window = Schedule("2w", utc("2026-11-28T12:00"), UTC, SUNDAY).window_at(utc("2026-12-06"))

    assert window == between("2026-12-06", "2026-12-20", UTC)


def test_the_week_before_reaches_into_the_old_year() -> None:
    before = Schedule("1w", utc("2026-01-01"), UTC, SATURDAY).window_before(utc("2027-01-05T12:00"))

    assert before == between("2026-12-26", "2027-01-02", UTC)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        (BERLIN, "2026-01-31T22:59:59", "2026-01-01", "2026-02-01"),
        (BERLIN, "2026-01-31T23:00:00", "2026-02-01", "2026-03-01"),
        (NEW_YORK, "2026-03-01T04:59:59", "2026-02-01", "2026-03-01"),
        (NEW_YORK, "2026-03-01T05:00:00", "2026-03-01", "2026-04-01"),
        (LORD_HOWE, "2026-12-31T12:59:59", "2026-12-01", "2027-01-01"),
        (LORD_HOWE, "2026-12-31T13:00:00", "2027-01-01", "2027-02-01"),
    ],
)
def test_a_month_ends_at_the_midnight_of_the_zone(zone: tzinfo, at: str, start: str, end: str) -> None:
    assert Schedule("1mo", utc("2025-01-31T12:00"), zone).window_at(utc(at)) == between(start, end, zone)


def test_the_month_before_march_has_a_leap_day_in_a_leap_year() -> None:
    before = Schedule("1mo", utc("2027-12-31"), BERLIN).window_before(utc("2028-03-31T12:00"))

    assert before == between("2028-02-01", "2028-03-01", BERLIN)
    assert before.end - before.start == 29 * DAY


def test_the_day_before_the_first_of_march_is_the_leap_day() -> None:
    before = Schedule("1d", utc("2028-01-01"), NEW_YORK).window_before(during("2028-03-01T12:00", NEW_YORK))

    assert before == between("2028-02-29", "2028-03-01", NEW_YORK)


def test_a_year_from_a_leap_day_is_counted_from_the_first_of_its_month() -> None:
    window = Schedule("12mo", utc("2028-02-29T12:00"), BERLIN).window_at(utc("2029-02-28T12:00"))

    assert window == between("2029-02-01", "2030-02-01", BERLIN)


@pytest.mark.parametrize("duration", ["20m", "24h", "7d", "1d", "weekly", "2w", "monthly"])
def test_before_the_anchors_window_there_is_none(duration: str) -> None:
    made = utc("2026-11-23T22:45:10")

    assert Schedule(duration, made).window_before(made) is None


@pytest.mark.parametrize("duration", ["20m", "7d", "1d", "monthly"])
def test_before_windows_earlier_than_the_anchors_there_is_none_either(duration: str) -> None:
    made = utc("2026-11-23T22:45:10")

    assert Schedule(duration, made).window_before(utc("2025-11-23")) is None


def test_the_second_window_follows_the_anchors_although_that_began_before_the_anchor() -> None:
    before = Schedule("monthly", utc("2026-11-23T22:45:10")).window_before(utc("2026-12-01"))

    assert before == between("2026-11-01", "2026-12-01", UTC)


def test_an_anchor_within_a_second_counts_from_that_second() -> None:
    made = utc("2026-11-23T22:45:10.900")

    assert Schedule("1s", made).window_before(utc("2026-11-23T22:45:11")) == between(
        "2026-11-23T22:45:10", "2026-11-23T22:45:11", UTC
    )
