"""OpenAI's models on Azure: the same bodies, other addresses and another header for the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from app.errors import ProviderFailed
from app.providers.base import Outgoing, Target
from app.providers.openai import OpenAIAnswers, request_body, request_headers

API_VERSION = "2024-10-21"


class Azure(OpenAIAnswers):
    """`POST {api_base}/openai/deployments/{model}/{route}?api-version=…` with an `api-key` header."""

    name = "azure"
    local: Literal[False] = False

    def prepare(self, target: Target, route: str, body: dict[str, Any], incoming: Mapping[str, str]) -> Outgoing:
        """See `base.Provider`. The base address may end with /openai or not."""
        if not target.api_base:
            raise ProviderFailed(f"The deployment of {target.model!r} on Azure has no api_base.")
        headers = request_headers(incoming)
        if target.api_key:
            headers["api-key"] = target.api_key
        base = target.api_base.rstrip("/").removesuffix("/openai")
        version = quote(target.api_version or API_VERSION, safe="")
        url = f"{base}/openai/deployments/{quote(target.model, safe='')}/{route}?api-version={version}"
        return Outgoing(url, headers, request_body(route, body))
