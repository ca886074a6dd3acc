"""Gemini's answers as chat completions: text, thoughts, calls, media, reasons to end, usage, errors.

Outside rules: "GenerateContentResponse", "UsageMetadata" and "Grounding with Google Search" of the Gemini API's
documentation.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from app.providers.base import Counts
from app.providers.events import dumped
from app.providers.gemini_request import LATEST_GENERATION, generation

# OpenAI's words for why an answer ends; what is not here ended by itself as far as OpenAI's words go.
REASONS = {"MAX_TOKENS": "length"} | dict.fromkeys(
    (
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    ),
    "content_filter",
)
ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# What Gemini says, in words only, of a prompt that is longer than the model can take.
TOO_LONG = ("input token count", "exceeds the maximum number of tokens")

# The kinds that a modality's tokens are. Videos count as pictures, as everywhere; so do the pages of a document.
INPUT_KINDS = {"AUDIO": "audio_input"} | dict.fromkeys(("IMAGE", "VIDEO", "DOCUMENT"), "image_input")
CACHED_KINDS = {"AUDIO": "cache_read_audio"} | dict.fromkeys(("IMAGE", "VIDEO", "DOCUMENT"), "cache_read_image")
OUTPUT_KINDS = {"AUDIO": "audio_output", "IMAGE": "image_output", "VIDEO": "image_output"}

# Vertex's words for the ways that have a price of their own; Gemini's own API has OpenAI's.
TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
TIERS = frozenset({"flex", "priority"})


def usage_counts(usage: object) -> Counts | None:
    """`usageMetadata` by our kinds; None where it does not tell the prompt's tokens.

    The prompt has what came from the cache in it, the candidates do not have the thoughts, and what tools brought to
    read comes on top. The total is documented as the sum of all four: where it is more, the rest is output.
    """
    if not isinstance(usage, dict) or type(usage.get("promptTokenCount")) is not int:
        return None
    read = usage["promptTokenCount"] + _number(usage.get("toolUsePromptTokenCount"))
    candidates, thoughts = _number(usage.get("candidatesTokenCount")), _number(usage.get("thoughtsTokenCount"))
    rest = _number(usage.get("totalTokenCount")) - read
    # Some models have been seen to count their thoughts among the candidates; the total gives them away.
    written = candidates if rest == candidates else max(candidates + thoughts, rest)
    counts = {"input": read, "output": written}
    _add(counts, "cache_read", _number(usage.get("cachedContentTokenCount")))
    _add(counts, "reasoning", thoughts)
    for field, kinds in (
        ("promptTokensDetails", INPUT_KINDS),
        ("toolUsePromptTokensDetails", INPUT_KINDS),
        ("cacheTokensDetails", CACHED_KINDS),
        ("candidatesTokensDetails", OUTPUT_KINDS),
    ):
        for detail in _objects(usage.get(field)):
            if kind := kinds.get(str(detail.get("modality"))):
                _add(counts, kind, _number(detail.get("tokenCount")))
    return counts


def counts_of(answer: Mapping[str, Any]) -> Counts | None:
    """The usage of a whole answer, searches included."""
    return with_searches(usage_counts(answer.get("usageMetadata")), answer.get("modelVersion"), queries(answer))


def queries(answer: Mapping[str, Any]) -> set[str]:
    """The searches that an answer, or one event of a stream, was grounded with."""
    found: set[str] = set()
    for candidate in _objects(answer.get("candidates")):
        grounding = candidate.get("groundingMetadata")
        told = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
        found |= {query for query in told if isinstance(query, str) and query} if isinstance(told, list) else set()
    return found


def with_searches(counts: Counts | None, model: object, searches: set[str]) -> Counts | None:
    """The counts with "web_searches": each search is paid for, up to Gemini 2.5 each answer that has searched."""
    if counts is None or not searches:
        return counts
    return counts | {"web_searches": len(searches) if generation(str(model)) >= LATEST_GENERATION else 1}


def tier_of(usage: object) -> str | None:
    """The way the call was served, where it has a price of its own: "flex" or "priority"."""
    if not isinstance(usage, dict):
        return None
    tier = str(usage.get("serviceTier")).lower()
    return tier if tier in TIERS else TRAFFIC.get(str(usage.get("trafficType")))


def completion(answer: Mapping[str, Any], asked_model: str) -> dict[str, Any]:
    """A whole answer as OpenAI's chat.completion."""
    identity = identity_of(answer) or uuid.uuid4().hex[:24]
    choices = []
    for place, candidate in enumerate(_objects(answer.get("candidates"))):
        index = candidate["index"] if type(candidate.get("index")) is int else place
        said = delta(candidate, f"{identity}_{index}")
        reason = finish_reason(candidate, called="tool_calls" in said) or "stop"
        message = {"role": "assistant", "content": None, "refusal": None} | said
        choices.append({"index": index, "message": message, "logprobs": logprobs(candidate), "finish_reason": reason})
    if refusal := blocked(answer):
        message = {"role": "assistant", "content": None, "refusal": refusal}
        choices.append({"index": 0, "message": message, "logprobs": None, "finish_reason": "content_filter"})
    completed = envelope("chat.completion", identity, int(time.time()), str(answer.get("modelVersion") or asked_model))
    if tier := tier_of(answer.get("usageMetadata")):
        completed["service_tier"] = tier
    return completed | {"choices": choices} | _usage_member(usage_counts(answer.get("usageMetadata")))


def envelope(kind: str, identity: str, created: int, model: str) -> dict[str, Any]:
    """What every completion and every chunk begins with. `created` is a Unix time in seconds."""
    return {"id": f"chatcmpl-{identity}", "object": kind, "created": created, "model": model}


def identity_of(answer: Mapping[str, Any]) -> str | None:
    """The answer's own id, where it tells one."""
    told = answer.get("responseId")
    return told if isinstance(told, str) and told else None


def blocked(answer: Mapping[str, Any]) -> str | None:
    """Why there is no answer at all: the prompt itself was blocked."""
    feedback = answer.get("promptFeedback")
    if not isinstance(feedback, dict) or not feedback.get("blockReason") or answer.get("candidates"):
        return None
    return str(feedback.get("blockReasonMessage") or f"The prompt was blocked: {feedback['blockReason']}.")


def delta(candidate: Mapping[str, Any], call_prefix: str, first_call: int = 0) -> dict[str, Any]:
    """What a candidate says, as members of OpenAI's message; of a stream's event, as its delta.

    Calls without an id of their own get one that is new in this conversation. `first_call` numbers them on.
    """
    content = candidate.get("content")
    said: dict[str, Any] = {}
    for part in _objects(content.get("parts") if isinstance(content, dict) else None):
        signature = part.get("thoughtSignature")
        extra = {"extra_content": {"google": {"thought_signature": signature}}} if isinstance(signature, str) else {}
        if isinstance(call := part.get("functionCall"), dict):
            calls = said.setdefault("tool_calls", [])
            number = first_call + len(calls)
            calls.append(_tool_call(call, f"call_{call_prefix}_{number}") | extra)
        elif isinstance(media := part.get("inlineData"), dict):
            _add_media(said, media, call_prefix, extra)
        elif isinstance(text := part.get("text"), str):
            member = "reasoning_content" if part.get("thought") is True else "content"
            # An empty text is only there for its signature.
            if text:
                said[member] = said.get(member, "") + text
            said |= extra
    return said


def finish_reason(candidate: Mapping[str, Any], *, called: bool) -> str | None:
    """OpenAI's word for why a candidate ended; None while it has not. `called`: it has made calls."""
    told = candidate.get("finishReason")
    if not isinstance(told, str) or told == "FINISH_REASON_UNSPECIFIED":
        return None
    reason = REASONS.get(told, "stop")
    return "tool_calls" if called and reason == "stop" else reason


def usage(counts: Counts) -> dict[str, Any]:
    """Counts as OpenAI's usage. Kinds that OpenAI has no name for stand under names that say the same."""
    of_input = {"cached_tokens": counts.get("cache_read", 0), "audio_tokens": counts.get("audio_input", 0)}
    of_output = {"reasoning_tokens": counts.get("reasoning", 0), "audio_tokens": counts.get("audio_output", 0)}
    for details, kind in ((of_input, "image_input"), (of_output, "image_output")):
        if kind in counts:
            details["image_tokens"] = counts[kind]
    return {
        "prompt_tokens": counts["input"],
        "completion_tokens": counts["output"],
        "total_tokens": counts["input"] + counts["output"],
        "prompt_tokens_details": of_input,
        "completion_tokens_details": of_output,
    }


def error_body(status: int, answer: bytes) -> bytes:
    """Google's error in OpenAI's shape; its status word ("INVALID_ARGUMENT") is the code."""
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        parsed = None
    # An error before a stream's first event can come as a list of one.
    holder = parsed[0] if isinstance(parsed, list) and parsed else parsed
    error = holder.get("error") if isinstance(holder, dict) else None
    return dumped({"error": translated_error(error if isinstance(error, dict) else {}, status)})


def translated_error(error: Mapping[str, Any], status: int) -> dict[str, Any]:
    """One error, wherever it came from."""
    message = error.get("message") or f"Gemini answered with status {status}."
    code = error.get("status")
    if all(words in str(message) for words in TOO_LONG):
        code = "context_length_exceeded"
    server = 500
    kind = ERROR_TYPES.get(status, "server_error" if status >= server else "invalid_request_error")
    return {"message": message, "type": kind, "param": None, "code": code}


def _usage_member(counts: Counts | None) -> dict[str, Any]:
    return {} if counts is None else {"usage": usage(counts)}


def _tool_call(call: Mapping[str, Any], made_up: str) -> dict[str, Any]:
    arguments = dumped(call.get("args") or {}).decode()
    identity = call.get("id")
    return {
        "id": identity if isinstance(identity, str) and identity else made_up,
        "type": "function",
        "function": {"name": str(call.get("name", "")), "arguments": arguments},
    }


def _add_media(said: dict[str, Any], media: Mapping[str, Any], identity: str, extra: dict[str, Any]) -> None:
    """Pictures stand where LiteLLM and OpenRouter have them, sound where OpenAI has it."""
    kind, data = str(media.get("mimeType", "")), str(media.get("data", ""))
    if kind.startswith("audio/"):
        said["audio"] = {"id": f"audio_{identity}", "data": data, "transcript": "", "expires_at": 0}
        return
    image = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    said.setdefault("images", []).append(image | extra)


def logprobs(candidate: Mapping[str, Any]) -> dict[str, Any] | None:
    """A candidate's log probabilities in OpenAI's shape, where it tells any."""
    result = candidate.get("logprobsResult")
    if not isinstance(result, dict):
        return None
    tops = [_objects(top.get("candidates")) for top in _objects(result.get("topCandidates"))]
    content = []
    for place, chosen in enumerate(_objects(result.get("chosenCandidates"))):
        top = [_logprob(other) for other in (tops[place] if place < len(tops) else ())]
        content.append(_logprob(chosen) | {"top_logprobs": top})
    return {"content": content, "refusal": None}


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    text = str(token.get("token", ""))
    return {
        "token": text,
        "logprob": token.get("logProbability", 0.0),
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }


def _objects(value: object) -> Iterable[dict[str, Any]]:
    """The objects in what should be a list of them."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: object) -> int:
    return value if type(value) is int else 0


def _add(counts: Counts, kind: str, tokens: int) -> None:
    if tokens:
        counts[kind] = counts.get(kind, 0) + tokens
