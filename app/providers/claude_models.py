"""What Anthropic's models want to be asked differently, by their names."""

from __future__ import annotations

import re

# "claude-opus-4-5-20251101", "anthropic.claude-sonnet-4-20250514-v1:0", "claude-3-7-sonnet@20250219"; no dates.
VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2})(?!\d))?")
# A name without a version is newer than those that had one in front, or an alias for something new.
NEWEST = (99, 0)
FIRST_ADAPTIVE = (4, 6)
FIRST_WITHOUT_SAMPLING = (4, 7)
# The most that an answer may have, by the first version that may have it ("Models overview"). Newer models may have
# more than the last of these; it is what a caller gets who says nothing.
MOST_OUTPUT = (((3, 7), 32_000), ((3, 5), 8192), ((0, 0), 4096))


def thinks_adaptively(model: str) -> bool:
    """Whether thinking is steered by an effort rather than by a budget ("Adaptive thinking", Supported models)."""
    return _version(model) >= FIRST_ADAPTIVE


def takes_sampling(model: str) -> bool:
    """Whether temperature, top_p and top_k are taken at all ("Migration guide", Sampling parameters removed)."""
    return "claude" not in model or _version(model) < FIRST_WITHOUT_SAMPLING


def most_output(model: str) -> int:
    """`max_tokens` where the caller has said nothing: Anthropic wants a number, and refuses one that is too high."""
    version = _version(model)
    return next(most for first, most in MOST_OUTPUT if version >= first)


def _version(model: str) -> tuple[int, int]:
    found = VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else NEWEST
