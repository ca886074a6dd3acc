"""config.yaml: its settings are read; what is wrong is said line by line with path and value, but never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config_file import OURS
from app.errors import SettingsError
from app.settings import Settings, load
from app.vendors import VENDORS

ENVIRON = {"TOLLGATE_MASTER_KEY": "sk-master-1234567890", "REDIS_URL": "redis://localhost:6379/0"}
ONE_MODEL = "model_list:\n- model_name: fast\n  litellm_params: {model: openai/gpt-4o-mini, api_key: k}\n"


def loaded(directory: Path, text: str, **environ: str) -> Settings:
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    return load(ENVIRON | environ, directory)


def problems(directory: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        loaded(directory, text, **environ)
    return raised.value.problems


ENTRY = "model_list[0].litellm_params"
SECRET = 'a secret that starts with "sk-" and has 16 or more characters, no spaces'
VENDOR = f'"<vendor>/<model>" with one of {", ".join(VENDORS)}; a server that speaks OpenAI\'s format is'
RETENTION = 'a duration of a day or more like "90d", or null to keep everything'
PRICE = "dollars per token, from 0 to 0.01; is this per million?"


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ("model: 5", f'{ENTRY}.model: got 5, expected a string like "openai/gpt-4o"'),
        ("api_version: v", f'{ENTRY}.model: missing, expected a string like "openai/gpt-4o"'),
        (
            "model: foo/bar",
            f'{ENTRY}.model: got "foo/bar", expected {VENDOR} "openai/foo/bar" with its api_base',
        ),
        ("model: m, api_base: localhost", f'{ENTRY}.api_base: got "localhost", expected an address like "https://…"'),
        (
            "model: m, api_base: 'ftp://ann:pass@x'",
            f'{ENTRY}.api_base: got a string, expected an address like "https://…"',
        ),
        ("model: m, api_key: 5", f"{ENTRY}.api_key: got a number, expected a string"),
        ("model: m, api_key: ''", f"{ENTRY}.api_key: got an empty string, expected a string"),
        ("model: m, mock_response: [a]", f'{ENTRY}.mock_response: got a list, expected a string like "Hello"'),
        ("model: m, timeout: soon", f'{ENTRY}.timeout: got "soon", expected seconds, from 0.001 to 86400'),
        ("model: m, timeout: 0", f"{ENTRY}.timeout: got 0, expected seconds, from 0.001 to 86400"),
        ("model: m, timeout: true", f"{ENTRY}.timeout: got true, expected seconds, from 0.001 to 86400"),
        ("model: m, timeout: .nan", f"{ENTRY}.timeout: got NaN, expected seconds, from 0.001 to 86400"),
        ("model: m, input_cost_per_token: 2.5", f"{ENTRY}.input_cost_per_token: got 2.5, expected {PRICE}"),
        ("model: m, output_cost_per_token: -1", f"{ENTRY}.output_cost_per_token: got -1, expected {PRICE}"),
        ("model: m, api_bse: x", f"{ENTRY}.api_bse: unknown name, did you mean api_base?"),
        ("model: m, access_groups: [a]", f"{ENTRY}.access_groups: unknown name, it belongs in model_info"),
    ],
)
def test_a_wrong_parameter_is_one_line_with_path_value_and_expectation(tmp_path: Path, params: str, line: str) -> None:
    text = f"model_list:\n- model_name: fast\n  litellm_params: {{{params}}}\n"

    assert problems(tmp_path, text, OPENAI_API_KEY="k") == [f"config.yaml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- a", "got a list, expected a mapping with model_list in it"),
        ("just text", "got a string, expected a mapping with model_list in it"),
        ("model_list: {a: b}", "model_list: got a mapping, expected a list"),
        ("model_list: [gpt-4o]", "model_list[0]: got a string, expected a mapping of names to values"),
        ("general_settings: [a]", "general_settings: got a list, expected a mapping of names to values"),
        ("general_setings: {}", "general_setings: unknown name, did you mean general_settings?"),
        ("master_key: x", "master_key: unknown name, it belongs in general_settings"),
        ("general_settings: {unpriced: maybe}", 'general_settings.unpriced: got "maybe", expected "refuse" or "allow"'),
        ("general_settings: {abandoned: no}", 'general_settings.abandoned: got false, expected "held" or "free"'),
        (
            "general_settings: {on_disconnect: x}",
            'general_settings.on_disconnect: got "x", expected "cancel" or "drain"',
        ),
        (
            "general_settings: {maximum_spend_logs_retention_period: 12h}",
            f'general_settings.maximum_spend_logs_retention_period: got "12h", expected {RETENTION}',
        ),
        (
            "general_settings: {expired_keys_retention: soon}",
            (
                'general_settings.expired_keys_retention: got "soon", '
                'expected a duration like "30d", or null to keep them all'
            ),
        ),
        (
            "general_settings: {maximum_spend_logs_retention_period: 90}",
            f"general_settings.maximum_spend_logs_retention_period: got 90, expected {RETENTION}",
        ),
        ("general_settings: {budget_wait: -1}", "general_settings.budget_wait: got -1, expected seconds, from 0 to 60"),
        (
            "general_settings: {max_request_size_mb: 0}",
            "general_settings.max_request_size_mb: got 0, expected megabytes, from 0.001 to 1024",
        ),
        ("router_settings: {timout: 5}", "router_settings.timout: unknown name, did you mean timeout?"),
        (
            "router_settings: {xyzzy: 5}",
            f"router_settings.xyzzy: unknown name, known here: {', '.join(OURS['router_settings'])}",
        ),
        (
            "litellm_settings: {xyzzy: 5}",
            f"litellm_settings.xyzzy: unknown name, known here: {', '.join(OURS['litellm_settings'])}",
        ),
        ("5: 6", "5: unknown name, known here: model_list, general_settings, router_settings, litellm_settings"),
        (
            "router_settings: {timeout: os.environ/NONE}",
            "router_settings.timeout: NONE is not set in the environment",
        ),
        (
            "router_settings: {timeout: os.environ/SOON}",
            "router_settings.timeout: got the value of SOON, expected seconds, from 0.001 to 86400",
        ),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a: [1\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'"),
        ("a: *sk-secret\n", "line 1, column 4: found undefined alias"),
        ("model_list: []\nmodel_list: []\n", "line 2, column 1: this name is given twice"),
        ("a: b\nc: \x07\n", "line 2, column 4: a character that YAML does not allow"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(tmp_path: Path, text: str, line: str) -> None:
    assert problems(tmp_path, text, SOON="soon") == [f"config.yaml: {line}"]


@pytest.mark.parametrize(
    ("info", "line"),
    [
        ("[a]", "got a list, expected a mapping of names to values"),
        ("{access_groups: beta}", 'access_groups: got "beta", expected a list like ["beta-models"]'),
        ("{access_groups: [5]}", "access_groups[0]: got 5, expected a string"),
        ("{max_output_tokens: 0}", "max_output_tokens: got 0, expected a whole number from 1 to 1000000000"),
        ("{max_output_tokens: 1.5}", "max_output_tokens: got 1.5, expected a whole number from 1 to 1000000000"),
        ("{id: 5}", 'id: got 5, expected a string like "azure-eu-1"'),
        (f"{{id: {'x' * 65}}}", f'id: got "{"x" * 60}…", expected at most 64 characters'),
    ],
)
def test_a_wrong_model_info_is_one_line(tmp_path: Path, info: str, line: str) -> None:
    text = f"{ONE_MODEL}  model_info: {info}\n"
    path = "config.yaml: model_list[0].model_info"

    assert problems(tmp_path, text) == [f"{path}: {line}" if line.startswith("got") else f"{path}.{line}"]


def test_an_id_given_twice_names_both_places(tmp_path: Path) -> None:
    entry = "- {model_name: a, litellm_params: {model: gpt-4o, api_key: k}, model_info: {id: one}}\n"

    assert problems(tmp_path, f"model_list:\n{entry}{entry}") == [
        'config.yaml: model_list[1].model_info.id: got "one", expected an id of its own; model_list[0] has this one'
    ]


def test_a_name_in_merged_mappings_is_not_given_twice(tmp_path: Path) -> None:
    text = (
        "model_list:\n"
        "- &one {model_name: a, litellm_params: {model: gpt-4o, api_key: k}}\n"
        "- &two {<<: *one, model_name: b}\n"
        "- {<<: *two, model_name: c}\n"
    )

    assert [each.model_name for each in loaded(tmp_path, text).deployments] == ["a", "b", "c"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = "model_list:\n- {litellm_params: {model: 5, timout: 1}}\ngeneral_settings: {budget_wait: x}\n"

    assert problems(tmp_path, text, TOLLGATE_MASTER_KEY="", REDIS_URL="") == [
        "config.yaml: model_list[0].litellm_params.timout: unknown name, did you mean timeout?",
        'config.yaml: model_list[0].model_name: missing, expected a string like "gpt-4o"',
        'config.yaml: model_list[0].litellm_params.model: got 5, expected a string like "openai/gpt-4o"',
        'config.yaml: general_settings.budget_wait: got "x", expected seconds, from 0 to 60',
        f"TOLLGATE_MASTER_KEY: not set, expected {SECRET}",
        "REDIS_URL: not set, expected redis://… or rediss://…",
    ]


def test_a_file_asked_for_by_name_must_exist(tmp_path: Path) -> None:
    assert problems(tmp_path, "", TOLLGATE_CONFIG="none.yaml") == [
        "none.yaml: cannot be read: No such file or directory"
    ]


def test_general_and_router_settings_are_read(tmp_path: Path) -> None:
    text = (
        "general_settings: {unpriced: allow, budget_wait: 0.5, max_request_size_mb: 2}\nrouter_settings: {timeout: 30}"
    )
    found = loaded(tmp_path, text)

    assert (found.unpriced, found.budget_wait, found.max_body_bytes, found.router.timeouts.timeout) == (
        "allow",
        0.5,
        2 * 2**20,
        30.0,
    )


@pytest.mark.parametrize(("text", "seconds"), [("", 90 * 86_400), ("2w", 14 * 86_400), ("null", None)])
def test_ledger_rows_are_kept_for_90_days_or_as_said_or_for_ever(
    tmp_path: Path, text: str, seconds: int | None
) -> None:
    given = f"general_settings: {{maximum_spend_logs_retention_period: {text}}}" if text else ""
    assert loaded(tmp_path, given).ledger_retention == seconds


@pytest.mark.parametrize(("text", "abandoned"), [("", "held"), ("general_settings: {abandoned: free}", "free")])
def test_calls_of_a_dead_process_cost_what_they_held_unless_they_are_free(
    tmp_path: Path, text: str, abandoned: str
) -> None:
    assert loaded(tmp_path, text).abandoned == abandoned


def test_a_number_may_come_from_the_environment(tmp_path: Path) -> None:
    assert (
        loaded(tmp_path, "router_settings: {timeout: os.environ/TIMEOUT}", TIMEOUT="45").router.timeouts.timeout == 45.0
    )


@pytest.mark.parametrize("text", ["", "model_list:\n", "model_list: []\ngeneral_settings:\n"])
def test_a_file_without_models_starts_with_a_warning(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).warnings == ("config.yaml: model_list is empty, so there are no models",)


def test_no_file_at_all_starts_with_a_warning(tmp_path: Path) -> None:
    assert load(ENVIRON, tmp_path).warnings == ("config.yaml: there is no such file, so there are no models",)


def test_the_file_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("router_settings: {timeout: 7}")

    assert load(ENVIRON | {"TOLLGATE_CONFIG": "other.yaml"}, tmp_path).router.timeouts.timeout == 7.0


def test_names_that_only_litellm_reads_are_on_one_line(tmp_path: Path) -> None:
    text = (
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: gpt-4o, api_key: k, max_retries: 5}}\n"
        "- {model_name: b, litellm_params: {model: gpt-4o, api_key: k, max_retries: 6},"
        " model_info: {supports_vision: true}}\n"
        "litellm_settings: {drop_params: true}\nrouter_settings: {redis_host: here}\nenvironment_variables: {A: b}\n"
    )

    line = (
        "config.yaml: not supported yet and without effect: environment_variables, "
        "model_list[].litellm_params.max_retries, model_list[].model_info.supports_vision, "
        "litellm_settings.drop_params, router_settings.redis_host"
    )
    assert loaded(tmp_path, text).warnings == (line,)


def test_a_file_in_another_encoding_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes("a: b\nc: caf\u00e9\n".encode("latin-1"))

    with pytest.raises(SettingsError, match=r"config\.yaml: line 2, column 7: a character that"):
        load(ENVIRON, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "model_list: sk-pasted-secret",
        "sk-pasted-secret",
        "model_list: [{model_name: a, litellm_params: sk-pasted-secret}]",
        "model_list: [{model_name: a, litellm_params: {model: gpt-4o, api_key: [sk-pasted-secret]}}]",
        "model_list: [{model_name: a, litellm_params: {model: gpt-4o, api_base: sk-pasted-secret}}]",
        "router_settings: {timeout: sk-pasted-secret}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    assert "pasted" not in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(("text", "seconds"), [("", 30 * 86_400), ("1h", 3600), ("null", None)])
def test_how_long_expired_keys_are_kept(tmp_path: Path, text: str, seconds: int | None) -> None:
    given = f"general_settings: {{expired_keys_retention: {text}}}" if text else ""
    assert loaded(tmp_path, given).expired_keys_retention == seconds
