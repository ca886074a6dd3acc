"""OpenAI's own Python SDK; with Azure's paths and header for what is called azure."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.programs.serving import LARGE, PLACE, QUESTION, SOUND, Capability, Target, named, serve

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": PLACE}}
RESPONSES_TOOL: Any = {"type": "function", "name": "weather", "parameters": PLACE, "strict": True}


class Weather(BaseModel):
    city: str
    degrees: int


def client(target: Target) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(event_hooks={"request": [target.note]})
    if target.azure:
        return openai.AzureOpenAI(
            azure_endpoint=target.url,
            api_key=target.key,
            api_version="2025-04-01-preview",
            max_retries=target.retries,
            http_client=http,
        )
    return openai.OpenAI(base_url=target.url + "/v1", api_key=target.key, max_retries=target.retries, http_client=http)


def usage(told: Any) -> dict[str, int]:
    return {"input": told.prompt_tokens, "output": told.completion_tokens}


def chat(target: Target) -> Any:
    answer = client(target).chat.completions.create(model=target.model, messages=MESSAGES)
    return {"text": answer.choices[0].message.content, **usage(answer.usage)}


def stream(target: Target) -> Any:
    options: Any = {"include_usage": True}
    chunks = list(
        client(target).chat.completions.create(
            model=target.model, messages=MESSAGES, stream=True, stream_options=options
        )
    )
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    return {"text": "".join(pieces), "pieces": len(pieces), **usage(chunks[-1].usage)}


def quiet_stream(target: Target) -> Any:
    """One that does not ask for its usage."""
    chunks = list(client(target).chat.completions.create(model=target.model, messages=MESSAGES, stream=True))
    return {"choices": all(chunk.choices for chunk in chunks), "usage": any(chunk.usage for chunk in chunks)}


def tools(target: Target) -> Any:
    asked = client(target).chat.completions.create(model=target.model, messages=MESSAGES, tools=[TOOL])
    said = asked.choices[0].message
    (call,) = said.tool_calls or []
    results = [*MESSAGES, said, {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"}]
    answer = client(target).chat.completions.create(model=target.model, messages=results, tools=[TOOL])
    assert call.type == "function"
    return {
        "tool": call.function.name,
        "given": json.loads(call.function.arguments),
        "text": answer.choices[0].message.content,
    }


def stream_tools(target: Target) -> Any:
    with client(target).chat.completions.stream(
        model=target.model, messages=MESSAGES, tools=[TOOL], stream_options={"include_usage": True}
    ) as events:
        (call,) = events.get_final_completion().choices[0].message.tool_calls or []
    return {"tool": call.function.name, "given": json.loads(call.function.arguments)}


def structured(target: Target) -> Any:
    answer = client(target).chat.completions.parse(model=target.model, messages=MESSAGES, response_format=Weather)
    parsed = answer.choices[0].message.parsed
    assert parsed
    return parsed.model_dump()


def responses(target: Target) -> Any:
    answer = client(target).responses.create(model=target.model, input=QUESTION)
    assert answer.usage
    return {"text": answer.output_text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def stream_responses(target: Target) -> Any:
    with client(target).responses.stream(model=target.model, input=QUESTION) as events:
        kinds = [event.type for event in events]
        answer = events.get_final_response()
    assert answer.usage
    return {
        "text": answer.output_text,
        "pieces": kinds.count("response.output_text.delta"),
        "input": answer.usage.input_tokens,
        "output": answer.usage.output_tokens,
    }


def responses_tools(target: Target) -> Any:
    given: Any = [{"role": "user", "content": QUESTION}]
    asked = client(target).responses.create(model=target.model, input=given, tools=[RESPONSES_TOOL])
    (call,) = asked.output
    assert call.type == "function_call"
    given += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "7 degrees"}]
    answer = client(target).responses.create(model=target.model, input=given, tools=[RESPONSES_TOOL])
    return {"tool": call.name, "given": json.loads(call.arguments), "text": answer.output_text}


def responses_structured(target: Target) -> Any:
    answer = client(target).responses.parse(model=target.model, input=QUESTION, text_format=Weather)
    assert answer.output_parsed
    return answer.output_parsed.model_dump()


def compact(target: Target) -> Any:
    answer = client(target).responses.compact(model=target.model, input=QUESTION)
    (item,) = answer.output
    return {"kept": item.type, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def response_tokens(target: Target) -> Any:
    return {"input": client(target).responses.input_tokens.count(model=target.model, input=QUESTION).input_tokens}


def embeddings(target: Target) -> Any:
    answer = client(target).embeddings.create(model=target.model, input=["a", "b"], encoding_format="float")
    return {"vectors": [one.embedding for one in answer.data], "input": answer.usage.prompt_tokens}


def images(target: Target) -> Any:
    answer = client(target).images.generate(model=target.model, prompt="A fjord.", n=2)
    assert answer.usage
    pictures = [bool(one.b64_json) for one in answer.data or []]
    return {"images": len(pictures), "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def image_edits(target: Target) -> Any:
    answer = client(target).images.edit(model=target.model, image=("a.png", SOUND, "image/png"), prompt="Bluer.")
    assert answer.usage
    return {"images": len(answer.data or []), "output": answer.usage.output_tokens}


def speech(target: Target) -> Any:
    answer = client(target).audio.speech.create(model=target.model, voice="alloy", input="Hello.")
    return {"bytes": len(answer.content), "type": answer.response.headers["content-type"]}


def transcription(target: Target) -> Any:
    answer = client(target).audio.transcriptions.create(model=target.model, file=("a.wav", SOUND, "audio/wav"))
    assert answer.usage
    return {"text": answer.text, "usage": answer.usage.type}


def transcription_as_text(target: Target) -> Any:
    answer: Any = client(target).audio.transcriptions.create(
        model=target.model, file=("a.wav", SOUND, "audio/wav"), response_format="text"
    )
    return {"text": answer}


def moderation(target: Target) -> Any:
    answer = client(target).moderations.create(model=target.model, input="Hello.")
    return {"flagged": answer.results[0].flagged, "harassment": answer.results[0].categories.harassment}


def models(target: Target) -> Any:
    return [model.id for model in client(target).models.list()]


def large(target: Target) -> Any:
    return client(target).chat.completions.create(model=target.model, messages=[{"role": "user", "content": LARGE}])


def patient(target: Target) -> Any:
    """A chat beside another one that runs with the same key."""
    busy = openai.OpenAI(base_url=target.url + "/v1", api_key=target.key)
    with busy.chat.completions.create(model=target.model, messages=MESSAGES, stream=True) as running:
        chunks = iter(running)
        next(chunks)
        rest = threading.Thread(target=list, args=(chunks,))
        rest.start()
        answer = chat(target)
        rest.join()
    return answer


def as_azure(capability: Capability) -> Capability:
    """The same with Azure's addresses and its header."""
    return lambda target: capability(replace(target, azure=True))


PROGRAM = named(
    chat,
    stream,
    quiet_stream,
    tools,
    stream_tools,
    structured,
    responses,
    stream_responses,
    responses_tools,
    responses_structured,
    compact,
    response_tokens,
    embeddings,
    images,
    image_edits,
    speech,
    transcription,
    transcription_as_text,
    moderation,
    models,
    large,
    patient,
)
serve(PROGRAM | {f"azure {name}": as_azure(capability) for name, capability in PROGRAM.items()})
