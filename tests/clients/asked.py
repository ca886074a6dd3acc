"""What clients are asked to do: the model whose name says how the provider behaves, and what is to be seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.scripted_answers import TEXT, TOOL_INPUT
from tests.scripted_media import MP3
from tests.scripted_messages import SIGNATURE, THOUGHT

WEATHER = {"city": "Oslo", "degrees": 7}
WORDS = len(TEXT.split())
TOLD = {"text": TEXT, "input": 10, "output": 20}
CALLED = {"tool": "weather", "given": TOOL_INPUT}

THOUGHTS = {"thought": THOUGHT, "signature": SIGNATURE, "text": TEXT}


@dataclass(frozen=True, slots=True)
class Case:
    """`calls` is how many calls of a model it takes."""

    model: str
    seen: dict[str, Any]
    calls: int = 1


# LlamaIndex knows the models that there are, and lets any name pass as one that was fine-tuned.
CASES = {
    "chat": Case("gpt-4o-mini", TOLD),
    "stream": Case("gpt-4o-mini", TOLD | {"pieces": WORDS}),
    "tools": Case("gpt-4o-tool-same-id", CALLED | {"text": TEXT}, calls=2),
    "stream tools": Case("gpt-4o-tool", CALLED),
    "one tool": Case("ft:gpt-4o-mini:tool", CALLED),
    "structured": Case("ft:gpt-4o-mini:structured", WEATHER),
    "responses": Case("gpt-4o-mini", TOLD),
    "stream responses": Case("gpt-4o-mini", TOLD | {"pieces": WORDS}),
    "responses tools": Case("gpt-4o-tool-same-id", CALLED | {"text": TEXT}, calls=2),
    "responses structured": Case("gpt-4o-structured", WEATHER),
    "compact": Case("gpt-4o-mini", {"kept": "compaction", "input": 10, "output": 20}),
    "response tokens": Case("gpt-4o-mini", {"input": 10}),
    "embeddings": Case("text-embedding-3-small", {"vectors": [[0.25, -0.5, 0.75]] * 2, "input": 10}),
    "images": Case("gpt-image-1", {"images": 2, "input": 10, "output": 20}),
    "image edits": Case("gpt-image-1", {"images": 1, "output": 20}),
    "speech": Case("tts-1", {"bytes": len(MP3), "type": "audio/mpeg"}),
    "transcription": Case("gpt-4o-transcribe", {"text": TEXT, "usage": "tokens"}),
    "transcription as text": Case("whisper-1", {"text": TEXT + "\n"}),
    "moderation": Case("omni-moderation-latest", {"flagged": False, "harassment": False}),
    "messages": Case("claude-sonnet-4-5", TOLD),
    "stream messages": Case("claude-sonnet-4-5", TOLD | {"pieces": WORDS}),
    "messages tools": Case("claude-tool-same-id", CALLED | {"text": TEXT}, calls=2),
    "stream messages tools": Case("claude-tool", CALLED),
    "messages structured": Case("claude-structured", WEATHER),
    "cache": Case(
        "claude-tokens-100-20-cached-50-written-20-hourly-25",
        {"input": 5, "output": 20, "read": 50, "written": 20, "hourly": 25},
    ),
    "thinking": Case("claude-sonnet-4-5", THOUGHTS),
    "stream thinking": Case("claude-sonnet-4-5", THOUGHTS),
    "count tokens": Case("claude-sonnet-4-5", {"input": 10}),
}
# Azure's clients ask for deployments.
CASES |= {f"azure {name}": replace(case, model=f"az-{case.model.replace(':', '-')}") for name, case in CASES.items()}


def of_the_other_vendor(model: str) -> str:
    """A model that the client's own wire format does not speak to, and which behaves as this one."""
    return "gpt" + model.removeprefix("claude") if model.startswith("claude") else "claude-" + model.replace(":", "-")
