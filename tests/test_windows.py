"""Windows of budgets: they tile time, and calendar windows open at the midnights of their zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.durations import Schedule, check_window, seconds

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
# Midnight is skipped in Cairo and Beirut, and was in São Paulo until 2018; it comes twice in Havana.
CAIRO, BEIRUT, SAO_PAULO, HAVANA = map(ZoneInfo, ("Africa/Cairo", "Asia/Beirut", "America/Sao_Paulo", "America/Havana"))
# Until 2011 the clocks of St. John's went back from 00:01 to 23:01 of the day before. Apia left out 2011-12-30.
ST_JOHNS, APIA = ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")
# In 2018 Pyongyang went from 23:30 to midnight; from 2024 on Nuuk goes from 23:00 to midnight.
PYONGYANG, NUUK = ZoneInfo("Asia/Pyongyang"), ZoneInfo("America/Nuuk")

MONDAY, SUNDAY = 0, 6
FIRST_YEAR, LAST_YEAR = 2000, 2060

whole_zones = [UTC, BERLIN, NEW_YORK, LORD_HOWE, CAIRO, BEIRUT, SAO_PAULO, HAVANA, ST_JOHNS, PYONGYANG, NUUK]
zones = st.sampled_from([*whole_zones, APIA])
moments = st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
calendar = st.one_of(
    st.sampled_from(["daily", "weekly", "monthly", "1d"]),
    st.builds("{}w".format, st.integers(1, 60)),
    st.builds("{}mo".format, st.integers(1, 30)),
)
rolling = st.one_of(
    st.builds("{}{}".format, st.integers(1, 10_000), st.sampled_from("smh")),
    st.builds("{}d".format, st.integers(2, 400)),
)
week_starts = st.integers(MONDAY, SUNDAY)


@cache
def changes(zone: tzinfo) -> list[datetime]:
    """The days from 2000 to 2060, to their noon in UTC, on which the zone's clocks change."""
    noons = [datetime(FIRST_YEAR, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(60 * 365)]
    offsets = [noon.astimezone(zone).utcoffset() for noon in noons]
    return [noons[day] for day in range(1, len(noons)) if offsets[day] != offsets[day - 1]]


def near_changes(zone: tzinfo) -> st.SearchStrategy[datetime]:
    """Moments within two days of a change of the zone's clocks."""
    nearby = st.timedeltas(timedelta(days=-2), timedelta(days=2))
    return st.builds(lambda change, by: change + by, st.sampled_from(changes(zone)), nearby)


def moments_in(zone: tzinfo) -> st.SearchStrategy[datetime]:
    """Moments of which many are near a change of the zone's clocks."""
    return st.one_of(moments, near_changes(zone)) if changes(zone) else moments


@st.composite
def cases(
    draw: st.DrawFn,
    durations: st.SearchStrategy[str] = calendar | rolling,
    zones: st.SearchStrategy[tzinfo] = zones,
) -> tuple[Schedule, datetime]:
    """A schedule and a moment."""
    zone = draw(zones)
    anchor, at = draw(moments_in(zone)), draw(moments_in(zone))
    return Schedule(draw(durations), anchor, zone, draw(week_starts)), at


def moment(second: int, zone: tzinfo = UTC) -> datetime:
    return datetime.fromtimestamp(second, zone)


@given(cases())
def test_a_window_contains_its_moment(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = schedule.window_at(at)

    assert window.start <= at.timestamp() < window.end


@given(cases())
def test_the_next_window_opens_where_one_ends(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = schedule.window_at(at)

    assert schedule.window_at(moment(window.end)).start == window.end


@given(cases(), st.data())
def test_a_window_is_the_same_in_all_its_seconds(case: tuple[Schedule, datetime], data: st.DataObject) -> None:
    schedule, at = case
    window = schedule.window_at(at)
    second = data.draw(st.sampled_from([window.start, window.end - 1]) | st.integers(window.start, window.end - 1))

    assert schedule.window_at(moment(second)) == window


@given(cases())
def test_the_window_before_ends_where_the_present_one_begins(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    later = moment(schedule.window_at(max(at, schedule.anchor)).end)
    before = schedule.window_before(later)

    assert before is not None
    assert before.end == schedule.window_at(later).start


@given(cases())
def test_the_window_before_is_the_one_that_was_open_then(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = schedule.window_at(max(at, schedule.anchor))

    assert schedule.window_before(moment(window.end)) == window


@given(cases())
def test_there_is_a_window_before_exactly_from_the_second_window_on(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    first = schedule.window_at(schedule.anchor)

    assert (schedule.window_before(at) is not None) == (at.timestamp() >= first.end)


@given(cases(), st.integers(1, 12))
def test_as_many_windows_lead_back_to_the_anchor_as_lead_away_from_it(
    case: tuple[Schedule, datetime], steps: int
) -> None:
    schedule, _ = case
    forth = [schedule.window_at(schedule.anchor)]
    for _ in range(steps):
        forth.append(schedule.window_at(moment(forth[-1].end)))
    back = [forth[-1]]
    while (before := schedule.window_before(moment(back[-1].start))) is not None:
        back.append(before)

    assert back == forth[::-1]


@given(cases(calendar))
def test_a_calendar_window_opens_at_midnight_or_when_midnight_is_skipped(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    start = schedule.window_at(at).start
    opening, second_before = moment(start, schedule.zone), moment(start - 1, schedule.zone)

    skipped = opening.utcoffset() != second_before.utcoffset()
    assert opening.date() > second_before.date()
    assert opening.time() == time() or skipped


@given(cases(calendar, st.sampled_from([UTC, BERLIN, NEW_YORK, LORD_HOWE])))
def test_a_calendar_window_opens_at_midnight_where_there_always_is_one(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case

    assert moment(schedule.window_at(at).start, schedule.zone).time() == time()


@given(cases(st.builds("{}w".format, st.integers(1, 60)) | st.just("weekly"), st.sampled_from(whole_zones)))
def test_weeks_open_on_the_day_that_is_asked_for(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case

    assert moment(schedule.window_at(at).start, schedule.zone).weekday() == schedule.week_start


@given(cases(zones=st.sampled_from(whole_zones)), st.integers(1, 60))
def test_a_window_of_weeks_has_seven_dates_for_each(case: tuple[Schedule, datetime], weeks: int) -> None:
    schedule, at = case
    window = Schedule(f"{weeks}w", schedule.anchor, schedule.zone, schedule.week_start).window_at(at)
    dates = moment(window.end, schedule.zone).date() - moment(window.start, schedule.zone).date()

    assert dates == timedelta(weeks=weeks)


@given(cases(), st.integers(1, 30))
def test_a_window_of_months_runs_from_a_first_to_a_first(case: tuple[Schedule, datetime], months: int) -> None:
    schedule, at = case
    window = Schedule(f"{months}mo", schedule.anchor, schedule.zone).window_at(at)
    opening, ending = moment(window.start, schedule.zone), moment(window.end, schedule.zone)

    assert (opening.day, ending.day) == (1, 1)
    assert (ending.year * 12 + ending.month) - (opening.year * 12 + opening.month) == months


@given(cases(zones=st.sampled_from(whole_zones)))
def test_a_daily_window_is_one_date(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = Schedule("1d", schedule.anchor, schedule.zone).window_at(at)
    dates = moment(window.end, schedule.zone).date() - moment(window.start, schedule.zone).date()

    assert dates == timedelta(days=1)


@given(cases(st.sampled_from(["daily", "monthly", "3mo"]) | rolling), week_starts)
def test_only_weeks_heed_the_day_on_which_weeks_start(case: tuple[Schedule, datetime], other: int) -> None:
    schedule, at = case

    assert Schedule(schedule.duration, schedule.anchor, schedule.zone, other).window_at(at) == schedule.window_at(at)


@given(cases(rolling))
def test_a_rolling_window_ignores_the_zone(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case

    assert schedule.window_at(at) == Schedule(schedule.duration, schedule.anchor).window_at(at)


@given(cases(rolling))
def test_a_rolling_window_is_as_long_as_it_says(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = schedule.window_at(at)

    assert window.end - window.start == seconds(schedule.duration, at)


@given(cases(rolling))
def test_a_rolling_window_opens_whole_lengths_after_the_anchor(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    window = schedule.window_at(at)

    assert (window.start - int(schedule.anchor.timestamp())) % (window.end - window.start) == 0


@given(cases())
def test_a_window_does_not_depend_on_how_its_moments_are_written(case: tuple[Schedule, datetime]) -> None:
    schedule, at = case
    elsewhere = Schedule(schedule.duration, schedule.anchor.astimezone(NEW_YORK), schedule.zone, schedule.week_start)

    assert elsewhere.window_at(at.astimezone(LORD_HOWE)) == schedule.window_at(at)


@given(calendar | rolling)
def test_what_can_be_a_window_passes_the_check(text: str) -> None:
    check_window(text)
