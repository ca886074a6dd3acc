"""One entry of model_list to a Deployment: a provider's model, where it lives, what it costs."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from app import config_file
from app.config_file import Section, is_address

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_ID = 64
MOST_TOKENS = 1_000_000_000
COSTS = [name for name in config_file.OURS["litellm_params"] if "_cost" in name]

# No model costs a hundredth of this; a price per million tokens, put in by mistake, is nearly always above it.
DEAREST_TOKEN = Decimal("0.01")

# What a deployment is called with where it does not say; LiteLLM reads the same variables.
API_DEFAULTS = {
    "openai": {"api_key": "os.environ/OPENAI_API_KEY"},
    "azure": {"api_key": "os.environ/AZURE_API_KEY", "api_base": "os.environ/AZURE_API_BASE"},
}
# A stored deployment is called at the provider's own address or at one that it states, and a key from the environment
# goes to the former only: whoever may add a deployment must not learn it.
STORED_DEFAULTS = {name: {} if "api_base" in found else found for name, found in API_DEFAULTS.items()}
# The parameters that are encrypted at rest and never shown.
SECRETS = ("api_key",)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of model_list: a provider's model that answers under a name of ours.

    `provider` is who is called ("openai", "azure", "mock"), `price_provider` whose prices count, for a mock as well.
    Costs are dollars per token. `off` says why it cannot be used ("AZURE_API_KEY is not set"), or is None. A `stored`
    one was added while the gateway runs; the others stand in config.yaml.
    """

    id: str
    model_name: str
    provider: str
    model: str
    price_provider: str = "openai"
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_version: str | None = None
    mock_response: str | None = None
    timeout: float | None = None
    base_model: str | None = None
    mode: str | None = None
    access_groups: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: Decimal | None = None
    output_cost_per_token: Decimal | None = None
    cache_read_input_token_cost: Decimal | None = None
    cache_creation_input_token_cost: Decimal | None = None
    off: str | None = None
    stored: bool = False


def read(entry: Section, ids: dict[str, str], defaults: Mapping[str, Mapping[str, str]]) -> Deployment | None:
    """Read one entry; None where it has no name or no model. `ids` is where each id was found, and grows by one.

    `defaults` are API_DEFAULTS or STORED_DEFAULTS.
    """
    params, info = entry.section("litellm_params"), entry.section("model_info")
    model_name = entry.name("model_name", 'a string like "gpt-4o"', required=True)
    mock_response = params.text("mock_response", 'a string like "Hello"')
    named, model = _provider_and_model(params, mocked=mock_response is not None)
    rest: dict[str, Any] = {
        "timeout": timeout(params),
        "base_model": info.name("base_model", 'a string like "gpt-4o"'),
        "mode": info.name("mode", 'a string like "chat"'),
        "access_groups": info.names("access_groups", 'a list like ["beta-models"]'),
        "max_input_tokens": info.whole("max_input_tokens", least=1, most=MOST_TOKENS),
        "max_output_tokens": info.whole("max_output_tokens", least=1, most=MOST_TOKENS),
    }
    rest |= _costs(params, info)
    # A mock calls nobody, so it works where the variables of its address and key are not set.
    rest |= {} if mock_response is not None else _api(params, named, defaults)
    if model_name is None or model is None:
        return None
    return Deployment(
        id=_identity(entry, params, info, ids),
        model_name=model_name,
        provider=named if mock_response is None else "mock",
        model=model,
        price_provider=named,
        mock_response=mock_response,
        off=are_not_set(entry.unset),
        **rest,
    )


def _provider_and_model(params: Section, *, mocked: bool) -> tuple[str, str | None]:
    """("openai/gpt-4o") -> ("openai", "gpt-4o"). A mock may name any provider: only its prices count."""
    text = params.name("model", 'a string like "openai/gpt-4o"', required=True)
    if text is None:
        return "openai", None
    provider, model = text.split("/", 1) if "/" in text else ("openai", text)
    if model and (provider in API_DEFAULTS or (mocked and provider)):
        return provider, model
    known = " or ".join(f'"{name}/<model>"' for name in API_DEFAULTS)
    params.wrong("model", text, f'{known}; a server that speaks OpenAI\'s format is "openai/{text}" with its api_base')
    return "openai", None


def _api(params: Section, provider: str, defaults: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    """Read where to call and with which key. The key for a provider itself is never sent to another address by default.

    What has a default in config.yaml is needed: it must be stated where `defaults` has none for it.
    """
    elsewhere = "api_base" not in API_DEFAULTS[provider] and params.values.get("api_base") is not None
    default, needed = ({}, {}) if elsewhere else (defaults[provider], API_DEFAULTS[provider])
    address = 'an address like "https://…"'
    base = params.text("api_base", address, default=default.get("api_base"), required="api_base" in needed)
    if base is not None and not is_address(base, "http", "https"):
        params.wrong("api_base", base, address, secret="@" in base)
    key = params.text("api_key", "a string", default=default.get("api_key"), required="api_key" in needed, secret=True)
    if key is not None and not (key.isascii() and key.isprintable()):
        params.wrong("api_key", key, "characters that a header can hold", secret=True)
    return {
        "api_base": base,
        "api_key": key,
        "api_version": params.text("api_version", 'a string like "2024-10-21"'),
    }


def _costs(params: Section, info: Section) -> dict[str, Decimal | None]:
    """Read dollars per token. They may stand in either section; litellm_params win."""
    expected = f"dollars per token, from 0 to {DEAREST_TOKEN}; is this per million?"
    found: dict[str, Decimal | None] = dict.fromkeys(COSTS)
    for section, kind in itertools.product((info, params), COSTS):
        if (cost := section.number(kind, expected, least=0, most=DEAREST_TOKEN)) is not None:
            found[kind] = cost
    return found


def _identity(entry: Section, params: Section, info: Section, ids: dict[str, str]) -> str:
    """Take the id that the entry gives itself, or make one of all it says but its secrets: it outlives restarts."""
    given = info.name("id", 'a string like "azure-eu-1"', longest=LONGEST_ID)
    if given is not None:
        if given in ids:
            info.wrong("id", given, f"an id of its own; {ids[given]} has this one")
        ids[given] = entry.path
        return given
    said = {
        name: value
        for name, value in params.values.items()
        if name in config_file.OURS["litellm_params"] and (name not in SECRETS or config_file.referred(value))
    }
    text = json.dumps([entry.values.get("model_name"), said], sort_keys=True, default=str)
    # Entries that differ in their secrets only (two accounts of one provider) are told apart by their order.
    digests = (sha256(f"{number}:{text}".encode()).hexdigest()[:16] for number in itertools.count())
    identity = next(digest for digest in digests if digest not in ids)
    ids[identity] = entry.path
    return identity


def are_not_set(unset: Mapping[str, str]) -> str | None:
    """("AZURE_API_BASE and AZURE_API_KEY are not set"), or None where nothing is missing."""
    names = " and ".join(dict.fromkeys(unset.values()))
    return f"{names} {'are' if ' ' in names else 'is'} not set" if names else None


def timeout(section: Section) -> float | None:
    """Read for how many seconds a provider may stay silent."""
    seconds = section.number("timeout", "seconds, from 0.001 to 86400", least=Decimal("0.001"), most=86_400)
    return None if seconds is None else float(seconds)
