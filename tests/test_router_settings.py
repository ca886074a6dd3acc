"""router_settings and the routing of litellm_params, in LiteLLM's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.failures import Failure
from app.router_settings import Router, Timeouts
from app.settings import Settings
from tests.test_config_file import loaded, problems

A_MODEL = "model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: k, %s}}\n"


def router(directory: Path, text: str) -> Router:
    return loaded(directory, "router_settings: " + text).router


def test_what_is_not_stated_is_as_usual(tmp_path: Path) -> None:
    found = loaded(tmp_path, "").router
    assert (found.strategy, found.num_retries, found.cooldown_time, found.max_fallbacks) == ("simple-shuffle", 2, 5, 5)
    assert found.timeouts == Timeouts(timeout=600, connect_timeout=10, total_timeout=6000)


def test_fallbacks_are_read_as_a_list_and_as_a_mapping(tmp_path: Path) -> None:
    told = {"a": ("b", "c"), "d": ("e",)}
    assert router(tmp_path, "{fallbacks: [{a: [b, c]}, {d: [e]}]}").fallbacks == told
    assert router(tmp_path, "{fallbacks: {a: [b, c], d: [e]}}").fallbacks == told


def test_all_kinds_of_fallbacks_are_read(tmp_path: Path) -> None:
    found = router(
        tmp_path,
        "{default_fallbacks: [x], context_window_fallbacks: [{a: [b]}], content_policy_fallbacks: [{a: [c]}],"
        " max_fallbacks: 3}",
    )
    assert found == Router(
        default_fallbacks=("x",),
        context_window_fallbacks={"a": ("b",)},
        content_policy_fallbacks={"a": ("c",)},
        max_fallbacks=3,
    )


def test_policies_are_read_for_all_models_and_for_single_ones(tmp_path: Path) -> None:
    found = router(
        tmp_path,
        "{num_retries: 4, retry_policy: {TimeoutErrorRetries: 1}, model_group_retry_policy:"
        " {m: {InternalServerErrorRetries: 0}}}",
    )
    assert [found.retries("x", one) for one in (Failure.TIMEOUT, Failure.INTERNAL)] == [1, 4]
    assert [found.retries("m", one) for one in (Failure.TIMEOUT, Failure.INTERNAL)] == [4, 0]


def test_a_rate_limit_is_believed_at_once_unless_a_policy_allows_some(tmp_path: Path) -> None:
    plain = router(tmp_path, "{allowed_fails: 7}")
    lax = router(tmp_path, "{allowed_fails_policy: {RateLimitErrorAllowedFails: 9}}")
    assert [plain.fails_allowed(one) for one in (Failure.RATE_LIMIT, Failure.INTERNAL)] == [0, 7]
    assert lax.fails_allowed(Failure.RATE_LIMIT) == 9


def test_an_overloaded_provider_counts_as_one_that_fails_where_nothing_else_is_said(tmp_path: Path) -> None:
    found = router(tmp_path, "{allowed_fails_policy: {InternalServerErrorAllowedFails: 9}}")
    assert found.fails_allowed(Failure.UNAVAILABLE) == 9


def test_other_names_of_models_may_be_hidden(tmp_path: Path) -> None:
    found = router(tmp_path, "{model_group_alias: {a: m, b: {model: m, hidden: true}, c: {model: n}}}")
    assert (found.aliases, found.hidden) == ({"a": "m", "b": "m", "c": "n"}, frozenset({"b"}))


def test_what_litellm_settings_say_counts_where_router_settings_say_nothing(tmp_path: Path) -> None:
    text = (
        "litellm_settings: {num_retries: 7, request_timeout: 9, fallbacks: [{a: [b]}], cooldown_time: 30}\n"
        "router_settings: {num_retries: 1}\n"
    )
    found = loaded(tmp_path, text).router
    assert (found.num_retries, found.timeouts.timeout, found.fallbacks, found.cooldown_time) == (
        1,
        9,
        {"a": ("b",)},
        30,
    )


def test_a_deployment_says_how_much_it_takes_and_how_long_it_is_waited_for(tmp_path: Path) -> None:
    params = (
        "weight: 2, order: 3, rpm: 4, tpm: 5, max_parallel_requests: 6, cooldown_time: 7, timeout: 8,"
        " stream_timeout: 9, connect_timeout: 10, idle_timeout: 11, total_timeout: 12"
    )
    (found,) = loaded(tmp_path, A_MODEL % params).deployments
    assert (found.weight, found.order, found.rpm, found.tpm) == (2, 3, 4, 5)
    assert (found.max_parallel_requests, found.cooldown_time) == (6, 7)
    assert found.timeouts == Timeouts(8, 9, 10, 11, 12)


@pytest.mark.parametrize("name", ["BadRequestErrorRetries", "ContentPolicyViolationErrorRetries"])
def test_retries_of_a_callers_own_mistakes_are_named_as_without_effect(tmp_path: Path, name: str) -> None:
    found: Settings = loaded(tmp_path, f"router_settings: {{retry_policy: {{{name}: 3}}}}")
    assert any(f"router_settings.retry_policy.{name}" in line for line in found.warnings)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{routing_strategy: fastest}", "routing_strategy"),
        ("{num_retries: -1}", "num_retries"),
        ("{num_retries: 1.5}", "num_retries"),
        ("{retry_policy: {TimeoutRetries: 1}}", "retry_policy.TimeoutRetries"),
        ("{retry_policy: {TimeoutErrorRetries: many}}", "retry_policy.TimeoutErrorRetries"),
        ("{model_group_retry_policy: {m: 3}}", "model_group_retry_policy.m"),
        ("{model_group_retry_policy: {m: {Xyzzy: 3}}}", "model_group_retry_policy.m.Xyzzy"),
        ("{fallbacks: b}", "fallbacks"),
        ("{fallbacks: [b]}", "fallbacks"),
        ("{fallbacks: [{a: b}]}", "fallbacks.a"),
        ("{fallbacks: [{a: [1]}]}", "fallbacks.a"),
        ("{model_group_alias: [a]}", "model_group_alias"),
        ("{model_group_alias: {a: 1}}", "model_group_alias.a"),
        ("{model_group_alias: {a: {model: b, hide: true}}}", "model_group_alias.a"),
        ("{cooldown_time: soon}", "cooldown_time"),
        ("{disable_cooldowns: 1}", "disable_cooldowns"),
        ("{default_max_parallel_requests: 0}", "default_max_parallel_requests"),
        ("{total_timeout: 0}", "total_timeout"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path: Path, text: str, path: str) -> None:
    (line,) = problems(tmp_path, "router_settings: " + text)
    assert line.startswith(f"config.yaml: router_settings.{path}: ")
