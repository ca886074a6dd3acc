"""The messages of a chat as Anthropic's turns: instructions apart, roles that alternate, tool results first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from app.errors import BadRequest

INSTRUCTING = ("system", "developer")
# Blocks of Anthropic's own that clients put into a chat's content.
NATIVE = ("document", "thinking", "redacted_thinking", "search_result")
OF_THINKING = ("type", "thinking", "signature", "data")
NOT_OF_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)[^,]*;base64,(.*)", re.DOTALL)
PDF = "application/pdf"

Block = dict[str, Any]


def turns(messages: object) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of `system`, and the turns of `messages`.

    Instructions are told before everything else, wherever they stood, as Anthropic's own endpoint for OpenAI's clients
    does it ("OpenAI SDK compatibility"). Raises BadRequest for content that has no like.
    """
    if not isinstance(messages, list):
        raise BadRequest("messages is a list.", param="messages")
    system: list[Block] = []
    told: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role in INSTRUCTING:
            system += _marked(message, _blocks(message.get("content"), place))
            continue
        translated = TURNS.get(role) if isinstance(role, str) else None
        if translated is None:
            raise BadRequest(f"A message of role {role!r} cannot be given to this model.", param=f"{place}.role")
        turn, blocks = translated(message, place)
        if not blocks:
            continue
        if told and told[-1]["role"] == turn:
            told[-1]["content"] += blocks
        else:
            told.append({"role": turn, "content": blocks})
    return system, told


def _user(message: dict[str, Any], place: str) -> tuple[str, list[Block]]:
    return "user", _marked(message, _blocks(message.get("content"), place))


def _assistant(message: dict[str, Any], place: str) -> tuple[str, list[Block]]:
    thinking = message.get("thinking_blocks")
    blocks = [_thought(block) for block in thinking if isinstance(block, dict)] if isinstance(thinking, list) else []
    blocks += _marked(message, _blocks(message.get("content") or message.get("refusal"), place))
    if message.get("function_call"):
        raise BadRequest("function_call has no like here: tool_calls has.", param=f"{place}.function_call")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise BadRequest("tool_calls is a list.", param=f"{place}.tool_calls")
    return "assistant", [*blocks, *(_tool_use(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(calls))]


def _thought(block: Block) -> Block:
    """A block of thinking without what streams and clients have added to it."""
    return {name: value for name, value in block.items() if name in OF_THINKING}


def _tool_use(call: object, place: str) -> Block:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise BadRequest("A tool call has its function.", param=place)
    arguments = function.get("arguments") or "{}"
    try:
        given = orjson.loads(arguments)
    except (orjson.JSONDecodeError, TypeError):
        given = None
    if not isinstance(given, dict):
        raise BadRequest("The arguments of a tool call are a JSON object.", param=f"{place}.function.arguments")
    return {"type": "tool_use", "id": _tool_id(call.get("id")), "name": function.get("name"), "input": given}


def _tool(message: dict[str, Any], place: str) -> tuple[str, list[Block]]:
    content = message.get("content")
    result: Block = {"type": "tool_result", "tool_use_id": _tool_id(message.get("tool_call_id"))}
    result["content"] = content if isinstance(content, str) else _blocks(content, place)
    return "user", _marked(message, [result])


TURNS: dict[str, Callable[[dict[str, Any], str], tuple[str, list[Block]]]] = {
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _tool_id(given: object) -> str:
    """Anthropic takes letters, digits, _ and - in the id of a tool call; others make more of them."""
    return NOT_OF_AN_ID.sub("_", given) if isinstance(given, str) else ""


def _marked(message: dict[str, Any], blocks: list[Block]) -> list[Block]:
    """A message's own cache_control, as LiteLLM's clients put it, is that of its last block."""
    if (mark := message.get("cache_control")) and blocks:
        blocks[-1] = {**blocks[-1], "cache_control": mark}
    return blocks


def _blocks(content: object, place: str) -> list[Block]:
    """Content as blocks; Anthropic refuses texts of nothing but white space."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    if not isinstance(content, list):
        raise BadRequest("A message's content is a text or a list of parts.", param=f"{place}.content")
    blocks = [_block(part, f"{place}.content[{at}]") for at, part in enumerate(content)]
    return [block for block in blocks if block.get("type") != "text" or block["text"].strip()]


def _block(part: object, place: str) -> Block:
    if not isinstance(part, dict):
        raise BadRequest("A part of a message's content is an object.", param=place)
    kind = part.get("type")
    if kind in NATIVE:
        return part
    if kind == "image_url":
        block = _image(part.get("image_url"), place)
    elif kind == "file":
        block = _document(part.get("file"), place)
    elif kind in ("text", "refusal") and isinstance(part.get(kind), str):
        block = {"type": "text", "text": part[kind]}
    else:
        raise BadRequest(f"Content of type {kind!r} cannot be given to this model.", param=place)
    return block | ({"cache_control": part["cache_control"]} if part.get("cache_control") else {})


def _image(image: object, place: str) -> Block:
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise BadRequest("An image has its url.", param=place)
    if found := DATA_URL.fullmatch(url):
        return {"type": "image", "source": {"type": "base64", "media_type": found[1], "data": found[2]}}
    return {"type": "image", "source": {"type": "url", "url": url}}


def _document(file: object, place: str) -> Block:
    """A file that comes with the call; the ids of stored files mean nothing to another provider."""
    data = file.get("file_data") if isinstance(file, dict) else None
    found = DATA_URL.fullmatch(data) if isinstance(data, str) else None
    if not isinstance(file, dict) or found is None or found[1] != PDF:
        raise BadRequest("A file for this model is a PDF in file_data, as a data: URL.", param=place)
    block: Block = {"type": "document", "source": {"type": "base64", "media_type": PDF, "data": found[2]}}
    return block | ({"title": file["filename"]} if isinstance(file.get("filename"), str) else {})
