"""The table of vendors: what stands before the "/" of a model in config.yaml, one line each.

A vendor that speaks the language of one that is here needs nothing but its line. One with a language of its own needs
a file in providers/ too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter that only some vendors have: `variables` of the environment give it where config.yaml does not."""

    name: str
    variables: tuple[str, ...] = ()
    secret: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Vendor:
    """One line of the table.

    `prices` is whose prices count, by the names of genai-prices. `speaks` names the wire formats (`providers.PROVIDERS`
    has a provider for each). `api_base` is the vendor's own address; None: each deployment has its own, or it is made
    of options. `base_variables` and `key_variables` of the environment say where and with which key it is called where
    config.yaml does not; LiteLLM reads the same ones. A vendor with `base_variables` lives at an address of one's own.
    """

    prices: str
    speaks: str = "openai"
    api_base: str | None = None
    key_variables: tuple[str, ...] = ()
    key_needed: bool = True
    base_variables: tuple[str, ...] = ()
    base_needed: bool = False
    options: tuple[Option, ...] = ()


VENDORS = {
    "openai": Vendor("openai", api_base="https://api.openai.com/v1", key_variables=("OPENAI_API_KEY",)),
    "anthropic": Vendor(
        "anthropic", "anthropic", api_base="https://api.anthropic.com", key_variables=("ANTHROPIC_API_KEY",)
    ),
    "azure": Vendor(
        "azure",
        "azure",
        key_variables=("AZURE_API_KEY",),
        base_variables=("AZURE_API_BASE",),
        base_needed=True,
    ),
}
OPTIONS = tuple(dict.fromkeys(option.name for vendor in VENDORS.values() for option in vendor.options))
SECRET_OPTIONS = tuple(
    dict.fromkeys(option.name for vendor in VENDORS.values() for option in vendor.options if option.secret)
)
