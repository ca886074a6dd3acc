"""Documents put in order by a query: the shape that Cohere has made, and Jina, vLLM and Together speak as well."""

from __future__ import annotations

from app.providers import openai_answers
from app.providers.base import EVENT_STREAM, Counts, Outgoing, Sent, StreamReader, Target, Whole
from app.providers.openai_routes import FIRST_ERROR_STATUS, Endpoint, request_headers
from app.providers.splice import spliced

ROUTE = "rerank"


class RerankFormat:
    """`POST {address}/rerank` with a model, a query and documents."""

    streams = EVENT_STREAM

    def __init__(self, endpoint: Endpoint) -> None:
        """The route is the end of its address everywhere."""
        self._endpoint = endpoint

    def prepare(self, target: Target, sent: Sent) -> Outgoing:
        """See `base.WireFormat`."""
        headers = request_headers(sent.headers) | self._endpoint.credentials(target)
        body = spliced(sent.raw, {**sent.changes, "model": target.model}, sent.body)
        return Outgoing(self._endpoint.url(target, ROUTE), headers, body)

    def whole(self, _sent: Sent, status: int, answer: bytes) -> Whole:
        """See `base.WireFormat`."""
        return Whole(answer, None if status >= FIRST_ERROR_STATUS else rerank_counts(openai_answers.parsed(answer)))

    def reader(self, sent: Sent) -> StreamReader:
        """Rerankers do not stream; nothing ever comes this way."""
        return openai_answers.StreamReader(usage_asked=sent.usage_asked)


def rerank_counts(answer: dict[str, object]) -> Counts | None:
    """What a reranker tells of its usage, by our kinds; None where it tells nothing.

    Cohere bills searches and tells them in meta.billed_units ("Rerank API (v2)"): they are "requests". The others bill
    tokens, and tell them as OpenAI does, all of them input.
    """
    meta, usage = answer.get("meta"), answer.get("usage")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    counts: Counts = {}
    for told in (usage, billed):
        if not isinstance(told, dict):
            continue
        tokens = told.get("total_tokens", told.get("input_tokens", told.get("prompt_tokens")))
        for kind, amount in (("requests", told.get("search_units")), ("input", tokens)):
            # Cohere's SDK has them as fractions: 1.0.
            if type(amount) is int or (type(amount) is float and amount.is_integer()):
                counts[kind] = int(amount)
    return {"input": 0, "output": 0} | counts if counts else None
