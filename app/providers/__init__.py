"""The only code that knows a vendor's wire format."""

from __future__ import annotations

import re
from collections.abc import Callable

from app.providers.anthropic import Anthropic
from app.providers.azure import Azure
from app.providers.base import LocalProvider, Provider
from app.providers.bedrock import Bedrock, BedrockClaude
from app.providers.compatible import DIALECTS, compatible
from app.providers.gemini import Gemini
from app.providers.mock import Mock
from app.providers.openai import Bearer
from app.providers.openai_all import AllRoutes
from app.providers.vertex import Vertex, VertexClaude
from app.vendors import VENDORS, Vendor

# By what a vendor speaks: its provider, made for the vendor's name and its line in the table.
LANGUAGES: dict[str, Callable[[str, Vendor], Provider]] = {
    "openai": lambda name, vendor: AllRoutes(name, Bearer(vendor.api_base or "")),
    "anthropic": lambda name, vendor: Anthropic(name, vendor.api_base or ""),
    "gemini": lambda _, __: Gemini(),
    "azure": lambda name, _: AllRoutes(name, Azure(), without=("moderations", "rerank")),
    **{dialect: lambda name, vendor: compatible(name, vendor.speaks, vendor.api_base or "") for dialect in DIALECTS},
    "bedrock": lambda _name, _vendor: Bedrock(),
    "vertex_ai": lambda _name, _vendor: Vertex(),
}
PROVIDERS: dict[str, Provider | LocalProvider] = {
    **{name: LANGUAGES[vendor.speaks](name, vendor) for name, vendor in VENDORS.items()},
    "mock": Mock(),
}
# Vendors that have Anthropic's models beside their own speak Anthropic's language for these.
CLAUDE: dict[str, Provider] = {"bedrock": BedrockClaude(), "vertex_ai": VertexClaude()}
CLAUDE_MODEL = re.compile(r"(?:^|[./])claude")


def provider_of(name: str, model: str) -> Provider | LocalProvider:
    """The provider by that name, as it serves this model."""
    return CLAUDE.get(name, PROVIDERS[name]) if CLAUDE_MODEL.search(model) else PROVIDERS[name]
