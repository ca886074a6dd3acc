"""How long one answer of a model can become."""

from __future__ import annotations

import re

from app.ledger.listed.find import listed_model

# The most output tokens of one answer, by the start of the model's name; the longest start that fits wins. An estimate
# may be too high, never too low, so each family has its largest member's figure.
MAX_OUTPUT_TOKENS = {
    "gpt-3.5": 4_096,
    "gpt-35": 4_096,
    "gpt-4": 8_192,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 4_096,
    "gpt-4-1106": 4_096,
    "gpt-4-0125": 4_096,
    "gpt-4-vision": 4_096,
    "gpt-4o": 16_384,
    "chatgpt-4o": 16_384,
    "gpt-4.1": 32_768,
    "gpt-4.5": 16_384,
    "gpt-5": 128_000,
    "gpt-6": 128_000,
    "gpt-oss": 131_072,
    "o1": 100_000,
    "o3": 100_000,
    "o4": 100_000,
    "codex-mini": 100_000,
    "claude-": 128_000,
    "claude-3-": 4_096,
    "claude-3-5": 8_192,
    "claude-3-7": 128_000,
    "claude-haiku-4": 64_000,
    "claude-opus-4": 32_000,
    "claude-opus-4-5": 64_000,
    "claude-opus-4-6": 128_000,
    "claude-opus-4-7": 128_000,
    "claude-opus-4-8": 128_000,
    "claude-sonnet-4": 64_000,
    "claude-sonnet-4-6": 128_000,
    # Google, "Gemini models", Output token limit.
    "gemini-": 65_536,
    "gemini-1.5": 8_192,
    "gemini-2.0": 8_192,
}
# Bedrock's names begin with a geography and the vendor: "us.anthropic.claude-…".
VENDORS_BEFORE = re.compile(r"^(?:[a-z-]+\.)?anthropic\.")
MAX_OUTPUT_TOKENS_OF_THE_UNKNOWN = 16_384


def max_output_tokens(model: str) -> int:
    """The most output tokens of one answer of that model: its family's figure, else its context window, else 16,384."""
    name = VENDORS_BEFORE.sub("", model.lower().removeprefix("ft:").rpartition("/")[2])
    fitting = [start for start in MAX_OUTPUT_TOKENS if name.startswith(start)]
    if fitting:
        return MAX_OUTPUT_TOKENS[max(fitting, key=len)]
    found = listed_model(None, name)
    window = found.context_window if found else None
    return window or MAX_OUTPUT_TOKENS_OF_THE_UNKNOWN
