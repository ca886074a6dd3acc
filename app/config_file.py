"""config.yaml in LiteLLM's form: its YAML, its names, its values by path. What is wrong becomes a line for people."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from app import price_names
from app.vendors import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

REFERENCE = "os.environ/"
LONGEST_NAME = 255
LONGEST_SHOWN = 60
KINDS = {dict: "a mapping", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}

# By the mapping that they stand in: the names that Tollgate reads …
_OURS = {
    "config": "model_list general_settings router_settings litellm_settings",
    "model_list": "model_name litellm_params model_info",
    "litellm_params": "model api_base api_key api_version mock_response timeout stream_timeout connect_timeout"
    " idle_timeout total_timeout weight order rpm tpm max_parallel_requests cooldown_time input_cost_per_token"
    " output_cost_per_token cache_read_input_token_cost cache_creation_input_token_cost",
    "model_info": "id base_model mode access_groups max_input_tokens max_output_tokens input_cost_per_token"
    " output_cost_per_token cache_read_input_token_cost cache_creation_input_token_cost",
    "unpriced": "",
    "general_settings": "master_key database_url unpriced abandoned on_disconnect budget_wait max_request_size_mb"
    " maximum_spend_logs_retention_period expired_keys_retention gateway_limits global_max_parallel_requests"
    " user_header_name create_customers week_start webhook_url webhook_secret alert_thresholds",
    "gateway_limits": "max_budget soft_budget strict budget_duration timezone week_start rollover max_parallel_requests"
    " queue_timeout rpm_limit tpm_limit alert_thresholds",
    "router_settings": "timeout stream_timeout connect_timeout idle_timeout total_timeout routing_strategy num_retries"
    " retry_after retry_policy model_group_retry_policy fallbacks default_fallbacks context_window_fallbacks"
    " content_policy_fallbacks max_fallbacks allowed_fails allowed_fails_policy cooldown_time disable_cooldowns"
    " model_group_alias default_max_parallel_requests",
    "retry_policy": "AuthenticationErrorRetries TimeoutErrorRetries RateLimitErrorRetries InternalServerErrorRetries"
    " ServiceUnavailableErrorRetries",
    "allowed_fails_policy": "AuthenticationErrorAllowedFails TimeoutErrorAllowedFails RateLimitErrorAllowedFails"
    " InternalServerErrorAllowedFails ServiceUnavailableErrorAllowedFails",
    "litellm_settings": "max_budget budget_duration timezone max_end_user_budget_id num_retries request_timeout"
    " fallbacks default_fallbacks context_window_fallbacks content_policy_fallbacks allowed_fails cooldown_time",
}

# … and those that LiteLLM reads beside them: a config.yaml that works there starts here, with a warning.
_LITELLM = {
    "config": "environment_variables include credential_list mcp_servers mcp_tools guardrails policies"
    " policy_attachments callback_settings files_settings finetune_settings assistant_settings search_tools"
    " sandbox_tools vector_store_registry prompts agents plugins pass_through_endpoints worker_registry"
    " default_vertex_config",
    "model_list": "",
    "litellm_params": "organization max_retries tags max_budget budget_duration use_in_pass_through"
    " extra_headers drop_params max_tokens temperature",
    "model_info": "supported_environments health_check_model health_check_timeout max_tokens"
    " litellm_provider supports_function_calling supports_vision search_context_cost_per_query",
    "unpriced": "",
    "general_settings": "database_connection_pool_limit database_connection_timeout database_socket_timeout"
    " store_model_in_db proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time proxy_batch_write_at"
    " use_redis_transaction_buffer coordination_redis fail_closed_budget_enforcement"
    " fail_closed_rate_limit_enforcement apply_user_budget_to_team_keys disable_reset_budget disable_spend_logs"
    " disable_error_logs disable_spend_updates store_prompts_in_spend_logs"
    " maximum_spend_logs_retention_interval allow_requests_on_db_unavailable cancel_on_disconnect"
    " max_in_flight_requests_per_worker max_queued_requests_per_worker admission_queue_timeout_seconds"
    " max_response_size_mb token_rate_limit_type enforce_user_param user_header_mappings"
    " allowed_routes public_routes admin_only_routes allowed_ips custom_auth enable_jwt_auth pass_through_endpoints"
    " background_health_checks health_check_interval alerting alerting_threshold accounting_capture"
    " accounting_sync_ack user_api_key_cache_ttl user_api_key_cache_max_size disable_prisma_schema_update"
    " dangerously_permit_weak_or_unset_master_key use_x_forwarded_for include_call_id_in_error_body",
    "gateway_limits": "",
    "router_settings": "enable_pre_call_checks enable_tag_filtering optional_pre_call_checks provider_budget_config"
    " redis_url redis_host redis_port redis_password",
    # A caller's own mistake is never tried again, and no deployment is left alone for it.
    "retry_policy": "BadRequestErrorRetries ContentPolicyViolationErrorRetries",
    "allowed_fails_policy": "BadRequestErrorAllowedFails ContentPolicyViolationErrorAllowedFails",
    "litellm_settings": "callbacks success_callback failure_callback cache cache_params enable_redis_auth_cache"
    " default_redis_ttl drop_params"
    " budget_exceeded_status_code budget_exceeded_throttle_percentage budget_rollover"
    " budget_reset_time max_end_user_budget max_internal_user_budget"
    " internal_user_budget_duration default_internal_user_params default_key_generate_params"
    " upperbound_key_generate_params key_generation_settings default_team_params"
    " block_requests_for_models_without_pricing personal_key_model_access_from_teams turn_off_message_logging"
    " redact_user_api_key_info json_logs set_verbose forward_traceparent_to_llm_provider extra_spend_tag_headers"
    " disable_add_user_agent_to_request_tags public_model_groups priority_reservation",
}

# Where prices may stand, by more names than are listed above, see price_names.
PRICED = ("litellm_params", "model_info", "unpriced")

OURS = {kind: names.split() for kind, names in _OURS.items()}
OURS["litellm_params"] += OPTIONS
LITELLM = {kind: names.split() for kind, names in _LITELLM.items()}


@dataclass(slots=True)
class Notes:
    """What there is to say about one configuration: problems stop the start, warnings do not."""

    file: str
    environ: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unsupported: dict[str, None] = field(default_factory=dict)

    def problem(self, path: str, text: str) -> None:
        """One line about one place in the file; an empty path is the file itself."""
        self.problems.append(f"{self.file}: {path}: {text}" if path else f"{self.file}: {text}")

    def unknown(self, path: str, hint: str) -> None:
        """Note a name that nobody knows; `hint` says which name was probably meant."""
        self.problem(path, f"unknown name, {hint}")

    def without_effect(self, path: str, _value: object) -> None:
        """Note one of LiteLLM's names that does nothing here."""
        self.unsupported[re.sub(r"\[\d+\]", "[]", path)] = None

    def all_warnings(self) -> tuple[str, ...]:
        """List the warnings, with all names of LiteLLM's that have no effect here on one line."""
        if not self.unsupported:
            return tuple(self.warnings)
        return (*self.warnings, f"{self.file}: not supported yet and without effect: {', '.join(self.unsupported)}")


@dataclass(slots=True)
class Section:
    """One mapping of the file. Its readers give a value of the right type, or note the problem and give None.

    `unset` names the environment variables that its values, and those of the sections under it, refer to in vain.
    """

    notes: Notes
    kind: str
    path: str
    values: Mapping[Any, Any]
    unset: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Every name is one of ours or one of LiteLLM's."""
        for name in self.values:
            if name in LITELLM[self.kind]:
                self.notes.without_effect(self.at(name), self.values[name])
            elif name not in OURS[self.kind] and not self.is_price(name):
                self.notes.unknown(self.at(name), _nearest(str(name), self.kind))

    def is_price(self, name: object) -> bool:
        """Tell whether a name is that of a price, where prices may stand."""
        return self.kind in PRICED and price_names.meaning(str(name)) is not None

    def prices(self) -> dict[price_names.Place, tuple[str, Decimal]]:
        """Read all prices: by what they are for, the path and the dollars for one. None is stated twice."""
        found: dict[price_names.Place, tuple[str, Decimal]] = {}
        for name in self.values:
            meaning = price_names.meaning(str(name))
            if meaning is None:
                continue
            dollars = self.number(name, meaning.expected, least=0, most=meaning.most)
            if dollars is not None:
                earlier, _ = found.setdefault(meaning.place, (self.at(name), dollars * meaning.factor))
                if earlier != self.at(name):
                    self.notes.problem(self.at(name), f"stands in {earlier} too, expected one of them")
        return found

    def at(self, name: object) -> str:
        """Give the path of one of its values."""
        return f"{self.path}.{name}" if self.path else str(name)

    def section(self, name: str) -> Section:
        """Give the mapping under `name`; an empty one where there is none."""
        found = self.values.get(name)
        if not isinstance(found, dict | None):
            self.wrong(name, found, "a mapping of names to values", secret=True)
            found = None
        return Section(self.notes, name, self.at(name), found or {}, self.unset)

    def sections(self, name: str) -> Iterator[Section]:
        """Give the mappings in the list under `name`; each has its own `unset`."""
        found = self.values.get(name)
        if not isinstance(found, list | None):
            self.wrong(name, found, "a list", secret=True)
            return
        for index, entry in enumerate(found or []):
            path = f"{self.at(name)}[{index}]"
            if isinstance(entry, dict):
                yield Section(self.notes, name, path, entry)
            else:
                self.notes.problem(path, f"got {shown(entry, secret=True)}, expected a mapping of names to values")

    def text(
        self, name: str, expected: str, *, default: str | None = None, required: bool = False, secret: bool = False
    ) -> str | None:
        """Read a string with something in it. `default` may be a reference. A secret's value is never shown."""
        raw = self.values.get(name)
        value = self._resolved(name, default if raw is None else raw)
        if value is None:
            if required and self.at(name) not in self.unset:
                self.notes.problem(self.at(name), f"missing, expected {expected}")
            return None
        if not isinstance(value, str) or not value.strip():
            self.wrong(name, value, expected, secret=secret)
            return None
        return value

    def choice(self, name: str, *choices: str) -> str | None:
        """Read one of a few words."""
        expected = " or ".join(f'"{choice}"' for choice in choices)
        value = self.text(name, expected)
        if value is None or value in choices:
            return value
        self.wrong(name, value, expected)
        return None

    def flag(self, name: str) -> bool | None:
        """Read true or false."""
        value = self._resolved(name, self.values.get(name))
        if value is None or isinstance(value, bool):
            return value
        self.wrong(name, value, "true or false")
        return None

    def name(self, name: str, expected: str, *, longest: int = LONGEST_NAME, required: bool = False) -> str | None:
        """Read a string that is written into every ledger row, so that it must fit into its column."""
        value = self.text(name, expected, required=required)
        if value is not None and len(value) > longest:
            self.wrong(name, value, f"at most {longest} characters")
        return value

    def names(self, name: str, expected: str) -> tuple[str, ...]:
        """Read a list of strings, each with something in it."""
        found = self.values.get(name)
        if found is None:
            return ()
        if not isinstance(found, list):
            self.wrong(name, found, expected)
            return ()
        values = [self._resolved(f"{name}[{index}]", value) for index, value in enumerate(found)]
        for index, value in enumerate(values):
            if value is not None and not (isinstance(value, str) and value.strip()):
                self.wrong(f"{name}[{index}]", value, "a string")
        return tuple(value for value in values if isinstance(value, str))

    def number(self, name: str, expected: str, *, least: Decimal | int, most: Decimal | int) -> Decimal | None:
        """Read a number from `least` to `most`, exactly as it was written."""
        value = self._resolved(name, self.values.get(name))
        if value is None:
            return None
        number = _number(value)
        if number is None or not least <= number <= most:
            self.wrong(name, value, expected)
            return None
        return number

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        """Read a whole number from `least` to `most`."""
        expected = f"a whole number from {least} to {most}"
        number = self.number(name, expected, least=least, most=most)
        if number is None or number == int(number):
            return None if number is None else int(number)
        self.wrong(name, self.values[name], expected)
        return None

    def wholes(self, name: str, *, least: int, most: int) -> tuple[int, ...] | None:
        """Read a list of whole numbers from `least` to `most`."""
        found = self.values.get(name)
        if found is None:
            return None
        if isinstance(found, list) and all(type(one) is int and least <= one <= most for one in found):
            return tuple(found)
        self.wrong(name, found, f"a list of whole numbers from {least} to {most}")
        return None

    def checked(self, name: str, check: Callable[[str], object], expected: str) -> str | None:
        """Read a text that `check` takes; it raises ValueError for what it does not."""
        value = self.text(name, expected)
        if value is None:
            return None
        try:
            check(value)
        except ValueError:
            self.wrong(name, value, expected)
        return value

    def wrong(self, name: str, value: object, expected: str, *, secret: bool = False) -> None:
        """Note that a value is not what was expected."""
        variable = referred(self.values.get(name))
        got = f"the value of {variable}" if variable else shown(value, secret=secret)
        self.notes.problem(self.at(name), f"got {got}, expected {expected}")

    def _resolved(self, name: str, value: object) -> object:
        """Look a reference up. An empty variable counts as unset: compose files set such ones."""
        variable = referred(value)
        if variable is None:
            return value
        if not self.notes.environ.get(variable):
            self.unset[self.at(name)] = variable
            return None
        return self.notes.environ[variable]


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a name given twice, and leaves a date (`api_version: 2024-10-21`) the text that it is."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (its base declares it so)
        first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Of two values under one name the first would be lost without a word."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "this name is given twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node


def read(path: Path, notes: Notes) -> Section:
    """Read the whole file; an empty section, and a note, where it cannot be read."""
    found: object = None
    try:
        found = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        notes.problem("", f"cannot be read: {error.strerror}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        notes.problem("", _not_yaml(error, path))
    if not isinstance(found, dict | None):
        notes.problem("", f"got {shown(found, secret=True)}, expected a mapping with model_list in it")
        found = None
    return Section(notes, "config", "", found or {})


def _not_yaml(error: Exception, path: Path) -> str:
    """Where the YAML ends to be any, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        # What YAML quotes may be a secret that stands there without quotes; its own tokens ('<block end>') are none.
        reason = re.sub(r" '[^'<]{2,}'", "", error.problem or "not YAML")
        return f"line {mark.line + 1}, column {mark.column + 1}: {reason}"
    if isinstance(error, yaml.reader.ReaderError):
        lines = path.read_bytes()[: error.position].split(b"\n")
        return f"line {len(lines)}, column {len(lines[-1]) + 1}: a character that YAML does not allow"
    return "not YAML that can be read: a number that is none, or too many levels"


def referred(value: object) -> str | None:
    """("os.environ/NAME") -> "NAME"; None for every other value."""
    return value.removeprefix(REFERENCE) if isinstance(value, str) and value.startswith(REFERENCE) else None


def shown(value: object, *, secret: bool = False) -> str:
    """Write a value for a message: on one line, not too long, and only its kind where it may be a secret."""
    if isinstance(value, dict | list) or secret or (isinstance(value, str) and value.startswith("sk-")):
        return "an empty string" if value == "" else KINDS.get(type(value), "nothing")
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        value = value[:LONGEST_SHOWN] + "…"
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(value: object) -> Decimal | None:
    """Read a number or the text of one; YAML takes 1e-6 for a text, and variables are texts always."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _nearest(name: str, kind: str) -> str:
    """Where an unknown name probably belongs."""
    prices = price_names.NAMES if kind in PRICED else ()
    if near := difflib.get_close_matches(name, [*OURS[kind], *LITELLM[kind], *prices], n=1):
        return f"did you mean {near[0]}?"
    if homes := [other for other, names in OURS.items() if name in names]:
        return f"it belongs in {homes[0]}"
    return f"known here: {', '.join(OURS[kind])}" if OURS[kind] else "nothing of that name is known here"


def is_address(url: str, *schemes: str) -> bool:
    """Tell whether a URL has one of the schemes, a host, and a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False
