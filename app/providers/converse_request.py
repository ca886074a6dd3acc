"""Chat as OpenAI's clients ask for it, said in the words of Bedrock's Converse API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from app.errors import BadRequest
from app.providers.converse_messages import conversation
from app.providers.converse_tools import tool_config

# Members of Converse's own that a client may state beside OpenAI's.
OWN = frozenset({"guardrailConfig", "performanceConfig", "requestMetadata"})
# What OpenAI's clients send and Converse has no word for, or what is said below in another way. What is neither here
# nor Converse's own is the model's: it goes along as an additional field.
OPENAI = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "stop", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        *("response_format", "reasoning_effort", "service_tier", "user", "metadata", "store", "seed", "logit_bias"),
        *("logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "modalities", "audio", "prediction"),
        *("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "verbosity", "web_search_options"),
    }
)
TIERS = ("priority", "default", "flex")
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


def converse_body(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body of Converse and ConverseStream, which are the same. Raises BadRequest, which names the field."""
    _refuse(body)
    system, messages = conversation(body.get("messages"))
    made: dict[str, Any] = {"messages": messages} | {name: body[name] for name in OWN if name in body}
    if system:
        made["system"] = system
    if inference := dict(_inference(body)):
        made["inferenceConfig"] = inference
    if tools := tool_config(body, messages):
        made["toolConfig"] = tools
    if (tier := body.get("service_tier")) in TIERS:
        made["serviceTier"] = {"type": tier}
    additional = {name: value for name, value in body.items() if name not in OPENAI | OWN and value is not None}
    output = _text_format(body.get("response_format"))
    if effort := EFFORTS.get(str(body.get("reasoning_effort"))):
        # OpenAI's own models on Bedrock know it by OpenAI's name.
        if re.search(r"(^|\.)openai\.", model):
            additional["reasoning_effort"] = effort
        else:
            output["effort"] = effort
    if output:
        made["outputConfig"] = output
    if additional:
        made["additionalModelRequestFields"] = additional
    return made


def _refuse(body: Mapping[str, Any]) -> None:
    """An answer without what these ask for would be wrong; everything else that is left out is a hint."""
    if body.get("n") not in (None, 1):
        raise BadRequest("Bedrock gives one answer for each call: 'n' must be 1.", param="n")
    if body.get("logprobs"):
        raise BadRequest("Bedrock tells no log probabilities.", param="logprobs")
    modalities = body.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise BadRequest("Bedrock's chat answers in text.", param="modalities")
    if body.get("functions"):
        raise BadRequest("'functions' are not known to Bedrock; 'tools' are.", param="functions")


def _inference(body: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    caps = [cap for name in ("max_completion_tokens", "max_tokens") if (cap := body.get(name)) is not None]
    if caps:
        yield "maxTokens", caps[0]
    for ours, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        if body.get(ours) is not None:
            yield theirs, body[ours]
    if stop := body.get("stop"):
        yield "stopSequences", [stop] if isinstance(stop, str) else stop


def _text_format(response_format: object) -> dict[str, Any]:
    kind = response_format.get("type") if isinstance(response_format, dict) else "text"
    if response_format is None or kind == "text":
        return {}
    given = response_format.get("json_schema") if isinstance(response_format, dict) else None
    if kind != "json_schema" or not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        raise BadRequest("Bedrock knows a 'response_format' with a json_schema, or none.", param="response_format")
    schema = {name: given[name] for name in ("name", "description") if isinstance(given.get(name), str)}
    structure = {"jsonSchema": schema | {"schema": orjson.dumps(given["schema"]).decode()}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}
