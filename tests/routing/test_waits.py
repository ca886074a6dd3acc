"""How long nobody is asked: what providers say, and pauses that grow."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing import waits

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT"}, 30),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:00 GMT"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 02 Jan 2026 99999999999999999999:04:35 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_what_a_provider_says_about_when_to_come_back_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert waits.retry_after(headers, NOW) == seconds


@given(st.integers(0, 10**7))
def test_a_date_is_as_good_as_the_seconds_until_then(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert waits.retry_after({"retry-after": date}, NOW) == seconds


@given(st.text())
def test_whatever_a_provider_says_harms_nobody(text: str) -> None:
    told = waits.retry_after({"retry-after": text}, NOW)
    assert told is None or told >= 0


@given(st.integers(0, 10_000), st.floats(0, 100), st.integers())
def test_a_pause_is_no_shorter_than_the_least_and_no_longer_than_the_longest(
    retry: int, least: float, seed: int
) -> None:
    seconds = waits.pause(retry, least, random.Random(seed))
    assert least <= seconds <= max(least, waits.LONGEST_PAUSE)


def test_pauses_double() -> None:
    pauses = [waits.pause(retry, 0, random.Random(1)) for retry in range(6)]
    first = pauses[0]
    assert pauses == pytest.approx([first, 2 * first, 4 * first, 8 * first, 16 * first, 16 * first])
