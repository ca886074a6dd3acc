"""Names of meters: no two meters share one, and each can be taken apart again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import meter_names

IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
SINGLE = [kind for kind in meter_names.KINDS if kind not in meter_names.COMPOUND and kind != meter_names.GATEWAY]
METERS = st.one_of(
    st.tuples(st.sampled_from(SINGLE), IDS),
    st.tuples(st.sampled_from(sorted(meter_names.COMPOUND)), IDS, IDS),
    st.just((meter_names.GATEWAY,)),
)


@given(METERS)
def test_a_name_can_be_taken_apart(meter: tuple[str, ...]) -> None:
    assert meter_names.parts(meter_names.name(*meter)) == meter


@given(METERS, METERS)
def test_two_meters_never_share_a_name(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (meter_names.name(*one) == meter_names.name(*other)) == (one == other)


@pytest.mark.parametrize("text", ["", "user", "users:ada", "gateway:all", "team_member:t", "key_model:k"])
def test_what_is_no_meter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no meter"):
        meter_names.parts(text)


@given(METERS)
def test_every_meter_can_be_said_in_words(meter: tuple[str, ...]) -> None:
    assert meter_names.whose(meter_names.name(*meter))
