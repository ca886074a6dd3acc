"""LlamaIndex's OpenAI model and embeddings."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

from tests.clients.programs.serving import QUESTION, Target, serve


class Weather(BaseModel):
    """The weather."""

    city: str
    degrees: int


def weather(city: str) -> str:
    """The weather."""
    return f"7 degrees in {city}"


TOOL = FunctionTool.from_defaults(weather)
MESSAGES = [ChatMessage(role="user", content=QUESTION)]


def model(target: Target) -> OpenAI:
    where = {"api_base": target.url + "/v1", "api_key": target.key, "max_retries": target.retries}
    return OpenAI(model=target.model, **where)


def usage(told: Any) -> dict[str, int]:
    return {"input": told.prompt_tokens, "output": told.completion_tokens}


def chat(target: Target) -> Any:
    answer = model(target).chat(MESSAGES)
    return {"text": answer.message.content, **usage(answer.raw.usage)}


def stream(target: Target) -> Any:
    options = {"include_usage": True}
    chunks = list(model(target).stream_chat(MESSAGES, stream_options=options))
    pieces = [chunk.delta for chunk in chunks if chunk.delta]
    return {"text": "".join(pieces), "pieces": len(pieces), **usage(chunks[-1].raw.usage)}


def tools(target: Target) -> Any:
    answer = model(target).predict_and_call([TOOL], user_msg=QUESTION)
    (source,) = answer.sources
    return {"tool": source.tool_name, "given": source.raw_input["kwargs"]}


def structured(target: Target) -> Any:
    answer = model(target).as_structured_llm(Weather).chat(MESSAGES)
    return answer.raw.model_dump()


def embeddings(target: Target) -> Any:
    made = OpenAIEmbedding(model=target.model, api_base=target.url + "/v1", api_key=target.key)
    return {"vectors": made.get_text_embedding_batch(["a", "b"])}


serve({"chat": chat, "stream": stream, "one tool": tools, "structured": structured, "embeddings": embeddings})
