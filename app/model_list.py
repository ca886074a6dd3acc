"""One entry of model_list to a Deployment: a provider's model, where it lives, what it costs."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from app import config_file, router_settings
from app.config_file import Section, is_address
from app.price_names import Stated
from app.router_settings import MOST_COUNT, MOST_SECONDS, Timeouts
from app.vendors import ADDRESS_OPTIONS, OPTIONS, SECRET_OPTIONS, VENDORS, Option, Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_ID = 64
MOST_TOKENS = 1_000_000_000

# The parameters that are encrypted at rest and never shown.
SECRETS = ("api_key", *SECRET_OPTIONS)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of model_list: a provider's model that answers under a name of ours.

    `provider` is who is called ("openai", "azure", "mock"), `vendor` who is named before the model, for a mock as well;
    `price_provider` is whose prices count, by the names of genai-prices. `options` are pairs of name and value.
    Of the deployments of one name those with the lowest `order` are called, each as often as its `weight` says; `rpm`
    and `tpm` are the requests and tokens of a minute that it takes, `max_parallel_requests` the calls at a time, None:
    no limit. It is left alone for `cooldown_time` seconds when it fails too often.
    `costs` are the prices that it states, `default_costs` those that count where no other is known. `off` says why it
    cannot be used ("AZURE_API_KEY is not set"), or is None. A `stored` one was added while the gateway runs; the others
    stand in config.yaml.
    """

    id: str
    model_name: str
    provider: str
    model: str
    vendor: str = "openai"
    price_provider: str = "openai"
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_version: str | None = None
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    mock_response: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    weight: float | None = None
    order: int = 1
    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    cooldown_time: float | None = None
    base_model: str | None = None
    mode: str | None = None
    access_groups: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    costs: Stated = ()
    default_costs: Stated = ()
    off: str | None = None
    stored: bool = False

    def __hash__(self) -> int:
        """Of all fields it would take 3 µs, and every call looks for its deployment's price."""
        return hash((self.id, self.model))


def read(entry: Section, ids: dict[str, str], *, stored: bool = False) -> Deployment | None:
    """Read one entry; None where it has no name or no model. `ids` is where each id was found, and grows by one.

    `stored`: the entry is not of config.yaml, but was added while the gateway runs.
    """
    params, info = entry.section("litellm_params"), entry.section("model_info")
    model_name = entry.name("model_name", 'a string like "gpt-4o"', required=True)
    mock_response = params.text("mock_response", 'a string like "Hello"')
    named, model = _provider_and_model(params, mocked=mock_response is not None)
    rest: dict[str, Any] = {
        **_routing(params),
        "base_model": info.name("base_model", 'a string like "gpt-4o"'),
        "mode": info.name("mode", 'a string like "chat"'),
        "access_groups": info.names("access_groups", 'a list like ["beta-models"]'),
        "max_input_tokens": info.whole("max_input_tokens", least=1, most=MOST_TOKENS),
        "max_output_tokens": info.whole("max_output_tokens", least=1, most=MOST_TOKENS),
    }
    rest["costs"] = _costs(params, info)
    # A mock calls nobody, so it works where the variables of its address and key are not set.
    rest |= {} if mock_response is not None else _api(params, VENDORS[named], stored=stored)
    if model_name is None or model is None:
        return None
    if named in VENDORS and (path := VENDORS[named].path) and (bare := path.sub("", model, count=1)) != model:
        rest["base_model"] = rest["base_model"] or bare
    return Deployment(
        id=_identity(entry, params, info, ids),
        model_name=model_name,
        provider=named if mock_response is None else "mock",
        model=model,
        vendor=named,
        price_provider=VENDORS[named].prices if named in VENDORS else named,
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
    if model and (provider in VENDORS or (mocked and provider)):
        return provider, model
    known = ", ".join(VENDORS)
    expected = f'"<vendor>/<model>" with one of {known}; a server that speaks OpenAI\'s format is "openai/{text}"'
    params.wrong("model", text, f"{expected} with its api_base")
    return "openai", None


def _api(params: Section, vendor: Vendor, *, stored: bool) -> dict[str, Any]:
    """Read where to call and with which key.

    The key for a vendor itself is never sent to another address by default. A stored deployment is called at the
    vendor's own address or at one that it states, and a key from the environment goes to the former only: whoever may
    add a deployment must not learn it.
    """
    stated = {name for name, value in params.values.items() if value is not None}
    elsewhere = (not vendor.base_variables and "api_base" in stated) or (stored and bool(stated & set(ADDRESS_OPTIONS)))
    by_default = not elsewhere and not (stored and vendor.base_variables)
    # Credentials are not mixed: to a secret that is stated, none of the environment's belongs.
    secrets_by_default = by_default and stated.isdisjoint(SECRETS)
    base = Option("api_base", vendor.base_variables, needed=vendor.base_needed)
    key = Option("api_key", vendor.key_variables, secret=True, needed=vendor.key_needed and not elsewhere)
    address = 'an address like "https://…"'
    api_base = _given(params, base, address, by_default=by_default)
    if api_base is not None and not is_address(api_base, "http", "https"):
        params.wrong("api_base", api_base, address, secret="@" in api_base)
    return {
        "api_base": api_base,
        "api_key": _given(params, key, "a string", by_default=secrets_by_default),
        "api_version": params.text("api_version", 'a string like "2024-10-21"'),
        "options": _options(
            params, vendor, by_default=by_default, secrets_by_default=secrets_by_default, stored=stored
        ),
    }


def _options(
    params: Section, vendor: Vendor, *, by_default: bool, secrets_by_default: bool, stored: bool
) -> tuple[tuple[str, str], ...]:
    """Read the parameters that only this vendor has; those of others are wrong here."""
    for name in OPTIONS:
        if params.values.get(name) is not None and name not in {option.name for option in vendor.options}:
            params.notes.problem(params.at(name), "this vendor has no such parameter")
    found: dict[str, str] = {}
    for option in vendor.options:
        value = _given(params, option, "a string", by_default=secrets_by_default if option.secret else by_default)
        if value is None:
            continue
        if option.address and not is_address(value, "http", "https"):
            params.wrong(option.name, value, 'an address like "https://…"', secret="@" in value)
        if option.document and stored and option.name in params.values and not value.lstrip().startswith("{"):
            # A file of the gateway's is not for whoever may add a deployment.
            params.wrong(option.name, value, "a JSON text; paths are read in config.yaml only", secret=True)
        found[option.name] = value
    return tuple(found.items())


def vendor_of(params: Mapping[str, Any]) -> str:
    """The vendor that a model names, by its name in the table."""
    name = str(params.get("model")).partition("/")[0]
    return name if name in VENDORS else "openai"


def secrets_of(params: Mapping[str, Any]) -> list[str]:
    """The secret parameters that a vendor has."""
    return ["api_key", *(option.name for option in VENDORS[vendor_of(params)].options if option.secret)]


def _given(params: Section, option: Option, expected: str, *, by_default: bool) -> str | None:
    """Read one parameter, or what the first of its variables that is set says."""
    default = None
    if by_default and option.variables:
        usual = [variable for variable in option.variables if params.notes.environ.get(variable)]
        if usual or option.needed:
            default = config_file.REFERENCE + (usual or option.variables)[0]
    value = params.text(option.name, expected, default=default, required=option.needed, secret=option.secret)
    if option.secret and not option.document and value is not None and not (value.isascii() and value.isprintable()):
        params.wrong(option.name, value, "characters that a header can hold", secret=True)
    return value


def _costs(params: Section, info: Section) -> Stated:
    """Read prices. They may stand in either section; under the same name litellm_params win."""
    found, lost = params.prices(), info.prices()
    for place, (path, _) in lost.items():
        if place in found and found[place][0].rpartition(".")[2] != path.rpartition(".")[2]:
            info.notes.problem(path, f"stands in {found[place][0]} too, expected one of them")
    return tuple((place, dollars) for place, (_, dollars) in sorted((lost | found).items()))


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


def _routing(params: Section) -> dict[str, Any]:
    """Read how much of its name's calls it takes, and how long it is waited for."""
    weight = params.number("weight", "a number from 0 to 1000000", least=0, most=1_000_000)
    cooldown = params.number("cooldown_time", f"seconds, from 0 to {MOST_SECONDS}", least=0, most=MOST_SECONDS)
    order = params.whole("order", least=0, most=MOST_COUNT)
    return {
        "timeouts": Timeouts(**router_settings.timeouts(params)),
        "weight": None if weight is None else float(weight),
        "order": 1 if order is None else order,
        "rpm": params.whole("rpm", least=1, most=MOST_COUNT),
        "tpm": params.whole("tpm", least=1, most=MOST_COUNT),
        "max_parallel_requests": params.whole("max_parallel_requests", least=1, most=MOST_COUNT),
        "cooldown_time": None if cooldown is None else float(cooldown),
    }
