"""Rerankers are metered by the search or by the token, as each of them tells."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.base import Counts, Target
from app.providers.compatible import compatible
from app.providers.openai import Bearer
from app.providers.rerank import RerankFormat
from tests.providers.sending import sent

BODY: dict[str, Any] = {"model": "ours", "query": "capital?", "documents": ["Paris", "Rome"], "top_n": 1}
RESULTS: dict[str, Any] = {"results": [{"index": 0, "relevance_score": 0.999071}]}
FORMAT = RerankFormat(Bearer("https://reranker.test/v1"))


def counts_of(answer: dict[str, Any], status: int = 200) -> Counts | None:
    raw = orjson.dumps(RESULTS | answer)
    read = FORMAT.whole(sent("rerank", BODY), status, raw)
    assert (read.body, read.text_bytes) == (raw, 0)
    return read.counts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # "Rerank API (v2)" of Cohere's documentation.
        (
            {
                "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
                "meta": {
                    "api_version": {"version": "2", "is_experimental": False},
                    "billed_units": {"search_units": 1},
                },
            },
            {"input": 0, "output": 0, "requests": 1},
        ),
        ({"meta": {"billed_units": {"search_units": 2.0}}}, {"input": 0, "output": 0, "requests": 2}),
        # "Rerank API" of vLLM's documentation.
        ({"id": "rerank-1", "model": "m", "usage": {"total_tokens": 56}}, {"input": 56, "output": 0}),
        # "Reranker API" of Jina's documentation.
        (
            {"model": "jina-reranker-v2-base-multilingual", "usage": {"total_tokens": 815, "prompt_tokens": 815}},
            {"input": 815, "output": 0},
        ),
        # "Rerank" of Together's documentation.
        (
            {"usage": {"prompt_tokens": 1837, "completion_tokens": 0, "total_tokens": 1837}},
            {"input": 1837, "output": 0},
        ),
        # OpenRouter tells both.
        (
            {"usage": {"cost": 0.002, "search_units": 1, "total_tokens": 12}},
            {"input": 12, "output": 0, "requests": 1},
        ),
    ],
)
def test_what_is_billed_is_read(answer: dict[str, Any], expected: Counts) -> None:
    assert counts_of(answer) == expected


@pytest.mark.parametrize(
    "answer", [{}, {"usage": {}}, {"meta": {"billed_units": None}}, {"usage": {"total_tokens": "1"}}]
)
def test_a_reranker_that_tells_nothing_has_no_usage(answer: dict[str, Any]) -> None:
    assert counts_of(answer) is None


def test_an_error_has_no_usage() -> None:
    assert counts_of({"meta": {"billed_units": {"search_units": 1}}}, 400) is None


def test_a_request_is_changed_in_its_model_only() -> None:
    outgoing = FORMAT.prepare(Target(model="theirs", api_key="key-ours"), sent("rerank", BODY))
    assert outgoing.url == "https://reranker.test/v1/rerank"
    assert outgoing.headers["Authorization"] == "Bearer key-ours"
    assert outgoing.body == orjson.dumps(BODY | {"model": "theirs"})


@pytest.mark.parametrize(
    ("api_base", "expected"),
    [
        (None, "https://api.cohere.com/v2/rerank"),
        ("https://eu.cohere.test/compatibility/v1/", "https://eu.cohere.test/v2/rerank"),
        ("https://cohere.test/v2", "https://cohere.test/v2/rerank"),
    ],
)
def test_cohere_reranks_beside_its_compatibility_api(api_base: str | None, expected: str) -> None:
    cohere = compatible("cohere", "cohere", "https://api.cohere.ai/compatibility/v1")
    target = Target(model="rerank-v3.5", api_base=api_base)
    assert cohere.formats["rerank"].prepare(target, sent("rerank", BODY)).url == expected


@given(st.binary(max_size=40))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert FORMAT.whole(sent("rerank", BODY), 200, raw).body == raw
