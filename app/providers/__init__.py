"""The only code that knows a vendor's wire format."""

from __future__ import annotations

from app.providers.azure import Azure
from app.providers.base import LocalProvider, Provider
from app.providers.mock import Mock
from app.providers.openai import OpenAI

PROVIDERS: dict[str, Provider | LocalProvider] = {provider.name: provider for provider in (OpenAI(), Azure(), Mock())}
