"""Environment and config.yaml to one frozen Settings; every problem is named with its path."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app import config_file, durations, model_list, money, router_settings
from app.config_file import Notes, Section, is_address
from app.errors import SettingsError
from app.model_list import Deployment
from app.price_names import Place, Stated
from app.router_settings import Router
from app.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHORTEST_MASTER_KEY = 16
SHORTEST_WEBHOOK_SECRET = 16
SHORTEST_ENCRYPTION_KEY = 16

KEYS_RETENTION = "expired_keys_retention"
RETENTION = "maximum_spend_logs_retention_period"
# A row is what keeps its call from being booked again, so none goes while the call's event may still be on its way.
SHORTEST_RETENTION = 86_400

UNPRICED = ("refuse", "allow")
CHOICES = {
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

# What the file may say and a running process is bound to: connections, hashes and encrypted credentials hang on it.
NEEDS_RESTART = {"master_key": "general_settings.master_key", "database_url": "general_settings.database_url"}


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
    """Everything that can be set, at the start or by reading config.yaml again. Times are seconds.

    `on_disconnect` says what becomes of a call whose client has left: the provider is let go at once ("cancel"), or its
    answer is read to the end for its usage ("drain").
    `default_price` is that of models that have no other; without it `unpriced` says what becomes of calls on them.
    `abandoned` says what a call of a dead process costs: what it held ("held"), or nothing ("free"). Ledger rows older
    than `ledger_retention` are deleted, and keys that have expired for longer than `expired_keys_retention`; None:
    never. `timezone` and `week_start` are those of budgets that state none.
    `customer_header` is the header that names the customer of a call; with `create_customers` a new name becomes a
    customer on first sight, with the budget template `customer_template`. Webhooks go to `webhook_url` (None: there are
    none), signed with `webhook_key`. `alert_thresholds` are percentages, for budgets that do not state their own.
    `encryption_keys` are the secrets of stored credentials: the first encrypts, all decrypt; the master key does both
    where there is none. `provider_keys` are the variables that stored deployments may take their key from.
    """

    master_key: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    provider_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    deployments: tuple[Deployment, ...] = ()
    unpriced: str = "refuse"
    default_price: Stated = ()
    abandoned: str = "held"
    on_disconnect: str = "cancel"
    ledger_retention: int | None = 90 * 86_400
    expired_keys_retention: int | None = 30 * 86_400
    budget_wait: float = 5.0
    lease: float = 30.0
    max_body_bytes: int = 32 * 1024 * 1024
    router: Router = field(default_factory=Router)
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


def load(environ: Mapping[str, str], directory: Path, before: Settings | None = None) -> Settings:
    """Read the environment and the config.yaml in `directory`, at which relative paths start.

    An empty variable counts as one that is not set. Nothing is created and nobody is connected to.
    `before` are the settings of a process that runs: what needs a restart must be the same, and a file that is gone or
    empty is a mistake then, because all models would be gone with it.

    Raises SettingsError with all problems, one line each, none of which shows a secret.
    """
    directory = directory.absolute()
    notes = Notes(environ.get("TOLLGATE_CONFIG") or "config.yaml", environ)
    config = _config(directory, notes, running=before is not None)
    stated = _deployments(config, notes)
    litellm, general = config.section("litellm_settings"), config.section("general_settings")
    default_price = _default_price(general)
    deployments = tuple(replace(one, default_costs=default_price) for one in stated)
    changed = _general(general)
    changed["router"] = router_settings.read(config.section("router_settings"), litellm)
    changed["gateway_limits"] = _gateway_limits(general, litellm)
    changed |= _customers(general, litellm)
    changed["master_key"] = _master_key(general)
    changed["database_url"] = _database_url(general, directory)
    changed["redis_url"] = _redis_url(notes)
    changed["encryption_keys"] = _encryption_keys(notes)
    changed["provider_keys"] = _provider_keys(environ)
    for path, variable in config.unset.items():
        notes.problem(path, f"{variable} is not set in the environment")
    for name, path in NEEDS_RESTART.items() if before is not None else ():
        if changed[name] and changed[name] != getattr(before, name):
            notes.problem(path, "is another one than at the start, and takes a restart of all processes")
    if notes.problems:
        raise SettingsError(notes.problems)
    return Settings(deployments=deployments, default_price=default_price, warnings=notes.all_warnings(), **changed)


def _config(directory: Path, notes: Notes, *, running: bool) -> Section:
    """Read the file, which may be missing only at the start, and where nobody asked for it by name."""
    path = directory / notes.file
    if not path.exists() and not notes.environ.get("TOLLGATE_CONFIG") and not running:
        notes.warnings.append(f"{notes.file}: there is no such file, so there are no models")
        return Section(notes, "config", "", {})
    config = config_file.read(path, notes)
    if running and not config.values and not notes.problems:
        notes.problem("", "is empty")
    if not config.values.get("model_list"):
        notes.warnings.append(f"{notes.file}: model_list is empty, so there are no models")
    return config


def _deployments(config: Section, notes: Notes) -> tuple[Deployment, ...]:
    found: list[Deployment] = []
    ids: dict[str, str] = {}
    for entry in config.sections("model_list"):
        if deployment := model_list.read(entry, ids):
            found.append(deployment)
        if off := model_list.are_not_set(entry.unset):
            notes.warnings.append(f"{notes.file}: {entry.path} ({entry.values.get('model_name')}) is off: {off}")
    return tuple(found)


def _default_price(general: Section) -> Stated:
    """Read the price of models that have none, in words of config.yaml's prices; () where `unpriced` is a word."""
    if not isinstance(general.values.get("unpriced"), dict):
        return ()
    section = general.section("unpriced")
    found = section.prices()
    for kind in ("input", "output"):
        if Place(kind) not in found:
            general.notes.problem(section.path, f"has no {kind} price, expected {kind}_price_per_million")
    return tuple((place, dollars) for place, (_, dollars) in sorted(found.items()))


def _general(general: Section) -> dict[str, Any]:
    """Read what differs from the defaults."""
    found: dict[str, Any] = {}
    # It may be a price too, which is in the deployments.
    if not isinstance(general.values.get("unpriced"), dict) and (word := general.choice("unpriced", *UNPRICED)):
        found["unpriced"] = word
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
    if KEYS_RETENTION in general.values:
        expected = 'a duration like "30d", or null to keep them all'
        found["expired_keys_retention"] = _seconds(general, KEYS_RETENTION, 1, expected)
    return found | _webhooks(general)


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
    return _seconds(general, RETENTION, SHORTEST_RETENTION, expected)


def _seconds(general: Section, name: str, least: int, expected: str) -> int | None:
    text = general.text(name, expected)
    if text is None:
        return None
    try:
        seconds = durations.seconds(text, datetime.now(UTC))
    except ValueError:
        seconds = 0
    if seconds < least:
        general.wrong(name, text, expected)
    return seconds


def _webhooks(general: Section) -> dict[str, Any]:
    """Read where webhooks go, what they are signed with, and which shares of a budget are told."""
    found: dict[str, Any] = {}
    thresholds = general.wholes("alert_thresholds", least=1, most=MOST_PERCENT)
    if thresholds is not None:
        found["alert_thresholds"] = tuple(sorted(set(thresholds)))
    address = 'an address like "https://…" without user and password'
    url = general.text("webhook_url", address, secret=True)
    if url is not None and (not is_address(url, "http", "https") or "@" in urlsplit(url).netloc):
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
    elif not rest.startswith("/") and not is_address(f"{scheme}://{rest}", scheme):
        general.notes.problems.append(f"{place}: got no host and port that can be read, expected {ENCODED}")
    return f"postgresql+psycopg://{rest}"


def _redis_url(notes: Notes) -> str:
    if not (url := notes.environ.get("REDIS_URL", "")):
        notes.problems.append("REDIS_URL: not set, expected redis://… or rediss://…")
    elif not is_address(url, "redis", "rediss"):
        notes.problems.append(f"REDIS_URL: got something else, expected redis://… or rediss://…, {ENCODED}")
    return url


def _encryption_keys(notes: Notes) -> tuple[str, ...]:
    """Read the secrets that stored credentials are encrypted with, the one that encrypts first."""
    keys = tuple(key.strip() for key in notes.environ.get("TOLLGATE_ENCRYPTION_KEY", "").split(","))
    if keys == ("",):
        return ()
    if any(len(key) < SHORTEST_ENCRYPTION_KEY for key in keys):
        expected = f"secrets of {SHORTEST_ENCRYPTION_KEY} or more characters with commas between them"
        notes.problems.append(f"TOLLGATE_ENCRYPTION_KEY: got something else, expected {expected}")
    return keys


def _provider_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Read the variables that stored deployments take their key from where they do not say."""
    variables = [
        variable
        for vendor in VENDORS.values()
        if not vendor.base_variables
        for variable in (*vendor.key_variables, *(name for option in vendor.options for name in option.variables))
    ]
    return {variable: value for variable in variables if (value := environ.get(variable))}
