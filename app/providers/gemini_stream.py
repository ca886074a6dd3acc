"""Gemini's stream as OpenAI's chunks."""

from __future__ import annotations

import time
import uuid
from typing import Any

from app.providers import gemini_answers, openai_answers
from app.providers.base import Counts
from app.providers.events import END_OF_EVENT, data_of, event_of

DONE = b"data: [DONE]\n\n"


class GeminiReader:
    """Events of streamGenerateContent, each passed on as one chat.completion.chunk. See `base.StreamReader`.

    Gemini marks no end: its stream is whole when each candidate has told why it ended (or the prompt was blocked) and
    the connection closes. Usage stands in every event and grows; it goes out once, behind the last.
    """

    def __init__(self, asked_model: str, *, usage_asked: bool) -> None:
        """Usage goes out only to a client that asked for it. `asked_model` is told where Gemini tells none."""
        self.counts: Counts | None = None
        self.tier: str | None = None
        self.finished = False
        self.text_bytes = 0
        self._usage_asked = usage_asked
        self._pending = bytearray()
        self._model = asked_model
        self._identity = uuid.uuid4().hex[:24]
        self._created = int(time.time())
        self._searches: set[str] = set()
        self._ended: set[int] = set()
        self._broken = False
        # How many calls each candidate has made; a candidate that is not in here has not begun.
        self._calls: dict[int, int] = {}

    def feed(self, data: bytes) -> list[bytes]:
        """One piece for all events that this read completes."""
        pending = self._pending
        search_from = max(0, len(pending) - 3)
        pending += data
        shown: list[bytes] = []
        event_start = 0
        while end := END_OF_EVENT.search(pending, search_from):
            shown.append(self._chunk(bytes(pending[event_start : end.end()])))
            event_start = search_from = end.end()
        del pending[:event_start]
        piece = b"".join(shown)
        return [piece] if piece else []

    def rest(self) -> bytes:
        """The last event if it lacks its blank line; if the answer is whole, its usage and OpenAI's mark of the end."""
        last = self._chunk(bytes(self._pending))
        self._pending.clear()
        if self._broken or not self._ended.issuperset({0, *self._calls}):
            return last
        self.finished = True
        usage = b""
        if self._usage_asked and self.counts is not None:
            usage = self._data({"choices": [], "usage": gemini_answers.usage(self.counts)})
        return last + usage + DONE

    def _chunk(self, event: bytes) -> bytes:
        answer = openai_answers.parsed(data_of(event))
        if isinstance(error := answer.get("error"), dict):
            self._broken = True
            status = error.get("code")
            told = gemini_answers.translated_error(error, status if type(status) is int else 500)
            return event_of({"error": told})
        self._note(answer)
        choices = self._choices(answer)
        if not choices:
            return b""
        self.text_bytes += openai_answers.output_bytes({"choices": choices})
        return self._data({"choices": choices})

    def _note(self, answer: dict[str, Any]) -> None:
        """Take in what is told of the answer as a whole; what was told last counts."""
        self._identity = gemini_answers.identity_of(answer) or self._identity
        if isinstance(model := answer.get("modelVersion"), str):
            self._model = model
        self._searches |= gemini_answers.queries(answer)
        usage = answer.get("usageMetadata")
        counts = gemini_answers.usage_counts(usage)
        self.counts = gemini_answers.with_searches(counts or self.counts, self._model, self._searches)
        self.tier = gemini_answers.tier_of(usage) or self.tier

    def _choices(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        candidates = answer.get("candidates")
        choices = []
        for place, candidate in enumerate(candidates if isinstance(candidates, list) else []):
            if isinstance(candidate, dict):
                index = candidate["index"] if type(candidate.get("index")) is int else place
                choices.append(self._choice(index, candidate))
        if refusal := gemini_answers.blocked(answer):
            said = {"role": "assistant", "refusal": refusal}
            choices.append({"index": 0, "delta": said, "logprobs": None, "finish_reason": "content_filter"})
        self._ended |= {choice["index"] for choice in choices if choice["finish_reason"]}
        return choices

    def _choice(self, index: int, candidate: dict[str, Any]) -> dict[str, Any]:
        begun = index in self._calls
        made = self._calls.setdefault(index, 0)
        said = gemini_answers.delta(candidate, f"{self._identity}_{index}", made)
        for number, call in enumerate(said.get("tool_calls", ()), made):
            call["index"] = number
        self._calls[index] = made + len(said.get("tool_calls", ()))
        reason = gemini_answers.finish_reason(candidate, called=self._calls[index] > 0)
        opening = {} if begun else {"role": "assistant"}
        logprobs = gemini_answers.logprobs(candidate)
        return {"index": index, "delta": opening | said, "logprobs": logprobs, "finish_reason": reason}

    def _data(self, members: dict[str, Any]) -> bytes:
        chunk = gemini_answers.envelope("chat.completion.chunk", self._identity, self._created, self._model)
        if self.tier:
            chunk["service_tier"] = self.tier
        return event_of(chunk | members)
