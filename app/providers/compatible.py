"""Vendors that speak OpenAI's language with an accent: what each does differently.

A vendor that needs nothing of this is OpenAI with another address. Where a rule comes from, its dialect says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.providers import openai_answers
from app.providers.base import Counts, Outgoing, Sent, StreamReader, Target, WireFormat
from app.providers.messages_over_chat import MessagesOverChat
from app.providers.openai import Bearer, ChatFormat
from app.providers.openai_all import AllRoutes
from app.providers.openai_answers import UsageReader, usage_counts
from app.providers.openai_routes import Endpoint
from app.providers.rerank import RerankFormat

# "Rerank API (v2)": another host than that of the Compatibility API.
COHERE_V2 = "https://api.cohere.com/v2"
TEXT_ROUTES = frozenset({"chat/completions", "completions"})
DONE = b"data: [DONE]\n\n"


class XGroqReader(openai_answers.StreamReader):
    """Takes usage from `x_groq` too: there it stands in the last chunk, also where the usual one is missing."""

    __slots__ = ()

    def _note(self, answer: dict[str, Any]) -> None:
        super()._note(answer)
        if isinstance(told := answer.get("x_groq"), dict):
            self.counts = self._read_usage(told.get("usage")) or self.counts


class SilentEndReader(openai_answers.StreamReader):
    """Takes the connection's end for the stream's once a reason to end was told, and writes the missing mark."""

    __slots__ = ("_reason_told",)

    def __init__(self, *, usage_asked: bool, read_usage: UsageReader = usage_counts) -> None:
        """See `openai_answers.StreamReader`."""
        super().__init__(usage_asked=usage_asked, read_usage=read_usage)
        self._reason_told = False

    def _note(self, answer: dict[str, Any]) -> None:
        super()._note(answer)
        choices = answer.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            self._reason_told |= isinstance(choice, dict) and bool(choice.get("finish_reason"))

    def rest(self) -> bytes:
        """See `base.StreamReader`."""
        rest = super().rest()
        if self.finished or not self._reason_told:
            return rest
        self.finished = True
        return rest + DONE


def xai_counts(usage: object) -> Counts | None:
    """Reasoning stands beside the completion's tokens, and the total has both.

    ("Consumption and rate limits" of xAI's documentation: "reasoning token consumption will be counted separately from
    completion_tokens, but will be counted in the total_tokens".)
    """
    counts = usage_counts(usage)
    if counts is None or not isinstance(usage, dict):
        return counts
    written, total = counts["output"], usage.get("total_tokens")
    beside = total - counts["input"] if type(total) is int else written + counts.get("reasoning", 0)
    return counts | {"output": max(written, beside)}


def mistral_counts(usage: object) -> Counts | None:
    """Models that hear bill by the second ("Audio & transcription" of Mistral's documentation)."""
    counts = usage_counts(usage)
    seconds = _number(usage.get("prompt_audio_seconds")) if isinstance(usage, dict) else 0
    return counts | {"audio_ms": 1000 * seconds} if counts is not None and seconds else counts


def perplexity_counts(usage: object) -> Counts | None:
    """Citations that were read, reasoning that was done and searches that were made stand beside the tokens.

    ("Pricing" of Perplexity's documentation: for Sonar Deep Research input tokens are those of the prompt and of the
    citations, reasoning has a price of its own, and so has each search; the other models have a fee for each request.)
    """
    counts = usage_counts(usage)
    if counts is None or not isinstance(usage, dict):
        return counts
    reasoning = _number(usage.get("reasoning_tokens"))
    told = {"reasoning": reasoning, "web_searches": _number(usage.get("num_search_queries"))}
    counts |= {kind: amount for kind, amount in told.items() if amount}
    return counts | {
        "input": counts["input"] + _number(usage.get("citation_tokens")),
        "output": counts["output"] + reasoning,
        "requests": 1,
    }


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a vendor differs from OpenAI.

    `routes` are those of OpenAI's that it has. `asks_for_usage`: it must be asked for usage in a stream, and knows the
    question. `renamed` are members of a text route's body with other names here; `left_out` are members that it
    refuses, and without which the answer is the same. `read_usage` and `reader` know its usage. `model` is what a
    short name stands for.
    """

    routes: frozenset[str] = frozenset({"chat/completions", "completions", "embeddings"})
    asks_for_usage: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    read_usage: UsageReader = usage_counts
    reader: type[openai_answers.StreamReader] = openai_answers.StreamReader
    model: Callable[[str], str] | None = None


class CompatibleChat(ChatFormat):
    """chat/completions and completions in a dialect."""

    def __init__(self, endpoint: Endpoint, route: str, dialect: Dialect) -> None:
        """`route` is also the end of its address."""
        super().__init__(endpoint, route)
        self._dialect = dialect

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        if self._dialect.model is not None:
            target = replace(target, model=self._dialect.model(target.model))
        return super().prepare(target, sent)

    def reader(self, sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return self._dialect.reader(usage_asked=sent.usage_asked, read_usage=self._read_usage)

    def _read_usage(self, usage: object) -> Counts | None:
        return self._dialect.read_usage(usage)

    def _changes(self, sent: Sent) -> Mapping[str, Any]:
        changes = dict(super()._changes(sent) if self._dialect.asks_for_usage else sent.changes)
        asked = {**sent.body, **changes}
        for ours, theirs in self._dialect.renamed.items():
            if asked.get(ours) is not None:
                changes |= {ours: None, theirs: asked[ours]}
        return changes | {name: None for name in self._dialect.left_out if name in asked}


class Compatible(AllRoutes):
    """A vendor that speaks OpenAI's language in a dialect."""

    def __init__(self, name: str, endpoint: Endpoint, dialect: Dialect) -> None:
        """`name` is what stands before the model in config.yaml."""
        super().__init__(name, endpoint)
        formats: dict[str, WireFormat] = {"rerank": RerankFormat(endpoint), **self.formats}
        formats |= {route: CompatibleChat(endpoint, route, dialect) for route in TEXT_ROUTES}
        spoken = {route: one for route, one in formats.items() if route in dialect.routes}
        self.formats = {**spoken, "messages": MessagesOverChat(spoken["chat/completions"], name)}


class OllamaEndpoint(Bearer):
    """Ollama's own address is that of its own API; OpenAI's routes are under /v1 ("OpenAI compatibility")."""

    def url(self, target: Target, route: str) -> str:
        """See `openai.Endpoint`."""
        base = (target.api_base or self._api_base).rstrip("/").removesuffix("/v1")
        return f"{base}/v1/{route}"


class CohereEndpoint(Bearer):
    """Cohere's Compatibility API for OpenAI's routes, its own second version for reranking."""

    def url(self, target: Target, route: str) -> str:
        """See `openai.Endpoint`."""
        if route != "rerank":
            return super().url(target, route)
        base = target.api_base.rstrip("/").replace("/compatibility/v1", "/v2") if target.api_base else COHERE_V2
        return f"{base}/{route}"


class PerplexityEndpoint(Bearer):
    """Perplexity's chat is at the root, its newer routes are under /v1 ("OpenAI compatibility")."""

    def url(self, target: Target, route: str) -> str:
        """See `openai.Endpoint`."""
        base = (target.api_base or self._api_base).rstrip("/").removesuffix("/v1")
        return f"{base}/{route}" if route == "chat/completions" else f"{base}/v1/{route}"


def fireworks_model(name: str) -> str:
    """("gpt-oss-20b") -> ("accounts/fireworks/models/gpt-oss-20b"): LiteLLM's users write the short name."""
    return name if "/" in name or "#" in name else f"accounts/fireworks/models/{name}"


def _number(value: object) -> int:
    return value if type(value) is int else 0


# Vendors that know the cap on output by its older name only. Some would refuse the newer one, some would ignore it.
OLD_CAP = {"max_completion_tokens": "max_tokens"}
CHAT = frozenset({"chat/completions"})
COMPLETIONS = CHAT | {"completions"}
SPEECH_TO_TEXT = frozenset({"audio/transcriptions", "audio/translations"})
DIALECTS = {
    # Mistral refuses members it does not know (422 extra_forbidden), stream_options too; its streams always end with
    # their usage ("Chat completion" of its documentation).
    "mistral": Dialect(
        CHAT | {"embeddings", "audio/transcriptions"},
        asks_for_usage=False,
        renamed={**OLD_CAP, "seed": "random_seed"},
        left_out=frozenset({"stream_options", "user", "store", "service_tier", "safety_identifier"}),
        read_usage=mistral_counts,
    ),
    # "API reference" of Groq: x_groq in the first and the last chunk.
    "groq": Dialect(CHAT | SPEECH_TO_TEXT | {"responses", "audio/speech"}, reader=XGroqReader),
    # "Create chat completion" of DeepSeek's documentation has max_tokens only.
    "deepseek": Dialect(COMPLETIONS, renamed=OLD_CAP),
    # "Chat completions" of Together's documentation has max_tokens only.
    "together": Dialect(
        COMPLETIONS | {"embeddings", "images/generations", "audio/speech", "audio/transcriptions", "rerank"},
        renamed=OLD_CAP,
    ),
    "fireworks": Dialect(COMPLETIONS | {"embeddings", "responses", "rerank"}, model=fireworks_model),
    "openrouter": Dialect(COMPLETIONS | {"embeddings", "responses", "rerank"}),
    "xai": Dialect(COMPLETIONS | {"responses", "images/generations"}, read_usage=xai_counts),
    # Usage stands in every chunk, and grows ("Streaming" of Perplexity's documentation); not every stream has an end
    # mark.
    "perplexity": Dialect(
        CHAT | {"embeddings", "responses"},
        asks_for_usage=False,
        renamed=OLD_CAP,
        left_out=frozenset({"stream_options"}),
        read_usage=perplexity_counts,
        reader=SilentEndReader,
    ),
    # "Using Cohere models via the OpenAI SDK": the parameters that the Compatibility API has.
    "cohere": Dialect(CHAT | {"embeddings", "rerank"}, renamed=OLD_CAP),
    # "OpenAI compatibility" of Ollama's documentation has max_tokens only.
    "ollama": Dialect(COMPLETIONS | {"embeddings", "responses"}, renamed=OLD_CAP),
    # "OpenAI-compatible server" of vLLM's documentation.
    "vllm": Dialect(COMPLETIONS | SPEECH_TO_TEXT | {"embeddings", "responses", "rerank"}),
}
ENDPOINTS: dict[str, Callable[[str], Endpoint]] = {
    "ollama": OllamaEndpoint,
    "cohere": CohereEndpoint,
    "perplexity": PerplexityEndpoint,
}


def compatible(name: str, speaks: str, api_base: str) -> Compatible:
    """The provider for a vendor: its name in config.yaml, its dialect, and its own address."""
    return Compatible(name, ENDPOINTS.get(speaks, Bearer)(api_base), DIALECTS[speaks])
