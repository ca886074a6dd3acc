"""Embeddings of Gemini reach clients as OpenAI's."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from app.errors import BadRequest
from app.providers.base import Target, Whole
from app.providers.gemini import Gemini
from tests.providers.sending import sent

FORMAT = Gemini().formats["embeddings"]
TARGET = Target(model="gemini-embedding-001", api_key="key-ours")
# "Embeddings" of the Gemini API's documentation.
ANSWER: dict[str, Any] = {"embeddings": [{"values": [0.5, -0.25]}, {"values": [1, 0]}]}


def asked(**members: Any) -> dict[str, Any]:
    return {"model": "vectors", "input": ["What is the meaning of life?", "π"]} | members


def read(body: dict[str, Any], answer: dict[str, Any] = ANSWER) -> Whole:
    return FORMAT.whole(sent("embeddings", body), 200, orjson.dumps(answer))


def test_each_text_is_a_request_of_the_batch() -> None:
    outgoing = FORMAT.prepare(TARGET, sent("embeddings", asked(dimensions=2)))
    assert outgoing.url.endswith("/v1beta/models/gemini-embedding-001:batchEmbedContents")
    assert outgoing.headers["x-goog-api-key"] == "key-ours"
    assert orjson.loads(outgoing.body)["requests"][1] == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "π"}]},
        "outputDimensionality": 2,
    }


@pytest.mark.parametrize("given", [[1, 2, 3], [[1], [2]], [], None, 5])
def test_what_is_no_text_is_refused(given: object) -> None:
    with pytest.raises(BadRequest) as refused:
        FORMAT.prepare(TARGET, sent("embeddings", {"model": "vectors", "input": given}))
    assert refused.value.param == "input"


def test_each_text_gets_its_vector() -> None:
    told = CreateEmbeddingResponse.model_validate_json(read(asked()).body)
    assert [(one.index, one.embedding) for one in told.data] == [(0, [0.5, -0.25]), (1, [1, 0])]


def test_a_vector_comes_in_base64_when_asked_for() -> None:
    (packed, _) = orjson.loads(read(asked(encoding_format="base64")).body)["data"]
    assert struct.unpack("<2f", base64.b64decode(packed["embedding"])) == (0.5, -0.25)


def test_usage_that_is_not_told_is_left_to_be_counted() -> None:
    told = read(asked())
    assert (told.counts, told.text_bytes) == (None, 0)
    assert CreateEmbeddingResponse.model_validate_json(told.body).usage.prompt_tokens == 10


def test_usage_that_is_told_counts() -> None:
    usage = {"promptTokenCount": 9, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}
    told = read(asked(), ANSWER | {"usageMetadata": usage})
    assert told.counts == {"input": 9, "output": 0}
    assert CreateEmbeddingResponse.model_validate_json(told.body).usage.prompt_tokens == 9


def test_an_error_has_openai_s_shape() -> None:
    error = {"error": {"code": 404, "message": "models/x is not found", "status": "NOT_FOUND"}}
    told = FORMAT.whole(sent("embeddings", asked()), 404, orjson.dumps(error))
    assert (told.counts, orjson.loads(told.body)["error"]["code"]) == (None, "NOT_FOUND")
