"""The `usage` of OpenAI's newer routes: input_tokens and output_tokens, each with its details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.providers.base import Counts

# Our kinds by the names in the details. The audio and image routes leave the plural out of "tokens_details".
OF_INPUT = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write_5m",
    "audio_tokens": "audio_input",
    "image_tokens": "image_input",
}
OF_CACHED = {
    "audio_tokens": "cache_read_audio",
    "cached_audio_tokens": "cache_read_audio",
    "image_tokens": "cache_read_image",
    "cached_image_tokens": "cache_read_image",
}
OF_OUTPUT = {"reasoning_tokens": "reasoning", "audio_tokens": "audio_output", "image_tokens": "image_output"}


def token_counts(usage: object, *, all_input: str | None = None, all_output: str | None = None) -> Counts | None:
    """A `usage` by our kinds; None where there is none or its totals are no whole numbers.

    `all_input`, `all_output`: what all tokens of a side are where the usage does not tell its parts ("audio_input").
    """
    if not isinstance(usage, dict):
        return None
    read, made = usage.get("input_tokens"), usage.get("output_tokens")
    if type(read) is not int or type(made) is not int:
        return None
    counts = {"input": read, "output": made}
    of_input = usage.get("input_tokens_details") or usage.get("input_token_details")
    if isinstance(of_input, dict):
        _add(counts, OF_INPUT, of_input)
        _add(counts, OF_CACHED, of_input.get("cached_tokens_details"))
    elif all_input is not None:
        counts[all_input] = read
    of_output = usage.get("output_tokens_details") or usage.get("output_token_details")
    if isinstance(of_output, dict):
        _add(counts, OF_OUTPUT, of_output)
    elif all_output is not None:
        counts[all_output] = made
    return counts


def whole_number(value: object) -> int:
    """A number that can be counted with; 0 for everything else."""
    return value if type(value) is int else 0


def together(counts: Counts | None, more: Counts | None) -> Counts | None:
    """Both, kind by kind; None where neither is told."""
    if counts is None or more is None:
        return more if counts is None else counts
    return {kind: counts.get(kind, 0) + more.get(kind, 0) for kind in {**counts, **more}}


def _add(counts: Counts, kinds: Mapping[str, str], details: Any) -> None:
    if not isinstance(details, dict):
        return
    for name, kind in kinds.items():
        if type(details.get(name)) is int:
            counts[kind] = details[name]
