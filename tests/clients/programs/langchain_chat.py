"""LangChain's chat models for OpenAI and Anthropic, and its embeddings."""

from __future__ import annotations

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.clients.programs.serving import QUESTION, Target, serve


class Weather(BaseModel):
    """The weather."""

    city: str
    degrees: int


@tool  # type: ignore[untyped-decorator]
def weather(city: str) -> str:
    """The weather."""
    return f"7 degrees in {city}"


def openai(target: Target, **more: Any) -> BaseChatModel:
    where = {"base_url": target.url + "/v1", "api_key": target.key, "max_retries": target.retries}
    return ChatOpenAI(model=target.model, stream_usage=True, **where, **more)


def responses(target: Target) -> BaseChatModel:
    return openai(target, use_responses_api=True)


def anthropic(target: Target, **more: Any) -> BaseChatModel:
    where = {"base_url": target.url, "api_key": target.key, "max_retries": target.retries}
    return ChatAnthropic(model_name=target.model, max_tokens_to_sample=2048, **where, **more)


def usage(told: Any) -> dict[str, int]:
    return {"input": told["input_tokens"], "output": told["output_tokens"]}


def whole(model: BaseChatModel) -> Any:
    answer = model.invoke(QUESTION)
    return {"text": answer.text, **usage(answer.usage_metadata)}


def stream(model: BaseChatModel) -> Any:
    chunks = list(model.stream(QUESTION))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    pieces = [chunk.text for chunk in chunks if chunk.text]
    return {"text": total.text, "pieces": len(pieces), **usage(total.usage_metadata)}


def tools(model: BaseChatModel) -> Any:
    bound = model.bind_tools([weather])
    said = bound.invoke(QUESTION)
    (call,) = said.tool_calls
    found = weather.invoke(call)
    assert isinstance(found, ToolMessage)
    answer = bound.invoke([HumanMessage(QUESTION), said, found])
    return {"tool": call["name"], "given": call["args"], "text": answer.text}


def structured(model: BaseChatModel) -> Any:
    return model.with_structured_output(Weather, method="json_schema").invoke(QUESTION).model_dump()


def thinking(target: Target) -> Any:
    answer = anthropic(target, thinking={"type": "enabled", "budget_tokens": 1024}).invoke(QUESTION)
    thought = answer.content[0]
    return {"thought": thought["thinking"], "signature": thought["signature"], "text": answer.text}


def embeddings(target: Target) -> Any:
    # Counting the tokens of its texts itself would have it load a vocabulary from elsewhere.
    model = OpenAIEmbeddings(
        model=target.model, base_url=target.url + "/v1", api_key=target.key, check_embedding_ctx_length=False
    )
    return {"vectors": model.embed_documents(["a", "b"])}


serve(
    {
        "chat": lambda target: whole(openai(target)),
        "stream": lambda target: stream(openai(target)),
        "tools": lambda target: tools(openai(target)),
        "structured": lambda target: structured(openai(target)),
        "responses": lambda target: whole(responses(target)),
        "stream responses": lambda target: stream(responses(target)),
        "responses tools": lambda target: tools(responses(target)),
        "messages": lambda target: whole(anthropic(target)),
        "stream messages": lambda target: stream(anthropic(target)),
        "messages tools": lambda target: tools(anthropic(target)),
        "messages structured": lambda target: structured(anthropic(target)),
        "responses structured": lambda target: structured(responses(target)),
        "thinking": thinking,
        "embeddings": embeddings,
    }
)
