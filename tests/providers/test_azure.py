"""Azure has its own addresses and its own header for the key."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import ProviderFailed
from app.providers import PROVIDERS
from app.providers.base import Outgoing, Target
from tests.providers.sending import sent


def prepared(target: Target, route: str, body: dict[str, Any], incoming: dict[str, str] | None = None) -> Outgoing:
    return PROVIDERS["azure"].formats[route].prepare(target, sent(route, body, incoming))


@pytest.mark.parametrize(
    "base", ["https://x.openai.azure.com", "https://x.openai.azure.com/", "https://x.openai.azure.com/openai/"]
)
def test_the_deployment_stands_in_the_address(base: str) -> None:
    target = Target(model="my gpt/4o", api_base=base, api_version="2025-01-01-preview")
    assert prepared(target, "chat/completions", {}).url == (
        "https://x.openai.azure.com/openai/deployments/my%20gpt%2F4o/chat/completions?api-version=2025-01-01-preview"
    )


def test_there_is_a_version_without_being_told() -> None:
    url = prepared(Target(model="m", api_base="https://x"), "embeddings", {}).url
    assert url == "https://x/openai/deployments/m/embeddings?api-version=2024-10-21"


def test_the_key_goes_in_azures_header_alone() -> None:
    target = Target(model="m", api_base="https://x", api_key="ours")
    headers = prepared(target, "embeddings", {}, {"authorization": "Bearer theirs", "api-key": "theirs"}).headers
    assert headers == {"Content-Type": "application/json", "Accept-Encoding": "identity", "api-key": "ours"}


def test_a_stream_is_asked_for_its_usage() -> None:
    outgoing = prepared(Target(model="m", api_base="https://x"), "chat/completions", {"stream": True})
    assert orjson.loads(outgoing.body)["stream_options"] == {"include_usage": True}


def test_without_a_base_there_is_nowhere_to_go() -> None:
    with pytest.raises(ProviderFailed, match="api_base"):
        prepared(Target(model="m"), "chat/completions", {})
