"""Anthropic's beta features on other people's clouds, each of which knows only some of them."""

from __future__ import annotations

from collections.abc import Mapping

# Both clouds refuse a call that names a beta which they do not know, and Claude Code names its own in every call.
# Anthropic, "Beta headers"; AWS, "Anthropic Claude Messages API"; what LiteLLM's users found.
ON_BOTH = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dangerous-tool-use-2026-09-03",
        "interleaved-thinking-2025-05-14",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "tool-search-tool-2025-10-19",
    }
)
ON_BEDROCK = ON_BOTH | {
    "computer-use-2024-10-22",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
}
ON_VERTEX = ON_BOTH | {"compact-2026-09-04", "per-turn-control-2026-07-01", "web-search-2025-03-05"}
# The clouds know a part of this one by a name of its own.
ELSEWHERE = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}


def betas(headers: Mapping[str, str], known: frozenset[str]) -> list[str]:
    """The betas that a client's `anthropic-beta` header asks for and the cloud knows, each once, in order."""
    asked = ",".join(value for name, value in headers.items() if name.lower() == "anthropic-beta").split(",")
    names = (ELSEWHERE.get(name.strip(), name.strip()) for name in asked)
    return list(dict.fromkeys(name for name in names if name in known))
