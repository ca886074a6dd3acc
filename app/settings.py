"""Environment and config.yaml to one frozen Settings; every problem is named with its path."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app import config_file, durations, money
from app.config_file import Notes, Section
from app.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHORTEST_MASTER_KEY = 16
SHORTEST_WEBHOOK_SECRET = 16
LONGEST_ID = 64
MOST_TOKENS = 1_000_000_000
COSTS = [name for name in config_file.OURS["litellm_params"] if "_cost" in name]

RETENTION = "maximum_spend_logs_retention_period"
# A row is what keeps its call from being booked again, so none goes while the call's event may still be on its way.
SHORTEST_RETENTION = 86_400

# No model costs a hundredth of this; a price per million tokens, put in by mistake, is nearly always above it.
DEAREST_TOKEN = Decimal("0.01")

# What a deployment is called with where it does not say; LiteLLM reads the same variables.
API_DEFAULTS = {
    "openai": {"api_key": "os.environ/OPENAI_API_KEY"},
    "azure": {"api_key": "os.environ/AZURE_API_KEY", "api_base": "os.environ/AZURE_API_BASE"},
}

CHOICES = {
    "unpriced": ("refuse", "allow"),
    "abandoned": ("held", "free"),
    "on_disconnect": ("cancel", "drain"),
}

# The largest number that an integer column holds on both databases.
MOST_COUNT = 2**31 - 1
A_ZONE, A_WEEKDAY = 'an IANA time zone like "Europe/Berlin"', 'a day like "monday"'
ENCODED = "special characters in its password percent-encoded"

# How Standard Webhooks writes a key (github.com/standard-webhooks/standard-webhooks, "Signature scheme"): this, and
# 24 to 64 bytes in base64.
WEBHOOK_PREFIX = "whsec_"
WEBHOOK_KEY_BYTES = range(24, 65)
MOST_PERCENT = 1000


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of model_list: a provider's model that answers under a name of ours.

    `provider` is who is called ("openai", "azure", "mock"), `price_provider` whose prices count, for a mock as well.
    Costs are dollars per token. `off` says why it cannot be used ("AZURE_API_KEY is not set"), or is None.
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
    access_groups: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: Decimal | None = None
    output_cost_per_token: Decimal | None = None
    cache_read_input_token_cost: Decimal | None = None
    cache_creation_input_token_cost: Decimal | None = None
    off: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """The limits of the whole gateway: nano-dollars, seconds; None: not limited. As a user's limits, by their names."""

    max_budget: int | None = None
    soft_budget: int | None = None
    strict: bool = False
    budget_duration: str | None = None
    timezone: str | None = None
    week_start: str | None = None
    rollover: bool = False
    max_parallel_requests: int | None = None
    queue_timeout: float | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    alert_thresholds: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, read once at start. Times are seconds.

    `on_disconnect` says what becomes of a call whose client has left: the provider is let go at once ("cancel"), or its
    answer is read to the end for its usage ("drain").
    `abandoned` says what a call of a dead process costs: what it held ("held"), or nothing ("free"). Ledger rows older
    than `ledger_retention` are deleted; None: never. `timezone` and `week_start` are those of budgets that state none.
    `customer_header` is the header that names the customer of a call; with `create_customers` a new name becomes a
    customer on first sight, with the budget template `customer_template`. Webhooks go to `webhook_url` (None: there are
    none), signed with `webhook_key`. `alert_thresholds` are percentages, for budgets that do not state their own.
    """

    master_key: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    deployments: tuple[Deployment, ...] = ()
    unpriced: str = "refuse"
    abandoned: str = "held"
    on_disconnect: str = "cancel"
    ledger_retention: int | None = 90 * 86_400
    budget_wait: float = 5.0
    lease: float = 30.0
    max_body_bytes: int = 32 * 1024 * 1024
    timeout: float = 600.0
    gateway_limits: GatewayLimits = field(default_factory=GatewayLimits)
    timezone: str = "UTC"
    week_start: str = "monday"
    customer_header: str | None = None
    create_customers: bool = False
    customer_template: str | None = None
    webhook_url: str | None = field(default=None, repr=False)
    webhook_key: bytes = field(default=b"", repr=False)
    alert_thresholds: tuple[int, ...] = (80, 100)
    warnings: tuple[str, ...] = ()


def load(environ: Mapping[str, str], directory: Path) -> Settings:
    """Read the environment and the config.yaml in `directory`, at which relative paths start.

    An empty variable counts as one that is not set. Nothing is created and nobody is connected to.

    Raises SettingsError with all problems, one line each, none of which shows a secret.
    """
    directory = directory.absolute()
    notes = Notes(environ.get("TOLLGATE_CONFIG") or "config.yaml", environ)
    config = _config(directory, notes)
    deployments = _deployments(config, notes)
    litellm, general = config.section("litellm_settings"), config.section("general_settings")
    changed = _general(general, config.section("router_settings"))
    changed["gateway_limits"] = _gateway_limits(general, litellm)
    changed |= _customers(general, litellm)
    changed["master_key"] = _master_key(general)
    changed["database_url"] = _database_url(general, directory)
    changed["redis_url"] = _redis_url(notes)
    for path, variable in config.unset.items():
        notes.problem(path, f"{variable} is not set in the environment")
    if notes.problems:
        raise SettingsError(notes.problems)
    return Settings(deployments=deployments, warnings=notes.all_warnings(), **changed)


def _config(directory: Path, notes: Notes) -> Section:
    """Read the file, which may be missing only where nobody asked for it by name."""
    path = directory / notes.file
    if not path.exists() and not notes.environ.get("TOLLGATE_CONFIG"):
        notes.warnings.append(f"{notes.file}: there is no such file, so there are no models")
        return Section(notes, "config", "", {})
    config = config_file.read(path, notes)
    if not config.values.get("model_list"):
        notes.warnings.append(f"{notes.file}: model_list is empty, so there are no models")
    return config


def _deployments(config: Section, notes: Notes) -> tuple[Deployment, ...]:
    found: list[Deployment] = []
    ids: dict[str, str] = {}
    for entry in config.sections("model_list"):
        if deployment := _deployment(entry, ids):
            found.append(deployment)
        if off := _are_not_set(entry.unset):
            notes.warnings.append(f"{notes.file}: {entry.path} ({entry.values.get('model_name')}) is off: {off}")
    return tuple(found)


def _deployment(entry: Section, ids: dict[str, str]) -> Deployment | None:
    """Read one entry; None where it has no name or no model. `ids` is where each id was found, and grows by one."""
    params, info = entry.section("litellm_params"), entry.section("model_info")
    model_name = entry.name("model_name", 'a string like "gpt-4o"', required=True)
    mock_response = params.text("mock_response", 'a string like "Hello"')
    named, model = _provider_and_model(params, mocked=mock_response is not None)
    rest: dict[str, Any] = {
        "timeout": _timeout(params),
        "base_model": info.name("base_model", 'a string like "gpt-4o"'),
        "access_groups": info.names("access_groups", 'a list like ["beta-models"]'),
        "max_input_tokens": info.whole("max_input_tokens", least=1, most=MOST_TOKENS),
        "max_output_tokens": info.whole("max_output_tokens", least=1, most=MOST_TOKENS),
    }
    rest |= _costs(params, info)
    # A mock calls nobody, so it works where the variables of its address and key are not set.
    rest |= {} if mock_response is not None else _api(params, named)
    if model_name is None or model is None:
        return None
    return Deployment(
        id=_identity(entry, params, info, ids),
        model_name=model_name,
        provider=named if mock_response is None else "mock",
        model=model,
        price_provider=named,
        mock_response=mock_response,
        off=_are_not_set(entry.unset),
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


def _api(params: Section, provider: str) -> dict[str, str | None]:
    """Read where to call and with which key. The key for OpenAI itself is never sent to another address by default."""
    elsewhere = provider == "openai" and params.values.get("api_base") is not None
    defaults = {} if elsewhere else API_DEFAULTS[provider]
    base = params.text("api_base", 'an address like "https://…"', default=defaults.get("api_base"))
    if base is not None and not _is_address(base, "http", "https"):
        params.wrong("api_base", base, 'an address like "https://…"', secret="@" in base)
    return {
        "api_base": base,
        "api_key": params.text("api_key", "a string", default=defaults.get("api_key"), secret=True),
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
        if name in config_file.OURS["litellm_params"] and (name != "api_key" or config_file.referred(value))
    }
    text = json.dumps([entry.values.get("model_name"), said], sort_keys=True, default=str)
    # Entries that differ in their secrets only (two accounts of one provider) are told apart by their order.
    digests = (sha256(f"{number}:{text}".encode()).hexdigest()[:16] for number in itertools.count())
    identity = next(digest for digest in digests if digest not in ids)
    ids[identity] = entry.path
    return identity


def _are_not_set(unset: Mapping[str, str]) -> str | None:
    """("AZURE_API_BASE and AZURE_API_KEY are not set"), or None where nothing is missing."""
    names = " and ".join(dict.fromkeys(unset.values()))
    return f"{names} {'are' if ' ' in names else 'is'} not set" if names else None


def _general(general: Section, router: Section) -> dict[str, Any]:
    """Read what differs from the defaults."""
    found: dict[str, Any] = {}
    for name, choices in CHOICES.items():
        if (choice := general.choice(name, *choices)) is not None:
            found[name] = choice
    wait = general.number("budget_wait", "seconds, from 0 to 60", least=0, most=60)
    if wait is not None:
        found["budget_wait"] = float(wait)
    largest = general.number("max_request_size_mb", "megabytes, from 0.001 to 1024", least=Decimal("0.001"), most=1024)
    if largest is not None:
        found["max_body_bytes"] = int(largest * 1024 * 1024)
    if RETENTION in general.values:
        found["ledger_retention"] = _ledger_retention(general)
    found |= _webhooks(general)
    timeout = _timeout(router)
    return found if timeout is None else found | {"timeout": timeout}


def _gateway_limits(general: Section, litellm: Section) -> GatewayLimits:
    """Read the limits of the whole gateway. What LiteLLM has names for may stand under those too, but not twice."""
    limits = general.section("gateway_limits")
    for section, theirs, ours in (
        (litellm, "max_budget", "max_budget"),
        (litellm, "budget_duration", "budget_duration"),
        (general, "global_max_parallel_requests", "max_parallel_requests"),
    ):
        if section.values.get(theirs) is not None and limits.values.get(ours) is not None:
            section.notes.problem(section.at(theirs), f"stands in {limits.at(ours)} too, expected one of them")
    budget_of = limits if limits.values.get("max_budget") is not None else litellm
    window_of = limits if limits.values.get("budget_duration") is not None else litellm
    duration = 'a window like "30d" or "monthly"'
    parallel = limits.whole("max_parallel_requests", least=0, most=MOST_COUNT)
    queue = limits.number("queue_timeout", "seconds, from 0 to 600", least=0, most=600)
    return GatewayLimits(
        max_budget=_dollars(budget_of, "max_budget"),
        soft_budget=_dollars(limits, "soft_budget"),
        strict=bool(limits.flag("strict")),
        budget_duration=window_of.checked("budget_duration", durations.check_window, duration),
        timezone=limits.checked("timezone", durations.zone, A_ZONE),
        week_start=limits.checked("week_start", durations.week_start, A_WEEKDAY),
        rollover=bool(limits.flag("rollover")),
        max_parallel_requests=parallel
        if parallel is not None
        else general.whole("global_max_parallel_requests", least=0, most=MOST_COUNT),
        queue_timeout=None if queue is None else float(queue),
        rpm_limit=limits.whole("rpm_limit", least=0, most=MOST_COUNT),
        tpm_limit=limits.whole("tpm_limit", least=0, most=MOST_COUNT),
        alert_thresholds=limits.wholes("alert_thresholds", least=1, most=MOST_PERCENT),
    )


def _dollars(section: Section, name: str) -> int | None:
    most = money.MAX_BUDGET_DOLLARS
    dollars = section.number(name, f"dollars, from 0 to {most}", least=0, most=most)
    return None if dollars is None else money.budget_from_json(dollars)


def _customers(general: Section, litellm: Section) -> dict[str, Any]:
    """Read whom calls are made for, and how windows of budgets that do not say so themselves are cut."""
    template = litellm.name("max_end_user_budget_id", 'the budget_id of a template, like "free"')
    found: dict[str, Any] = {
        "customer_header": general.name("user_header_name", 'the name of a header, like "x-customer"'),
        "create_customers": bool(general.flag("create_customers")) or template is not None,
        "customer_template": template,
        "timezone": litellm.checked("timezone", durations.zone, A_ZONE),
        "week_start": general.checked("week_start", durations.week_start, A_WEEKDAY),
    }
    return {name: value for name, value in found.items() if value is not None}


def _ledger_retention(general: Section) -> int | None:
    """Read how many seconds ledger rows are kept; null: for ever."""
    expected = 'a duration of a day or more like "90d", or null to keep everything'
    text = general.text(RETENTION, expected)
    if text is None:
        return None
    try:
        seconds = durations.seconds(text, datetime.now(UTC))
    except ValueError:
        seconds = 0
    if seconds < SHORTEST_RETENTION:
        general.wrong(RETENTION, text, expected)
    return seconds


def _webhooks(general: Section) -> dict[str, Any]:
    """Read where webhooks go, what they are signed with, and which shares of a budget are told."""
    found: dict[str, Any] = {}
    thresholds = general.wholes("alert_thresholds", least=1, most=MOST_PERCENT)
    if thresholds is not None:
        found["alert_thresholds"] = tuple(sorted(set(thresholds)))
    address = 'an address like "https://…" without user and password'
    url = general.text("webhook_url", address, secret=True)
    if url is not None and (not _is_address(url, "http", "https") or "@" in urlsplit(url).netloc):
        # Addresses of webhooks often have a secret in their path.
        general.wrong("webhook_url", url, address, secret=True)
    secret = (
        f'"{WEBHOOK_PREFIX}" and {WEBHOOK_KEY_BYTES[0]} to {WEBHOOK_KEY_BYTES[-1]} bytes in base64,'
        f" or any other secret of {SHORTEST_WEBHOOK_SECRET} or more characters"
    )
    text = general.text("webhook_secret", secret, required=url is not None, secret=True)
    key = None if text is None else _webhook_key(text)
    if text is not None and key is None:
        general.wrong("webhook_secret", text, secret, secret=True)
    return found | {"webhook_url": url, "webhook_key": key or b""}


def _webhook_key(text: str) -> bytes | None:
    """Give the bytes to sign with; None for a secret that is too short, or is no base64 after its prefix."""
    if not text.startswith(WEBHOOK_PREFIX):
        return text.encode() if len(text) >= SHORTEST_WEBHOOK_SECRET else None
    try:
        key = base64.b64decode(text.removeprefix(WEBHOOK_PREFIX), validate=True)
    except binascii.Error:
        return None
    return key if len(key) in WEBHOOK_KEY_BYTES else None


def _timeout(section: Section) -> float | None:
    seconds = section.number("timeout", "seconds, from 0.001 to 86400", least=Decimal("0.001"), most=86_400)
    return None if seconds is None else float(seconds)


def _secret(variable: str, general: Section, name: str, expected: str) -> tuple[str | None, str]:
    """Find a value and its place: the environment wins, and the file is then not even looked at."""
    if value := general.notes.environ.get(variable):
        return value, variable
    return general.text(name, expected, secret=True), f"{general.notes.file}: {general.at(name)}"


def _master_key(general: Section) -> str:
    expected = f'a secret that starts with "sk-" and has {SHORTEST_MASTER_KEY} or more characters, no spaces'
    key, place = _secret("TOLLGATE_MASTER_KEY", general, "master_key", expected)
    if key is None:
        if general.values.get("master_key") is None:
            general.notes.problems.append(f"TOLLGATE_MASTER_KEY: not set, expected {expected}")
        return ""
    if re.fullmatch(r"sk-[!-~]+", key) is None or len(key) < SHORTEST_MASTER_KEY:
        general.notes.problems.append(f"{place}: got something else, expected {expected}")
    return key


def _database_url(general: Section, directory: Path) -> str:
    """Name the driver for SQLAlchemy; a relative SQLite file starts at `directory`, not where the process started."""
    default = directory / (general.notes.environ.get("TOLLGATE_HOME") or ".tollgate") / "tollgate.db"
    expected = "postgres://…, postgresql://… or sqlite:///<file>"
    url, place = _secret("DATABASE_URL", general, "database_url", expected)
    scheme, _, rest = (url or f"sqlite:///{default}").partition("://")
    if scheme == "sqlite":
        file = rest.removeprefix("/")
        if file.partition("?")[0] in ("", ":memory:") or file == rest:
            # Each process would have a database of its own in its memory.
            general.notes.problems.append(f"{place}: got no file, expected sqlite:///<file>")
        return f"sqlite:///{directory / file}"
    if scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        general.notes.problems.append(f"{place}: got another kind of address, expected {expected}")
    elif not rest.startswith("/") and not _is_address(f"{scheme}://{rest}", scheme):
        general.notes.problems.append(f"{place}: got no host and port that can be read, expected {ENCODED}")
    return f"postgresql+psycopg://{rest}"


def _redis_url(notes: Notes) -> str:
    if not (url := notes.environ.get("REDIS_URL", "")):
        notes.problems.append("REDIS_URL: not set, expected redis://… or rediss://…")
    elif not _is_address(url, "redis", "rediss"):
        notes.problems.append(f"REDIS_URL: got something else, expected redis://… or rediss://…, {ENCODED}")
    return url


def _is_address(url: str, *schemes: str) -> bool:
    """Tell whether a URL has one of the schemes, a host, and a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False
