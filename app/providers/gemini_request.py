"""A chat completion's request in Gemini's words: sampling, thinking, tools, forms of answer.

Outside rules: "Generating content" and "OpenAI compatibility" of the Gemini API's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.gemini_contents import conversation

GENERATION = re.compile(r"gemini-(\d+)")
# Aliases such as "gemini-flash-latest" stand for this generation or a later one.
LATEST_GENERATION = 3

SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
}
# Gemini's own parameters, as LiteLLM's users write them beside OpenAI's.
OWN = {"safety_settings": "safetySettings", "cached_content": "cachedContent"}
# OpenAI's other tiers ("auto", "default", "scale") mean the standard one, which needs no word.
TIERS = ("flex", "priority")
# What would change the answer and cannot be said.
UNSPEAKABLE = ("logit_bias", "functions", "function_call")

BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
# The least that 2.5 Pro can think ("Gemini thinking"): it cannot be told to stop.
LEAST_BUDGET = 128
TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# Gemini's own tools that are paid by their tokens, or by the searches that an answer tells ("Pricing"), as its JSON may
# spell them. Others ("googleMaps") have a price by the call.
METERED_TOOLS = frozenset(
    {
        *("functionDeclarations", "googleSearch", "codeExecution", "urlContext", "computerUse", "fileSearch"),
        *("function_declarations", "google_search", "code_execution", "url_context", "computer_use", "file_search"),
    }
)
SEARCHES = ("web_search", "web_search_preview", "google_search", "googleSearch")


def generation(model: str) -> int:
    """("gemini-2.5-pro") -> 2; models that are no Gemini (Gemma, tuned ones) take the words of the second one."""
    found = GENERATION.search(model)
    if found:
        return int(found[1])
    return LATEST_GENERATION if "gemini" in model else 2


def generate_content(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of generateContent for one of chat/completions, whose members are none of them null.

    Raises BadRequest for what Gemini has no words for.
    """
    for field in UNSPEAKABLE:
        if body.get(field):
            raise BadRequest(f"Gemini has nothing like {field}.", param=field)
    latest = generation(model) >= LATEST_GENERATION
    system, contents = conversation(body.get("messages"), signed=latest)
    request: dict[str, Any] = {"contents": contents}
    if system:
        request["systemInstruction"] = {"parts": system}
    if config := _config(model, body):
        request["generationConfig"] = config
    if tools := _tools(body):
        request["tools"] = tools
    if "tool_choice" in body and any("functionDeclarations" in tool for tool in tools):
        request["toolConfig"] = {"functionCallingConfig": _calling(body["tool_choice"])}
    if body.get("service_tier") in TIERS:
        request["serviceTier"] = body["service_tier"]
    return request | {theirs: body[ours] for ours, theirs in OWN.items() if ours in body}


def _config(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    config = {theirs: body[ours] for ours, theirs in SAMPLING.items() if ours in body}
    if (stop := body.get("stop")) is not None:
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if thinking := _thinking(model, body):
        config["thinkingConfig"] = thinking
    if isinstance(modalities := body.get("modalities"), list):
        config["responseModalities"] = [str(modality).upper() for modality in modalities]
    if isinstance(audio := body.get("audio"), dict) and "voice" in audio:
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio["voice"]}}}
    return config | _form(body.get("response_format"))


def _form(response_format: object) -> dict[str, Any]:
    if response_format is None or response_format == {"type": "text"}:
        return {}
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind not in ("json_object", "json_schema") or not isinstance(response_format, dict):
        raise BadRequest("response_format is text, json_object or json_schema.", param="response_format")
    form: dict[str, Any] = {"responseMimeType": "application/json"}
    if kind == "json_schema":
        described = response_format.get("json_schema")
        if not isinstance(described, dict):
            raise BadRequest("json_schema holds a schema.", param="response_format.json_schema")
        if "schema" in described:
            form["responseJsonSchema"] = described["schema"]
    return form


def _thinking(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """How much to think: OpenAI's word for it, or Anthropic's, which LiteLLM's users write here as well."""
    thinking, effort = body.get("thinking"), body.get("reasoning_effort")
    if isinstance(thinking, dict) and effort is None:
        if thinking.get("type") == "enabled" and type(thinking.get("budget_tokens")) is int:
            return {"thinkingBudget": thinking["budget_tokens"], "includeThoughts": True}
        effort = "none" if thinking.get("type") == "disabled" else None
    if effort is None:
        return {}
    if not isinstance(effort, str) or effort not in {"none", *BUDGETS}:
        raise BadRequest(f"reasoning_effort is one of none, {', '.join(BUDGETS)}.", param="reasoning_effort")
    if generation(model) >= LATEST_GENERATION:
        return {"thinkingLevel": _level(model, effort), "includeThoughts": effort != "none"}
    if effort == "none":
        return {"thinkingBudget": LEAST_BUDGET if "pro" in model else 0, "includeThoughts": False}
    return {"thinkingBudget": BUDGETS[effort], "includeThoughts": True}


def _level(model: str, effort: str) -> str:
    """The mapping of "OpenAI compatibility": Pro models lack the lowest level, and the first of them the middle one."""
    if effort in {"none", "minimal"}:
        return "low" if "pro" in model else "minimal"
    if effort == "medium" and "gemini-3-pro" in model:
        return "high"
    return "high" if effort == "xhigh" else effort


def _tools(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    asked = body.get("tools", [])
    if not isinstance(asked, list) or not all(isinstance(tool, dict) for tool in asked):
        raise BadRequest("tools is a list of tools.", param="tools")
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for index, tool in enumerate(asked):
        kind = tool.get("type")
        if kind == "function":
            functions.append(_declaration(tool.get("function"), f"tools[{index}].function"))
        elif kind in SEARCHES:
            others.append({"googleSearch": {}})
        elif kind is None and tool.keys() <= METERED_TOOLS:
            # One of Gemini's own, in Gemini's own words: {"urlContext": {}}.
            others.append(tool)
        elif kind is None:
            raise BadRequest(f"No answer tells the price of the tool {', '.join(tool)}.", param=f"tools[{index}]")
        else:
            raise BadRequest(f"Gemini has no tools of type {kind!r}.", param=f"tools[{index}].type")
    if "web_search_options" in body and {"googleSearch": {}} not in others:
        others.append({"googleSearch": {}})
    return ([{"functionDeclarations": functions}] if functions else []) + others


def _declaration(function: object, param: str) -> dict[str, Any]:
    if not isinstance(function, dict):
        raise BadRequest("A function is an object.", param=param)
    declared = {field: function[field] for field in ("name", "description") if function.get(field) is not None}
    # The field for whole JSON Schemas: `parameters` takes a small part of them and refuses the rest.
    return declared | ({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {})


def _calling(choice: object) -> dict[str, Any]:
    """OpenAI's tool_choice, in any of its forms, as a functionCallingConfig."""
    if isinstance(choice, str) and choice in TOOL_MODES:
        return {"mode": TOOL_MODES[choice]}
    if isinstance(choice, dict):
        if choice.get("type") == "function" and isinstance(function := choice.get("function"), dict):
            return {"mode": "ANY", "allowedFunctionNames": [function.get("name")]}
        if choice.get("type") == "allowed_tools" and isinstance(allowed := choice.get("allowed_tools"), dict):
            # Names may be given only with the mode that forces one of them.
            forced = allowed.get("mode") == "required"
            return {"mode": "ANY", "allowedFunctionNames": _names(allowed)} if forced else {"mode": "AUTO"}
    raise BadRequest("tool_choice is auto, none, required or a function.", param="tool_choice")


def _names(allowed: Mapping[str, Any]) -> list[Any]:
    tools = allowed.get("tools")
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [function.get("name") for function in functions if isinstance(function, dict)]
