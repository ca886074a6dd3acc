"""Answers of Bedrock's Converse API, as OpenAI's clients read them."""

from __future__ import annotations

import time
import uuid
from typing import Any

from app.providers.base import Counts, Sent, Whole
from app.providers.bedrock_errors import chat_error
from app.providers.chat_over_messages_answer import openai_usage
from app.providers.events import dumped
from app.providers.openai_answers import output_bytes, parsed

FINISH_REASONS = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def usage_counts(usage: object) -> Counts | None:
    """Converse's TokenUsage by our kinds; None where there is none or its totals are no whole numbers.

    Its `inputTokens` are without what was read from the cache or written to it (AWS, "Prompt caching for faster model
    inference"); ours are with it. `cacheDetails` tells for how long it was written; without them it is 5 minutes.
    """
    if not isinstance(usage, dict):
        return None
    fresh, output = usage.get("inputTokens"), usage.get("outputTokens")
    if type(fresh) is not int or type(output) is not int:
        return None
    read, written = (_tokens(usage.get(f"cache{part}InputTokens")) for part in ("Read", "Write"))
    details = usage.get("cacheDetails")
    hour = sum(
        _tokens(detail.get("inputTokens"))
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and detail.get("ttl") == "1h"
    )
    counts = {"input": fresh + read + max(written, hour), "output": output}
    parts = {"cache_read": read, "cache_write_5m": written - hour, "cache_write_1h": hour}
    return counts | {kind: count for kind, count in parts.items() if count > 0}


def tier_of(answer: dict[str, Any]) -> str | None:
    """The tier of an answer, or of a stream's metadata, where it has a price of its own."""
    tier = answer.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, dict) else None
    return kind if kind in ("flex", "priority") else None


def whole_chat(sent: Sent, status: int, answer: bytes) -> Whole:
    """See `base.WireFormat.whole`."""
    said = parsed(answer)
    if status >= 400:  # noqa: PLR2004 - RFC 9110: errors begin here
        return Whole(dumped(chat_error(status, said)))
    counts = usage_counts(said.get("usage"))
    output = said.get("output")
    message = _message(output.get("message") if isinstance(output, dict) else None)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(said)}
    chat = envelope(sent, "chat.completion", [choice]) | ({"usage": openai_usage(counts)} if counts else {})
    return Whole(dumped(chat), counts, tier_of(said), output_bytes(chat))


def envelope(sent: Sent, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """What is around the choices. Converse tells neither an id nor a model: the model is the client's word for it."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": sent.body.get("model"),
        "choices": choices,
    }


def finish_reason(said: dict[str, Any]) -> str:
    """OpenAI's word for why the model has stopped."""
    reason = said.get("stopReason")
    return FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"


def reasoning(content: dict[str, Any]) -> dict[str, Any]:
    """Reasoning as DeepSeek's clients read it, and as LiteLLM's clients send it back, with its signature."""
    if isinstance(redacted := content.get("redactedContent"), str):
        return {"thinking_blocks": [{"type": "redacted_thinking", "data": redacted}]}
    told = (content.get(name) for name in ("text", "signature"))
    text, signature = (part if isinstance(part, str) else "" for part in told)
    block = {"type": "thinking", "thinking": text, "signature": signature}
    return {"thinking_blocks": [block]} | ({"reasoning_content": text} if text else {})


def _message(said: object) -> dict[str, Any]:
    content = said.get("content") if isinstance(said, dict) else None
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    texts = [text for block in blocks for text in _texts(block)]
    calls = [_call(block["toolUse"]) for block in blocks if isinstance(block.get("toolUse"), dict)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    thoughts = [
        _thought(block["reasoningContent"]) for block in blocks if isinstance(block.get("reasoningContent"), dict)
    ]
    if thoughts:
        message["thinking_blocks"] = [block for thought in thoughts for block in thought["thinking_blocks"]]
        message["reasoning_content"] = "".join(thought.get("reasoning_content", "") for thought in thoughts)
    return message | ({"tool_calls": calls} if calls else {})


def _texts(block: dict[str, Any]) -> list[str]:
    """A block's text, which stands one level deeper where the model tells its sources."""
    cited = block.get("citationsContent")
    parts = cited.get("content") if isinstance(cited, dict) else [block]
    found = (part.get("text") for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict))
    return [text for text in found if isinstance(text, str)]


def _thought(content: dict[str, Any]) -> dict[str, Any]:
    text = content.get("reasoningText")
    return reasoning(text if isinstance(text, dict) else content)


def _call(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool.get("name"), "arguments": dumped(tool.get("input") or {}).decode()}
    return {"id": tool.get("toolUseId"), "type": "function", "function": function}


def _tokens(value: object) -> int:
    return value if type(value) is int else 0
