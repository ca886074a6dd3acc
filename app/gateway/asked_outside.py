"""What a request asks for beside an answer of its model: other models, tools of the provider's, things to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.errors import BadRequest
from app.providers.splice import ESCAPED_LETTER

Body = Mapping[str, Any]

# By these a provider calls other models, which nobody has asked leave for, or takes what has a price that no answer
# tells: OpenRouter ("Model Fallbacks", "Presets", "Plugins"), Anthropic and LiteLLM ("fallbacks"), Groq ("Compound"),
# xAI ("Live Search").
REFUSED = frozenset({"models", "fallbacks", "preset", "compound_custom", "plugins", "search_parameters"})
# The same of tools, by how their types begin. Anthropic's "Advisor tool" and OpenRouter's tools call models, OpenAI's
# "image_generation" has pictures made by a model with a price of its own, xAI's "Tools" are paid by the call.
REFUSED_TOOLS = ("advisor", "openrouter:", "image_generation", "x_search", "collections_search")
# Their number is told with the answer. Gemini's own words have no type, and the name of the tool is a member.
SEARCH_TOOLS = ("web_search", "google_search", "googleSearch")
# What these find is put into the model's context.
READING_TOOLS = ("mcp", "web_fetch", "computer_use_preview", "url_context", "urlContext", "fileSearch", "file_search")
READING = frozenset({"mcp_servers", "cached_content", "previous_response_id", "conversation", "container"})
MOST_SEARCHES = 10
# No call does anything more often than this; numbers above it are left for the provider to refuse.
LARGEST_NUMBER = 1000
# Pages of a document are paid for by what they show, and a small file can have many.
FILES = frozenset({"document", "file", "input_file"})
FILES_WRITTEN = tuple(f'"{kind}"'.encode() for kind in FILES)
# Names of members that could be read twice in a different way.
DOUBLES = (*REFUSED, "tools", "web_search_options", "stream_options")


def check(body: Body) -> None:
    """Raises BadRequest for what would lead past the model's grant or past its price."""
    for name in sorted(REFUSED.intersection(body)):
        if body[name]:
            raise BadRequest(
                f"'{name}' is not supported: the provider would call other models, or take what it does not tell the "
                "price of.",
                param=name,
            )
    for tool in tools(body):
        kind = str(tool.get("type"))
        if kind.startswith(REFUSED_TOOLS):
            raise BadRequest(
                f"The tool '{kind}' is not supported: it has a price of its own, and the provider does not "
                "tell with the answer what it has cost.",
                param="tools",
            )


def tools(body: Body) -> list[dict[str, Any]]:
    """The tools of a request. Raises BadRequest."""
    given = body.get("tools")
    if given is not None and not isinstance(given, list):
        raise BadRequest("'tools' must be a list.", param="tools")
    return [tool for tool in given or () if isinstance(tool, dict)]


def searches(body: Body) -> int:
    """How often the provider searches the web for the call at the most, as far as it says. Raises BadRequest."""
    most = 0
    for tool in tools(body):
        if _is_one_of(tool, SEARCH_TOOLS):
            uses = tool.get("max_uses")
            most += uses if type(uses) is int and uses >= 0 else MOST_SEARCHES
    if body.get("web_search_options") is not None:
        most = max(most, MOST_SEARCHES)
    return min(most, LARGEST_NUMBER)


def reads_more(raw: bytes, body: Body) -> bool:
    """Whether the model reads what is not in the body as text, so that only its context window is a bound."""
    if not READING.isdisjoint(body) and any(map(body.get, READING)):
        return True
    if any(_is_one_of(tool, READING_TOOLS) for tool in tools(body)):
        return True
    if not any(map(raw.__contains__, FILES_WRITTEN)) and ESCAPED_LETTER.search(raw) is None:
        return False
    return _has_files([body.get("messages"), body.get("input"), body.get("system")])


def _is_one_of(tool: dict[str, Any], kinds: tuple[str, ...]) -> bool:
    kind = tool.get("type")
    names: Iterable[object] = [kind] if kind is not None else tool
    return any(isinstance(name, str) and name.startswith(kinds) for name in names)


def _has_files(values: list[Any]) -> bool:
    rest = values
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            if isinstance(item.get("type"), str) and item["type"] in FILES:
                return True
            rest += item.values()
        elif isinstance(item, list):
            rest += item
    return False
