"""LiteLLM's SDK, which many programs call models with, as a client of the gateway."""

from __future__ import annotations

import json
import os
from typing import Any

import litellm
from pydantic import BaseModel

from tests.clients.programs.serving import PLACE, QUESTION, SOUND, Target, serve

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": PLACE}}

assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


class Weather(BaseModel):
    city: str
    degrees: int


def openai(target: Target) -> dict[str, Any]:
    """As its users do: openai/ before the name, and the gateway's address."""
    where = {"api_base": target.url + "/v1", "api_key": target.key, "max_retries": target.retries}
    return {"model": f"openai/{target.model}", **where}


def anthropic(target: Target) -> dict[str, Any]:
    where = {"api_base": target.url, "api_key": target.key, "max_tokens": 2048}
    return {"model": f"anthropic/{target.model}", **where}


def usage(told: Any) -> dict[str, int]:
    return {"input": told.prompt_tokens, "output": told.completion_tokens}


def whole(params: dict[str, Any]) -> Any:
    answer = litellm.completion(messages=MESSAGES, **params)
    return {"text": answer.choices[0].message.content, **usage(answer.usage)}


def stream(params: dict[str, Any]) -> Any:
    options = {"include_usage": True}
    chunks = list(litellm.completion(messages=MESSAGES, stream=True, stream_options=options, **params))
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    told = next(chunk.usage for chunk in chunks if getattr(chunk, "usage", None))
    return {"text": "".join(pieces), "pieces": len(pieces), **usage(told)}


def tools(params: dict[str, Any]) -> Any:
    said = litellm.completion(messages=MESSAGES, tools=[TOOL], **params).choices[0].message
    (call,) = said.tool_calls
    more = [*MESSAGES, said.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"}]
    answer = litellm.completion(messages=more, tools=[TOOL], **params)
    given = json.loads(call.function.arguments)
    return {"tool": call.function.name, "given": given, "text": answer.choices[0].message.content}


def structured(params: dict[str, Any]) -> Any:
    answer = litellm.completion(messages=MESSAGES, response_format=Weather, **params)
    return json.loads(answer.choices[0].message.content)


def responses(target: Target) -> Any:
    answer = litellm.responses(input=QUESTION, **openai(target))
    text = "".join(part.text for item in answer.output for part in item.content)
    return {"text": text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def embeddings(target: Target) -> Any:
    answer = litellm.embedding(input=["a", "b"], encoding_format="float", **openai(target))
    return {"vectors": [one["embedding"] for one in answer.data], "input": answer.usage.prompt_tokens}


def speech(target: Target) -> Any:
    answer = litellm.speech(input="Hello.", voice="alloy", **openai(target))
    return {"bytes": len(answer.content), "type": answer.response.headers["content-type"]}


def transcription(target: Target) -> Any:
    answer = litellm.transcription(file=("a.wav", SOUND, "audio/wav"), **openai(target))
    return {"text": answer.text}


def moderation(target: Target) -> Any:
    where = {"api_base": target.url + "/v1", "api_key": target.key}
    answer = litellm.moderation(input="Hello.", model=target.model, custom_llm_provider="openai", **where)
    return {"flagged": answer.results[0].flagged}


def images(target: Target) -> Any:
    answer = litellm.image_generation(prompt="A fjord.", n=2, **openai(target))
    return {"images": len(answer.data)}


serve(
    {
        "chat": lambda target: whole(openai(target)),
        "stream": lambda target: stream(openai(target)),
        "tools": lambda target: tools(openai(target)),
        "structured": lambda target: structured(openai(target)),
        "messages": lambda target: whole(anthropic(target)),
        "stream messages": lambda target: stream(anthropic(target)),
        "messages tools": lambda target: tools(anthropic(target)),
        "responses": responses,
        "embeddings": embeddings,
        "images": images,
        "speech": speech,
        "transcription": transcription,
        "moderation": moderation,
    }
)
