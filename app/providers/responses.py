"""OpenAI's responses: /v1/responses, whole and in events."""

from __future__ import annotations

from typing import Any

from app.providers.base import Counts, Sent, StreamReader, Whole
from app.providers.openai_answers import parsed, tier_of
from app.providers.openai_routes import RouteFormat
from app.providers.token_counts import together, token_counts, whole_number
from app.providers.typed_events import TypedEventReader, bytes_of

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
# What the model writes stands under these names in the items of an answer.
WRITTEN = ("text", "refusal", "arguments", "input", "code")


class ResponsesFormat(RouteFormat):
    """responses. Usage is always told, so that nothing has to be asked for."""

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        if self.is_error(status):
            return Whole(answer)
        response = parsed(answer)
        return Whole(answer, response_counts(response), tier_of(response), output_bytes(response))

    def reader(self, _sent: Sent) -> StreamReader:
        """See `base.WireFormat`."""
        return ResponsesReader()


class ResponsesReader(TypedEventReader):
    """Ends with the event that holds the whole response, and so its usage."""

    __slots__ = ()

    def _note(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if not isinstance(kind, str):
            return
        if kind.endswith(".delta"):
            # Sound is no text, and is told in the usage only.
            self.text_bytes += bytes_of(event.get("delta")) if kind != "response.audio.delta" else 0
        elif kind in ENDS:
            response = event.get("response")
            if isinstance(response, dict):
                self.counts = response_counts(response) or self.counts
                self.tier = tier_of(response) or self.tier
            self.finished = kind != "response.failed"
            self._failed = not self.finished
            if self._failed and self.counts is None and not self.text_bytes:
                # Refused by the provider after its status line: an error, which uses nothing.
                self.counts = {}


def response_counts(response: dict[str, Any]) -> Counts | None:
    """Usage of a response and of the provider's own tools that it called; None where no usage is told.

    Tools: API reference, "The response object", `tool_usage`. Where it is not told, the calls are counted.
    """
    counts = token_counts(response.get("usage"))
    if counts is None:
        return {} if response.get("status") == "failed" and not output_bytes(response) else None
    told = response.get("tool_usage")
    tools = told if isinstance(told, dict) else {}
    searches = tools.get("web_search")
    found = whole_number(searches.get("num_requests")) if isinstance(searches, dict) else _searches(response)
    if found:
        counts["web_searches"] = found
    drawn = token_counts(tools.get("image_gen"), all_output="image_output")
    if drawn is not None:
        return together(counts, {kind: amount for kind, amount in drawn.items() if amount})
    if pictures := sum(item.get("type") == "image_generation_call" for item in _items(response)):
        counts["images"] = pictures
    return counts


def output_bytes(response: dict[str, Any]) -> int:
    """UTF-8 bytes of what the model wrote: text, refusals, reasoning, tool calls."""
    total = 0
    for item in _items(response):
        total += sum(bytes_of(item.get(name)) for name in WRITTEN)
        for parts in (item.get("content"), item.get("summary")):
            for part in parts if isinstance(parts, list) else []:
                if isinstance(part, dict):
                    total += sum(bytes_of(part.get(name)) for name in WRITTEN)
    return total


def _searches(response: dict[str, Any]) -> int:
    """Searches that are charged for: opening a page that was found is free (guide "Web search", output and citations).

    A call that does not say what it did counts as a search.
    """
    calls = [item for item in _items(response) if item.get("type") == "web_search_call"]
    return sum(call.get("status") != "failed" and _is_search(call.get("action")) for call in calls)


def _is_search(action: object) -> bool:
    return not isinstance(action, dict) or action.get("type") not in {"open_page", "find_in_page"}


def _items(response: dict[str, Any]) -> list[dict[str, Any]]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
