"""Which models a list allows: names, access groups and wildcards; an empty list allows all."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from re import Pattern, escape
from re import compile as compile_pattern

NO_MODELS = "no-default-models"
ALL_MODELS = "all-proxy-models"
# In a key's list: whatever its team may use.
ALL_TEAM_MODELS = "all-team-models"


def allows(entries: Iterable[str], model: str, groups: frozenset[str]) -> bool:
    """Whether a list lets `model` pass; `groups` are the access groups that the model is in.

    An entry is a model's name, the name of an access group, or a wildcard in which only `*` has a meaning ("openai/*").
    "all-proxy-models" allows all; "no-default-models" allows nothing.
    """
    entries = tuple(entries)
    if not entries:
        return True
    return any(_entry_allows(entry, model, groups) for entry in entries)


def _entry_allows(entry: str, model: str, groups: frozenset[str]) -> bool:
    if entry in (model, ALL_MODELS) or entry in groups:
        return entry != NO_MODELS
    return "*" in entry and bool(_wildcard(entry).fullmatch(model))


@lru_cache(maxsize=4096)
def _wildcard(entry: str) -> Pattern[str]:
    return compile_pattern(".*".join(escape(part) for part in entry.split("*")))
