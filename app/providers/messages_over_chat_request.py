"""An Anthropic request in the words of OpenAI's chat/completions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.base import Sent
from app.providers.messages_over_chat_turns import chat_messages

# Hints for Anthropic's caches and its care for long conversations; OpenAI caches by itself.
DROPPED = frozenset({"model", "cache_control", "context_management", "diagnostics", "betas"})
# Fields that would change what is answered, where, or what it costs. A value that asks for nothing is let through.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "container": (),
    "mcp_servers": ([],),
    "inference_geo": ("global",),
    "speed": ("standard",),
    "fallbacks": ([],),
    "user_profile_id": (),
}
TRANSLATED = frozenset(
    {
        "system",
        "messages",
        "max_tokens",
        "stop_sequences",
        "stream",
        "metadata",
        "thinking",
        "output_config",
        "output_format",
        "tools",
        "tool_choice",
        "service_tier",
    }
)
LONGEST_USER = 64
# The other way round of LiteLLM: the least budget for each effort.
EFFORT_OF_BUDGET = ((10_000, "high"), (5000, "medium"), (2000, "low"), (0, "minimal"))
TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_request(sent: Sent, *, cap: str, reasoning: bool) -> dict[str, Any]:
    """The body for chat/completions, but for the model.

    `cap` is the name of max_tokens there; `reasoning`: see `chat_messages`.

    Fields that Anthropic does not know are taken for the provider's and stay as they are. Raises BadRequest, which
    names the field, for what cannot be said.
    """
    asked = {name: value for name, value in {**sent.body, **sent.changes}.items() if value is not None}
    for name, harmless in REFUSED.items():
        if name in asked and asked[name] not in harmless:
            raise BadRequest(f"{name} cannot be asked of this model: it is Anthropic's alone.", param=name)
    known = DROPPED | REFUSED.keys() | TRANSLATED
    body = {name: value for name, value in asked.items() if name not in known}
    body["messages"] = chat_messages(asked.get("system"), asked.get("messages"), reasoning=reasoning)
    renamed = {"max_tokens": cap, "stop_sequences": "stop"}
    body |= {theirs: asked[ours] for ours, theirs in renamed.items() if ours in asked}
    if sent.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if asked.get("service_tier") == "standard_only":
        body["service_tier"] = "default"
    _add_user(body, asked.get("metadata"))
    _add_tools(body, asked)
    _add_output(body, asked)
    return body


def _add_user(body: dict[str, Any], metadata: object) -> None:
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user, str) and user:
        # OpenAI refuses longer ones, and Claude Code's are longer.
        body["user"] = user if len(user) <= LONGEST_USER else hashlib.sha256(user.encode()).hexdigest()


def _add_tools(body: dict[str, Any], asked: Mapping[str, Any]) -> None:
    tools = asked.get("tools")
    if not tools:
        return
    if not isinstance(tools, list):
        raise BadRequest("tools is a list.", param="tools")
    body["tools"] = [_tool(tool) for tool in tools]
    choice = asked.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(kind, str) or kind not in (*TOOL_CHOICES, "tool"):
        raise BadRequest("tool_choice is of type auto, any, tool or none.", param="tool_choice")
    named = {"type": "function", "function": {"name": choice.get("name")}}
    body["tool_choice"] = TOOL_CHOICES.get(kind, named)
    if choice.get("disable_parallel_tool_use") is True:
        body["parallel_tool_calls"] = False


def _tool(tool: object) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type", "custom") not in ("custom", None):
        kind = tool.get("type") if isinstance(tool, dict) else None
        raise BadRequest(f"A tool of type {kind!r} is run by Anthropic alone.", param="tools")
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {"type": "object"}}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _add_output(body: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Effort and format. Thinking without a budget or an effort is left to the model, and so is disabled thinking.

    Many models do not reason at all and refuse to be told how much.
    """
    config, thinking = (_dict(asked.get(name)) for name in ("output_config", "thinking"))
    effort, budget = config.get("effort"), thinking.get("budget_tokens")
    if effort is None and thinking.get("type") == "enabled" and type(budget) is int:
        effort = next((word for least, word in EFFORT_OF_BUDGET if budget >= least), "minimal")
    if effort is not None:
        body["reasoning_effort"] = "xhigh" if effort == "max" else effort
    wanted = _dict(config.get("format") or asked.get("output_format"))
    if wanted:
        if not isinstance(wanted.get("schema"), dict):
            raise BadRequest("An output format has its schema.", param="output_config")
        described = {"name": "answer", "schema": wanted["schema"], "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": described}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
