"""Cohere's chat and embeddings go through its Compatibility API."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.providers.base import Target
from app.providers.compatible import compatible
from tests.providers.sending import sent

# "Using Cohere models via the OpenAI SDK" of Cohere's documentation.
BASE = "https://api.cohere.ai/compatibility/v1"
COHERE = compatible("cohere", "cohere", BASE)
TARGET = Target(model="command-a-03-2025", api_key="key-ours")


@pytest.mark.parametrize("route", ["chat/completions", "embeddings"])
def test_openai_s_routes_are_at_the_compatibility_api(route: str) -> None:
    outgoing = COHERE.formats[route].prepare(TARGET, sent(route, {"model": "ours"}))
    assert outgoing.url == f"{BASE}/{route}"
    assert outgoing.headers["Authorization"] == "Bearer key-ours"


def test_embeddings_are_booked_with_their_tokens() -> None:
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    answer = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.0045]}], "usage": usage}
    read = COHERE.formats["embeddings"].whole(sent("embeddings", {}), 200, orjson.dumps(answer))
    assert read.counts == {"input": 3, "output": 0}


def test_a_call_of_a_tool_and_its_answer_pass_as_they_are() -> None:
    function = {"name": "get_flight_info", "arguments": '{ "loc_destination": "Seattle", "loc_origin": "Miami" }'}
    body: dict[str, Any] = {
        "model": "ours",
        "messages": [
            {"role": "assistant", "tool_calls": [{"id": "f0", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "f0", "content": "Miami to Seattle, May 1st, 10 AM."},
        ],
    }
    outgoing = COHERE.formats["chat/completions"].prepare(TARGET, sent("chat/completions", body))
    assert outgoing.body == orjson.dumps(body | {"model": "command-a-03-2025"})
