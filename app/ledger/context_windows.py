"""How much a model can read at most."""

from __future__ import annotations

from functools import lru_cache

from app.ledger.listed.find import listed_model

WINDOW_OF_THE_UNKNOWN = 400_000
# Google, "Gemini models", Input token limit: the list tells none.
WINDOW_OF_GEMINI = 1_048_576


@lru_cache(maxsize=10_000)
def context_window(provider: str, model: str) -> int:
    """The tokens of a model's context by the price list, which has the provider's name; 400,000 where nobody tells."""
    found = listed_model(provider, model)
    unknown = WINDOW_OF_GEMINI if "gemini" in model.lower() else WINDOW_OF_THE_UNKNOWN
    return unknown if found is None else found.context_window or unknown
