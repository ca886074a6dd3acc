"""The only code that knows a vendor's wire format."""

from __future__ import annotations

from collections.abc import Callable

from app.providers.anthropic import Anthropic
from app.providers.azure import Azure
from app.providers.base import LocalProvider, Provider
from app.providers.compatible import DIALECTS, compatible
from app.providers.gemini import Gemini
from app.providers.mock import Mock
from app.providers.openai import Bearer
from app.providers.openai_all import AllRoutes
from app.vendors import VENDORS, Vendor

# By what a vendor speaks: its provider, made for the vendor's name and its line in the table.
LANGUAGES: dict[str, Callable[[str, Vendor], Provider]] = {
    "openai": lambda name, vendor: AllRoutes(name, Bearer(vendor.api_base or "")),
    "anthropic": lambda name, vendor: Anthropic(name, vendor.api_base or ""),
    "gemini": lambda _, __: Gemini(),
    "azure": lambda name, _: AllRoutes(name, Azure(), without=("moderations",)),
    **{dialect: lambda name, vendor: compatible(name, vendor.speaks, vendor.api_base or "") for dialect in DIALECTS},
}
PROVIDERS: dict[str, Provider | LocalProvider] = {
    **{name: LANGUAGES[vendor.speaks](name, vendor) for name, vendor in VENDORS.items()},
    "mock": Mock(),
}
