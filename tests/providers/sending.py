"""Requests as the gateway hands them to providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from requests.structures import CaseInsensitiveDict

from app.providers.base import Sent


def sent(
    route: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Sent:
    """A client's body on a route, as `gateway/asked.py` reads it."""
    options = body.get("stream_options")
    return Sent(
        route=route,
        raw=orjson.dumps(body),
        body=body,
        headers=CaseInsensitiveDict(headers or {}),
        changes=changes or {},
        stream=body.get("stream") is True,
        usage_asked=isinstance(options, dict) and options.get("include_usage") is True,
    )
