"""A chat/completions request in the words of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.base import Sent
from app.providers.chat_over_messages_turns import turns
from app.providers.claude_models import most_output, takes_sampling, thinks_adaptively
from app.providers.closed_schema import closed

# Hints that change neither the answer's meaning nor its price, or names for OpenAI's own storage and caches: Anthropic
# has no word for them, and nothing is lost with them.
DROPPED = frozenset(
    {
        "model",
        "stream_options",
        "store",
        "metadata",
        "seed",
        "prediction",
        "verbosity",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)
# Fields that would change what is answered or what it costs. A value that asks for nothing is let through.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "functions": ([],),
    "function_call": (),
    "moderation": (),
    "web_search_options": (),
}
TRANSLATED = frozenset(
    {
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "temperature",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "service_tier",
        "user",
        "safety_identifier",
    }
)
SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}
# Thinking tokens by effort for models that want a budget; LiteLLM's numbers, so that nobody's bill changes.
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
LEAST_BUDGET = 1024
EFFORTS = {"none": "low", "minimal": "low", "low": "low", "medium": "medium", "high": "high"} | {
    effort: effort for effort in ("xhigh", "max")
}
SAMPLING = ("temperature", "top_p", "top_k")
HIGHEST_TEMPERATURE = 1
JSON_ONLY = "Answer with one JSON object and nothing else: no text around it and no code fence."


def messages_request(model: str, sent: Sent) -> dict[str, Any]:
    """The body for /v1/messages, but for the model.

    Fields that OpenAI does not know are taken for Anthropic's ("thinking", "top_k", "cache_control") and stay as they
    are. Raises BadRequest, which names the field, for what cannot be said.
    """
    asked = {name: value for name, value in {**sent.body, **sent.changes}.items() if value is not None}
    for name, harmless in REFUSED.items():
        if name in asked and asked[name] not in harmless:
            raise BadRequest(f"{name} cannot be asked of this model: Anthropic has nothing like it.", param=name)
    known = DROPPED | REFUSED.keys() | TRANSLATED
    body = {name: value for name, value in asked.items() if name not in known}
    system, messages = turns(asked.get("messages"))
    body["messages"] = messages
    body["max_tokens"] = _max_tokens(model, asked)
    _add_sampling(body, model, asked)
    _add_terms(body, asked)
    _add_tools(body, asked)
    _add_thinking(body, model, asked)
    _add_format(body, system, asked)
    if system:
        body["system"] = system
    if not messages and system:
        # A prompt that is nothing but instructions: Anthropic wants a message to answer.
        body["messages"] = [{"role": "user", "content": body.pop("system")}]
    return body


def _max_tokens(model: str, asked: Mapping[str, Any]) -> Any:
    caps = [asked[name] for name in ("max_completion_tokens", "max_tokens") if name in asked]
    numbers = [cap for cap in caps if type(cap) is int]
    if len(numbers) < len(caps):
        # Of a wrong type: Anthropic says so better.
        return caps[0]
    return min(numbers, default=most_output(model))


def _add_sampling(body: dict[str, Any], model: str, asked: Mapping[str, Any]) -> None:
    """Temperature and its like, for models that take them.

    The others refuse the whole call, and OpenAI's clients say a temperature without being asked; so does LiteLLM's
    `drop_params`.
    """
    if not takes_sampling(model):
        for name in SAMPLING:
            body.pop(name, None)
        return
    temperature = asked.get("temperature")
    if temperature is not None:
        # OpenAI's goes up to 2. Anthropic's own endpoint for OpenAI's clients cuts it off too ("OpenAI SDK
        # compatibility").
        hot = isinstance(temperature, int | float) and temperature > HIGHEST_TEMPERATURE
        body["temperature"] = HIGHEST_TEMPERATURE if hot else temperature


def _add_terms(body: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Where the answer stops, how it is served, and for whom."""
    stop, tier = asked.get("stop"), asked.get("service_tier")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else stop
        # Anthropic refuses sequences of nothing but white space.
        body["stop_sequences"] = (
            [one for one in stops if not isinstance(one, str) or one.strip()] if isinstance(stops, list) else stops
        )
    if tier is not None:
        if not isinstance(tier, str) or tier not in SERVICE_TIERS:
            raise BadRequest(f"service_tier {tier!r} cannot be asked of this model.", param="service_tier")
        body["service_tier"] = SERVICE_TIERS[tier]
    user = asked.get("safety_identifier") or asked.get("user")
    if user is not None:
        body["metadata"] = {"user_id": user}


def _add_tools(body: dict[str, Any], asked: Mapping[str, Any]) -> None:
    tools = asked.get("tools")
    if not tools:
        return
    if not isinstance(tools, list):
        raise BadRequest("tools is a list.", param="tools")
    body["tools"] = [_tool(tool) for tool in tools]
    choice = _tool_choice(asked.get("tool_choice"))
    if asked.get("parallel_tool_calls") is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None:
        body["tool_choice"] = choice


def _tool(tool: object) -> Any:
    """One tool. `strict` is dropped, as Anthropic's own endpoint for OpenAI's clients does."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or kind == "custom":
        raise BadRequest("Only functions can be tools of this model.", param="tools")
    function = tool.get("function")
    if kind != "function":
        # One of Anthropic's own, like web_search_20250305.
        return tool
    if not isinstance(function, dict):
        raise BadRequest("A tool of type function has its function.", param="tools")
    schema = function.get("parameters")
    # Anthropic wants the type to be said.
    schema = {"type": "object", **schema} if isinstance(schema, dict) else schema or {"type": "object"}
    taken = {"name": function.get("name"), "input_schema": schema}
    if isinstance(function.get("description"), str):
        taken["description"] = function["description"]
    marked = tool.get("cache_control") or function.get("cache_control")
    return taken | ({"cache_control": marked} if marked else {})


def _tool_choice(choice: object) -> dict[str, Any] | None:
    if choice is None:
        return None
    words = {"auto": "auto", "none": "none", "required": "any"}
    if isinstance(choice, str) and choice in words:
        return {"type": words[choice]}
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    if not isinstance(function, dict):
        raise BadRequest("tool_choice cannot be said in Anthropic's words.", param="tool_choice")
    return {"type": "tool", "name": function.get("name")}


def _add_thinking(body: dict[str, Any], model: str, asked: Mapping[str, Any]) -> None:
    """Thinking for an effort; a client's own `thinking` goes before it.

    "none" is thinking left out: that is no thinking on older models and the least on those that always think, while
    many of these refuse to have it disabled.
    """
    effort = asked.get("reasoning_effort")
    if effort is None:
        return
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise BadRequest(f"reasoning_effort {effort!r} is unknown.", param="reasoning_effort")
    if thinks_adaptively(model):
        config = body.get("output_config")
        body["output_config"] = {**(config if isinstance(config, dict) else {}), "effort": EFFORTS[effort]}
        if effort != "none":
            body.setdefault("thinking", {"type": "adaptive"})
    elif effort != "none" and type(body["max_tokens"]) is int and body["max_tokens"] > LEAST_BUDGET:
        # Thinking is part of the output, and a budget below the least is refused.
        budget = min(BUDGETS[effort], body["max_tokens"] - 1)
        body.setdefault("thinking", {"type": "enabled", "budget_tokens": budget})


def _add_format(body: dict[str, Any], system: list[dict[str, Any]], asked: Mapping[str, Any]) -> None:
    wanted = asked.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("text", "json_object", "json_schema"):
        raise BadRequest("response_format is text, json_object or json_schema.", param="response_format")
    if kind == "json_object":
        # Anthropic enforces only a schema; JSON without one can but be asked for.
        system.append({"type": "text", "text": JSON_ONLY})
    if kind == "json_schema":
        described = wanted.get("json_schema")
        schema = described.get("schema") if isinstance(described, dict) else None
        if not isinstance(schema, dict):
            raise BadRequest("response_format of type json_schema has its schema.", param="response_format")
        config = body.get("output_config")
        output = {"type": "json_schema", "schema": closed(schema)}
        body["output_config"] = {**(config if isinstance(config, dict) else {}), "format": output}
