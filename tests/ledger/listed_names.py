"""Names of models, from the rules of genai-prices that say whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# What the list chooses a tier's price by.
CONTEXT = ("service_tier", "speed", "processing")


def texts(match: Any) -> Iterator[str]:
    """The texts in a rule that says which names are a model's."""
    yield from _values(match, "equals", "starts_with", "contains", "ends_with")


def patterns(match: Any) -> Iterator[str]:
    """The regular expressions in it."""
    yield from _values(match, "regex")


def _values(match: Any, *clauses: str) -> Iterator[str]:
    for rule in (*getattr(match, "or_", ()), *getattr(match, "and_", ())):
        yield from _values(rule, *clauses)
    for clause in clauses:
        if isinstance(text := getattr(match, clause, None), str):
            yield text
