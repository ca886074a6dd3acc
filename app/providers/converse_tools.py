"""Tools in OpenAI's format, as the toolConfig of Bedrock's Converse API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.converse_messages import Block, cache_point

NO_ARGUMENTS = {"type": "object", "properties": {}}


def tool_config(body: Mapping[str, Any], turns: list[Block]) -> dict[str, Any] | None:
    """None where no tool may be called. Raises BadRequest, which names the field."""
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise BadRequest("'tools' must be a list.", param="tools")
    choice = body.get("tool_choice")
    if not tools:
        return None
    if choice == "none":
        if any("toolUse" in block for turn in turns for block in turn["content"]):
            # Bedrock wants the tools beside a chat in which some were called, and cannot be told to call none of them.
            raise BadRequest("Bedrock has no tool_choice 'none' once tools were called.", param="tool_choice")
        return None
    config: dict[str, Any] = {"tools": [made for tool in tools for made in _tool(tool)]}
    if choice is not None:
        config["toolChoice"] = _choice(choice)
    return config


def _tool(tool: object) -> list[Block]:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(tool, dict) or not isinstance(function, dict):
        raise BadRequest("Bedrock's tools are functions.", param="tools")
    schema = function.get("parameters") or NO_ARGUMENTS
    spec = {"name": function.get("name"), "inputSchema": {"json": schema}}
    if description := function.get("description"):
        spec["description"] = description
    if function.get("strict") is True:
        spec["strict"] = True
    return [{"toolSpec": spec}, *(cache_point(tool) or cache_point(function))]


def _choice(choice: object) -> dict[str, Any]:
    if choice == "auto":
        return {"auto": {}}
    if choice == "required":
        return {"any": {}}
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict):
        raise BadRequest("'tool_choice' must be auto, none, required or a function.", param="tool_choice")
    return {"tool": {"name": function.get("name")}}
