"""How much a model can read bounds what a call can take that does not send all of its input."""

from __future__ import annotations

from app.ledger.context_windows import WINDOW_OF_THE_UNKNOWN, context_window


def test_a_listed_model_reads_as_much_as_is_listed() -> None:
    assert context_window("openai", "gpt-4o") == 128_000


def test_a_model_that_nobody_lists_is_taken_for_a_large_one() -> None:
    assert context_window("openai", "nobody-knows-it") == WINDOW_OF_THE_UNKNOWN
    assert context_window("nobody", "gpt-4o") == WINDOW_OF_THE_UNKNOWN


def test_a_gemini_reads_what_google_says() -> None:
    assert context_window("google", "gemini-2.5-pro") == 1_048_576
