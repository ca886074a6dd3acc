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
