"""The messages of a chat in OpenAI's format, as the turns of Bedrock's Converse API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from app.errors import BadRequest

Block = dict[str, Any]

DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)
IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}


def conversation(messages: object) -> tuple[list[Block], list[Block]]:
    """The system's blocks and the turns, in which the two speakers alternate. Raises BadRequest."""
    system: list[Block] = []
    turns: list[Block] = []
    for message in _objects(messages, "messages"):
        role = message.get("role")
        if role in ("system", "developer"):
            system += [*_content(message.get("content")), *cache_point(message)]
            continue
        if not isinstance(role, str) or role not in SPEAKERS:
            raise BadRequest(f"A message's role cannot be {role!r} on Bedrock.", param="messages")
        speaker, blocks_of = SPEAKERS[role]
        blocks = [*blocks_of(message), *cache_point(message)]
        # A turn is one speaker's: results of tools that were called together come back together.
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": speaker, "content": blocks})
    return system, turns


def cache_point(marked: Block) -> list[Block]:
    """What ends the cached part of a prompt, after what LiteLLM's clients mark with Anthropic's cache_control."""
    control = marked.get("cache_control")
    if not isinstance(control, dict):
        return []
    ttl = {"ttl": control["ttl"]} if isinstance(control.get("ttl"), str) else {}
    return [{"cachePoint": {"type": "default"} | ttl}]


def _user(message: Block) -> Iterator[Block]:
    yield from _content(message.get("content"))


def _assistant(message: Block) -> Iterator[Block]:
    for thought in _objects(message.get("thinking_blocks") or [], "messages"):
        if thought.get("type") == "redacted_thinking":
            yield {"reasoningContent": {"redactedContent": thought.get("data")}}
        else:
            signature = {"signature": thought["signature"]} if thought.get("signature") else {}
            yield {"reasoningContent": {"reasoningText": {"text": thought.get("thinking")} | signature}}
    calls = _objects(message.get("tool_calls") or [], "messages")
    said = message.get("content") or message.get("refusal")
    for block in _content(said) if said else ():
        # A text of nothing is what clients send beside calls of tools, and Bedrock refuses it.
        if not calls or block.get("text") != "":
            yield block
    for call in calls:
        function = call.get("function")
        if not isinstance(function, dict):
            raise BadRequest("A call of a tool must be one of a function.", param="messages")
        arguments = _arguments(function.get("arguments"))
        yield {"toolUse": {"toolUseId": call.get("id"), "name": function.get("name"), "input": arguments}}


def _arguments(text: object) -> dict[str, Any]:
    try:
        arguments = json.loads(text) if isinstance(text, str) and text.strip() else {}
    except ValueError as error:
        raise BadRequest("The arguments of a call of a tool are not JSON.", param="messages") from error
    if not isinstance(arguments, dict):
        raise BadRequest("The arguments of a call of a tool must be an object.", param="messages")
    return arguments


def _tool(message: Block) -> Iterator[Block]:
    content = [block for block in _content(message.get("content") or "") if block.get("text") != ""]
    marks = [block for block in content if "cachePoint" in block]
    results = [block for block in content if "cachePoint" not in block]
    yield {"toolResult": {"toolUseId": message.get("tool_call_id"), "content": results}}
    yield from marks


SPEAKERS = {"user": ("user", _user), "assistant": ("assistant", _assistant), "tool": ("user", _tool)}


def _content(content: object) -> Iterator[Block]:
    if isinstance(content, str):
        yield {"text": content}
        return
    for part in _objects(content, "messages"):
        yield _part(part)
        yield from cache_point(part)


def _part(part: Block) -> Block:
    kind = part.get("type")
    given = part.get(kind) if isinstance(kind, str) else None
    if kind in ("text", "refusal") and isinstance(given, str):
        return {"text": given}
    if kind == "image_url":
        return _image(given.get("url") if isinstance(given, dict) else given)
    if kind == "input_audio" and isinstance(given, dict):
        return {"audio": {"format": given.get("format"), "source": {"bytes": given.get("data")}}}
    if kind == "file" and isinstance(given, dict):
        return _document(given)
    raise BadRequest(f"A part of a message of type {kind!r} cannot be said to Bedrock.", param="messages")


def _image(url: object) -> Block:
    media_type, data = _inline(url, "an image")
    if media_type not in IMAGES:
        raise BadRequest(f"Bedrock's images are PNG, JPEG, GIF or WebP, not {media_type!r}.", param="messages")
    return {"image": {"format": IMAGES[media_type], "source": {"bytes": data}}}


def _document(file: Block) -> Block:
    media_type, data = _inline(file.get("file_data"), "a file")
    if media_type not in DOCUMENTS:
        raise BadRequest(f"Bedrock does not read files of type {media_type!r}.", param="messages")
    # Letters, digits, hyphens, brackets and single spaces are all that Bedrock has in a name.
    name = " ".join(re.sub(r"[^A-Za-z0-9\-()\[\]]", " ", str(file.get("filename") or "")).split()) or "document"
    return {"document": {"format": DOCUMENTS[media_type], "name": name, "source": {"bytes": data}}}


def _inline(address: object, what: str) -> tuple[str, str]:
    """The media type and the data, in base64 as it came. Bedrock fetches nothing from the web, nor does the gateway."""
    start = DATA_URI.match(address) if isinstance(address, str) else None
    if start is None or not isinstance(address, str):
        raise BadRequest(f"Bedrock takes {what} as a data: URI in base64 only.", param="messages")
    return (start["type"] or "").lower(), address[start.end() :]


def _objects(values: object, param: str) -> list[Block]:
    if (
        not isinstance(values, Iterable)
        or isinstance(values, str | dict)
        or not all(isinstance(v, dict) for v in values)
    ):
        raise BadRequest(f"'{param}' must be a list of objects.", param=param)
    return list(values)
