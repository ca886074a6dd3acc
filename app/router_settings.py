"""router_settings: how the deployments of a model are chosen, tried again, left alone for a while, and stood in for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from app.config_file import Section
from app.failures import Failure

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
)
# The failures for which a policy has names, in LiteLLM's words. A caller's own mistakes are not among them: they are
# never tried again, and no deployment is left alone for them.
POLICY_NAMES = {
    "AuthenticationError": Failure.AUTHENTICATION,
    "TimeoutError": Failure.TIMEOUT,
    "RateLimitError": Failure.RATE_LIMIT,
    "InternalServerError": Failure.INTERNAL,
    "ServiceUnavailableError": Failure.UNAVAILABLE,
}
RETRIES, ALLOWED_FAILS = "Retries", "AllowedFails"
MOST_RETRIES, MOST_FAILS, MOST_FALLBACKS = 20, 1_000_000, 20
MOST_SECONDS = 86_400
MOST_COUNT = 2**31 - 1
# The name that stands for every model that has no fallbacks of its own.
ANY_MODEL = "*"
A_MODEL_LIST = 'a list of model names like ["gpt-4o-mini"]'
TIMEOUTS = ("timeout", "stream_timeout", "connect_timeout", "idle_timeout", "total_timeout")
# What may stand under litellm_settings as well, and there under another name.
ELSEWHERE = {"timeout": "request_timeout"}

Policy = Mapping[Failure, int]
Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a provider is waited for; None: as the router's, and in the router's: not stated.

    `timeout` is for a whole answer, and for each silence of a stream; `stream_timeout` for a stream's first piece and
    `idle_timeout` for each further one, where they differ from it; `connect_timeout` for the connection, and
    `total_timeout` for everything: in the router's the whole call, else one attempt.
    """

    timeout: float | None = None
    stream_timeout: float | None = None
    connect_timeout: float | None = None
    idle_timeout: float | None = None
    total_timeout: float | None = None


# A reasoning model may think for minutes before it says a word; the whole of a call is bounded as LiteLLM bounds it.
USUAL = Timeouts(timeout=600.0, connect_timeout=10.0, total_timeout=6000.0)


@dataclass(frozen=True, slots=True)
class Router:
    """How calls find a deployment. Times are seconds; names of models are those that callers use.

    `num_retries` is how often a call is tried again, and `retry_policy` says it for single kinds of failures, as do
    `model_retry_policies` for single models. `retry_after` is the least wait before a deployment is asked again.
    A deployment that fails more than `allowed_fails` times in a minute is left alone for `cooldown_time`.
    `fallbacks` are models that stand in for another, those of ANY_MODEL for every model without any of its own; at the
    most `max_fallbacks` of them are tried for one call. `aliases` are other names of models, of which the `hidden` ones
    are not listed.
    """

    strategy: str = "simple-shuffle"
    num_retries: int = 2
    retry_after: float = 0.0
    retry_policy: Policy = field(default_factory=dict)
    model_retry_policies: Mapping[str, Policy] = field(default_factory=dict)
    fallbacks: Names = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: Names = field(default_factory=dict)
    content_policy_fallbacks: Names = field(default_factory=dict)
    max_fallbacks: int = 5
    aliases: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    allowed_fails: int = 3
    allowed_fails_policy: Policy = field(default_factory=dict)
    cooldown_time: float = 5.0
    disable_cooldowns: bool = False
    default_max_parallel_requests: int | None = None
    timeouts: Timeouts = USUAL

    def retries(self, model: str, failure: Failure) -> int:
        """How often a call on that model is tried again after such a failure."""
        policy = self.model_retry_policies.get(model, self.retry_policy)
        return policy.get(failure, self.num_retries)

    def fails_allowed(self, failure: Failure) -> int:
        """How many such failures of a minute a deployment may have. A rate limit is believed the first time."""
        if failure is Failure.UNAVAILABLE and failure not in self.allowed_fails_policy:
            failure = Failure.INTERNAL
        default = 0 if failure is Failure.RATE_LIMIT else self.allowed_fails
        return self.allowed_fails_policy.get(failure, default)


def read(router: Section, litellm: Section) -> Router:
    """Read the section. What LiteLLM's users state under litellm_settings counts where router_settings say nothing."""
    found = _read(litellm) | _read(router)
    timeouts = {name: found.pop(name) for name in TIMEOUTS if name in found}
    return Router(timeouts=replace(USUAL, **timeouts), **found)


def timeouts(section: Section) -> dict[str, float]:
    """Read how long a provider is waited for, seconds; only what is stated."""
    expected = f"seconds, from 0.001 to {MOST_SECONDS}"
    found: dict[str, float] = {}
    for name in TIMEOUTS:
        stands = ELSEWHERE.get(name, name) if section.kind == "litellm_settings" else name
        seconds = section.number(stands, expected, least=Decimal("0.001"), most=MOST_SECONDS)
        if seconds is not None:
            found[name] = float(seconds)
    return found


def _read(section: Section) -> dict[str, Any]:
    """Only what is stated."""
    aliases, hidden = _aliases(section, "model_group_alias")
    found: dict[str, Any] = {
        "strategy": section.choice("routing_strategy", *STRATEGIES),
        "num_retries": section.whole("num_retries", least=0, most=MOST_RETRIES),
        "retry_after": _seconds(section, "retry_after"),
        "retry_policy": _policy(section.section("retry_policy"), RETRIES, MOST_RETRIES),
        "model_retry_policies": _policies_by_model(section, "model_group_retry_policy"),
        "fallbacks": _by_model(section, "fallbacks"),
        "default_fallbacks": section.names("default_fallbacks", A_MODEL_LIST),
        "context_window_fallbacks": _by_model(section, "context_window_fallbacks"),
        "content_policy_fallbacks": _by_model(section, "content_policy_fallbacks"),
        "max_fallbacks": section.whole("max_fallbacks", least=0, most=MOST_FALLBACKS),
        "aliases": aliases,
        "hidden": hidden,
        "allowed_fails": section.whole("allowed_fails", least=0, most=MOST_FAILS),
        "allowed_fails_policy": _policy(section.section("allowed_fails_policy"), ALLOWED_FAILS, MOST_FAILS),
        "cooldown_time": _seconds(section, "cooldown_time"),
        "disable_cooldowns": section.flag("disable_cooldowns"),
        "default_max_parallel_requests": section.whole("default_max_parallel_requests", least=1, most=MOST_COUNT),
    }
    found = {name: value for name, value in found.items() if value not in (None, {}, (), frozenset())}
    return found | timeouts(section)


def _seconds(section: Section, name: str) -> float | None:
    seconds = section.number(name, f"seconds, from 0 to {MOST_SECONDS}", least=0, most=MOST_SECONDS)
    return None if seconds is None else float(seconds)


def _policy(section: Section, ending: str, most: int) -> dict[Failure, int]:
    found: dict[Failure, int] = {}
    for name, failure in POLICY_NAMES.items():
        number = section.whole(name + ending, least=0, most=most)
        if number is not None:
            found[failure] = number
    return found


def _policies_by_model(section: Section, name: str) -> dict[str, Policy]:
    entries = _entries(section, name, "a mapping of model names to policies", dict)
    return {
        model: _policy(Section(section.notes, "retry_policy", path, policy, section.unset), RETRIES, MOST_RETRIES)
        for model, path, policy in entries
    }


def _by_model(section: Section, name: str) -> dict[str, tuple[str, ...]]:
    """Read [{model: [models]}, …] or {model: [models], …}."""
    expected = 'a list like [{"gpt-4o": ["gpt-4o-mini"]}]'
    found: dict[str, tuple[str, ...]] = {}
    for model, path, models in _entries(section, name, expected, list):
        if all(isinstance(one, str) and one.strip() for one in models):
            found[model] = tuple(models)
        else:
            section.notes.problem(path, f"expected {A_MODEL_LIST}")
    return found


def _entries(section: Section, name: str, expected: str, kind: type[Any]) -> list[tuple[str, str, Any]]:
    """The (model, path, value) of a mapping, or of a list of mappings; each value is of that kind."""
    value = section.values.get(name)
    mappings = value if isinstance(value, list) else [value] if value is not None else []
    found = []
    for mapping in mappings:
        if not isinstance(mapping, dict):
            section.wrong(name, value, expected)
            return []
        for model, stated in mapping.items():
            path = f"{section.at(name)}.{model}"
            if isinstance(model, str) and isinstance(stated, kind):
                found.append((model, path, stated))
            else:
                section.notes.problem(path, f"expected {expected}")
    return found


def _aliases(section: Section, name: str) -> tuple[dict[str, str], frozenset[str]]:
    """Read {"alias": "model"} or {"alias": {"model": "model", "hidden": true}}: what they stand for, and the hidden."""
    value = section.values.get(name)
    expected = 'a mapping like {"gpt-4": "gpt-4o"} or {"gpt-4": {"model": "gpt-4o", "hidden": true}}'
    if not isinstance(value, dict | None):
        section.wrong(name, value, expected)
        return {}, frozenset()
    aliases: dict[str, str] = {}
    hidden: set[str] = set()
    for alias, stated in (value or {}).items():
        entry = stated if isinstance(stated, dict) else {"model": stated}
        model = entry.get("model")
        known = entry.keys() <= {"model", "hidden"} and isinstance(entry.get("hidden", False), bool)
        if not (known and isinstance(alias, str) and isinstance(model, str) and model.strip()):
            section.notes.problem(f"{section.at(name)}.{alias}", f"expected {expected}")
            continue
        aliases[alias] = model
        if entry.get("hidden"):
            hidden.add(alias)
    return aliases, frozenset(hidden)
