"""Token counts are believed only where they can be true, and no token goes unpaid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.usage import KINDS, MAX_TOKENS, Usage

COUNTS = st.dictionaries(st.sampled_from(KINDS), st.integers(0, MAX_TOKENS))


def test_kinds_that_are_not_named_are_zero() -> None:
    assert Usage.from_counts({"input": 10, "output": 20}) == Usage(input=10, output=20)


def test_no_tokens_at_all_are_no_tokens() -> None:
    assert Usage.from_counts({}) == Usage(input=0, output=0)


@pytest.mark.parametrize("count", [-1, MAX_TOKENS + 1, 1.5, True, None, "10"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_count_that_cannot_be_is_refused(kind: str, count: object) -> None:
    with pytest.raises(ValueError, match=kind):
        Usage.from_counts({kind: count})  # type: ignore[dict-item]


@settings(deadline=None)
@given(COUNTS)
def test_parts_never_exceed_their_total(counts: dict[str, int]) -> None:
    usage = Usage.from_counts(counts)
    assert usage.fresh_input >= 0
    assert usage.text_output >= 0


@settings(deadline=None)
@given(COUNTS)
def test_no_count_is_ever_lowered(counts: dict[str, int]) -> None:
    usage = Usage.from_counts(counts)
    assert all(getattr(usage, kind) >= count for kind, count in counts.items())


def test_parts_that_are_more_than_their_total_raise_it() -> None:
    usage = Usage.from_counts({"input": 5, "cache_read": 4, "cache_write_1h": 3, "output": 1, "reasoning": 9})
    assert (usage.input, usage.output) == (7, 9)


def test_a_usage_cannot_be_made_with_more_parts_than_total() -> None:
    with pytest.raises(ValueError, match="more than their total"):
        Usage(input=1, output=0, cache_read=2)


@settings(deadline=None)
@given(COUNTS)
def test_a_usage_survives_the_wire(counts: dict[str, int]) -> None:
    usage = Usage.from_counts(counts)
    assert Usage.from_wire(usage.to_wire()) == usage


def test_a_cached_token_of_audio_is_counted_once() -> None:
    usage = Usage.from_counts({"cache_read": 50, "audio_input": 60, "cache_read_audio": 30})
    assert usage.input == 80


def test_cached_tokens_of_media_are_cached_and_of_their_medium() -> None:
    usage = Usage.from_counts({"cache_read_audio": 3, "cache_read_image": 4})
    assert (usage.input, usage.cache_read, usage.audio_input, usage.image_input) == (7, 7, 3, 4)


def test_what_is_no_token_is_part_of_no_total() -> None:
    usage = Usage.from_counts(
        {"web_searches": 1, "images": 2, "audio_ms": 3, "characters": 4, "requests": 5, "pages": 6}
    )
    assert (usage.input, usage.output) == (0, 0)


def test_a_usage_of_an_earlier_version_has_eight_kinds() -> None:
    assert Usage.from_wire([90, 20, 10, 11, 12, 13, 14, 7]) == Usage(90, 20, 10, 11, 12, 13, 14, 7)


@pytest.mark.parametrize(
    "parts",
    [
        {"cache_read_audio": 2, "audio_input": 2, "cache_read": 1},
        {"cache_read_audio": 2, "audio_input": 1, "cache_read": 2},
        {"cache_read_image": 2, "image_input": 1, "cache_read": 2},
        {"image_output": 11},
    ],
)
def test_parts_of_parts_cannot_be_more_than_those(parts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="more than their total"):
        Usage(10, 10, **parts)
