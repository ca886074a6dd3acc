"""Anthropic's turns as the messages of a chat: instructions first, each tool result a message of its own."""

from __future__ import annotations

from typing import Any

import orjson

from app.errors import BadRequest

# Claude's own thinking is signed, and no other model can read it.
THINKING = ("thinking", "redacted_thinking")
# Claude Code's first instruction is different in each call and would keep everything behind it out of the cache.
BILLING = "x-anthropic-billing-header:"

Message = dict[str, Any]
# A block, behind its place in the request.
Placed = tuple[str, Message]


def chat_messages(system: object, turns: object, *, reasoning: bool) -> list[Message]:
    """The messages of a chat. Raises BadRequest for content that has no like.

    `reasoning`: the vendor wants to see again what its model has thought: DeepSeek refuses calls of tools without it
    ("Thinking Mode", Tool Calls), and others take it. OpenAI, which tells no reasoning here, wants none.
    """
    if not isinstance(turns, list):
        raise BadRequest("messages is a list.", param="messages")
    messages = _instructions(system, "system")
    for number, turn in enumerate(turns):
        place = f"messages[{number}]"
        role = turn.get("role") if isinstance(turn, dict) else None
        if role == "system":
            messages += _instructions(turn.get("content"), place)
        elif role == "user":
            messages += _user(_blocks(turn.get("content"), place))
        elif role == "assistant":
            messages += _assistant(_blocks(turn.get("content"), place), reasoning=reasoning)
        else:
            raise BadRequest(f"A message of role {role!r} cannot be given to this model.", param=f"{place}.role")
    return messages


def _instructions(content: object, place: str) -> list[Message]:
    texts = [_text(at, block) for at, block in _blocks(content, place)]
    told = "\n\n".join(text for text in texts if text and not text.startswith(BILLING))
    return [{"role": "system", "content": told}] if told else []


def _user(blocks: list[Placed]) -> list[Message]:
    """Results of tools come before what the user says: OpenAI wants them right behind the calls."""
    results: list[Message] = []
    parts: list[Message] = []
    for at, block in blocks:
        if block.get("type") == "tool_result":
            texts, others = _result(block, at)
            results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": texts})
            parts += others
        else:
            parts.append(_part(block, at))
    return results + ([{"role": "user", "content": _content(parts)}] if parts else [])


def _result(block: Message, place: str) -> tuple[str, list[Message]]:
    """A result's text, and its images and files, which OpenAI takes only from a user."""
    parts = [_part(inner, at) for at, inner in _blocks(block.get("content"), place)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if others:
        texts.append("(what this gave besides text is in the next message)")
    return "\n".join(texts), others


def _assistant(blocks: list[Placed], *, reasoning: bool) -> list[Message]:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Message] = []
    for at, block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind not in THINKING:
            texts.append(_text(at, block))
        elif not block.get("signature") and isinstance(block.get("thinking"), str):
            thoughts.append(block["thinking"])
    if not texts and not calls:
        return []
    said: Message = {"role": "assistant", "content": "".join(texts) or None}
    if thoughts and reasoning:
        said["reasoning_content"] = "".join(thoughts)
    return [said | ({"tool_calls": calls} if calls else {})]


def _blocks(content: object, place: str) -> list[Placed]:
    """A content that is one text is one block."""
    if content is None:
        return []
    if isinstance(content, str):
        return [(place, {"type": "text", "text": content})]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise BadRequest("Content is a text or a list of blocks.", param=place)
    return [(f"{place}.content[{at}]", block) for at, block in enumerate(content)]


def _text(place: str, block: Message) -> str:
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str):
        raise BadRequest(f"Content of type {block.get('type')!r} cannot be given to this model.", param=place)
    return text


def _part(block: Message, place: str) -> Message:
    """One block as a part of a user's content."""
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    match block.get("type"), source.get("type"):
        case "text", _:
            return {"type": "text", "text": _text(place, block)}
        case "image", "base64":
            return {"type": "image_url", "image_url": {"url": _data_url(source)}}
        case "image", "url":
            return {"type": "image_url", "image_url": {"url": source.get("url")}}
        case "document", "base64":
            name = block.get("title") or "document.pdf"
            return {"type": "file", "file": {"filename": name, "file_data": _data_url(source)}}
        case "document", "text" if isinstance(source.get("data"), str):
            return {"type": "text", "text": source["data"]}
    raise BadRequest(f"Content of type {block.get('type')!r} cannot be given to this model.", param=place)


def _data_url(source: Message) -> str:
    return f"data:{source.get('media_type')};base64,{source.get('data')}"


def _content(parts: list[Message]) -> Any:
    """One text as a text: some servers take nothing else."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
