"""Which models an access list lets pass."""

from __future__ import annotations

import pytest

from app.access.models_allowed import allows

NO_GROUPS: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("entries", "model", "groups", "expected"),
    [
        ((), "anything", NO_GROUPS, True),
        (("gpt-4o",), "gpt-4o", NO_GROUPS, True),
        (("gpt-4o",), "gpt-4o-mini", NO_GROUPS, False),
        (("beta-models",), "gpt-4o", frozenset({"beta-models"}), True),
        (("beta-models",), "gpt-4o", frozenset({"other"}), False),
        (("openai/*",), "openai/gpt-4o", NO_GROUPS, True),
        (("openai/*",), "azure/gpt-4o", NO_GROUPS, False),
        (("*",), "anything", NO_GROUPS, True),
        (("gpt-4.1*",), "gpt-4x1", NO_GROUPS, False),
        (("gpt-*-mini",), "gpt-4o-mini", NO_GROUPS, True),
        (("all-proxy-models",), "anything", NO_GROUPS, True),
        (("no-default-models",), "gpt-4o", NO_GROUPS, False),
        (("no-default-models",), "no-default-models", NO_GROUPS, False),
        (("no-default-models", "gpt-4o"), "gpt-4o", NO_GROUPS, True),
    ],
)
def test_a_list_allows_names_groups_and_wildcards(
    entries: tuple[str, ...], model: str, groups: frozenset[str], *, expected: bool
) -> None:
    assert allows(entries, model, groups) is expected
