"""OpenAI's models on Azure: the same bodies, other addresses and another header for the key."""

from __future__ import annotations

from urllib.parse import quote

from app.errors import ProviderFailed
from app.providers.base import Target

API_VERSION = "2024-10-21"
UNDATED_VERSIONS = ("v1", "preview")


class Azure:
    """`{api_base}/openai/deployments/{model}/{route}?api-version=…` with an `api-key` header: an `openai.Endpoint`."""

    def url(self, target: Target, route: str) -> str:
        """See `openai.Endpoint`. The base address may end with /openai or not."""
        if not target.api_base:
            raise ProviderFailed(f"The deployment of {target.model!r} on Azure has no api_base.")
        base = target.api_base.rstrip("/").removesuffix("/v1").removesuffix("/openai")
        if route.startswith("responses"):
            # These routes have no deployments in their addresses, and no versions by date.
            named = target.api_version if target.api_version in UNDATED_VERSIONS else None
            return f"{base}/openai/v1/{route}" + (f"?api-version={named}" if named else "")
        version = quote(target.api_version or API_VERSION, safe="")
        return f"{base}/openai/deployments/{quote(target.model, safe='')}/{route}?api-version={version}"

    def credentials(self, target: Target) -> dict[str, str]:
        """See `openai.Endpoint`."""
        return {"api-key": target.api_key} if target.api_key else {}
