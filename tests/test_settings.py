"""Settings: config.yaml in LiteLLM's form starts the gateway, and what is wrong with it is said line by line."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.model_list import Deployment
from app.price_names import Place
from app.router_settings import Timeouts
from app.settings import Settings, load

MASTER_KEY = "sk-master-1234567890"
ENVIRON = {"TOLLGATE_MASTER_KEY": MASTER_KEY, "REDIS_URL": "redis://localhost:6379/0"}
ROOT = Path(__file__).parent.parent
ONE_MODEL = "model_list:\n- model_name: fast\n  litellm_params: {model: openai/gpt-4o-mini, api_key: k%s}\n"


def loaded(directory: Path, text: str, **environ: str) -> Settings:
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    return load(ENVIRON | environ, directory)


def problems(directory: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        loaded(directory, text, **environ)
    return raised.value.problems


def deployment(directory: Path, params: str, info: str = "{}", **environ: str) -> Deployment:
    text = f"model_list:\n- model_name: fast\n  litellm_params: {{{params}}}\n  model_info: {info}\n"
    return loaded(directory, text, **environ).deployments[0]


# --- the file that comes with the gateway


def test_the_shipped_config_starts_without_any_provider_account() -> None:
    usable = [entry.model_name for entry in load(ENVIRON, ROOT).deployments if entry.off is None]

    assert usable == ["mock-gpt-4o"]


def test_the_shipped_config_offers_everything_once_its_variables_are_set() -> None:
    account = {"OPENAI_API_KEY": "sk-o", "AZURE_API_KEY": "a", "AZURE_API_BASE": "https://one.openai.azure.com"}

    assert load(ENVIRON | account, ROOT).warnings == ()


def test_the_shipped_config_says_nothing_but_the_defaults(tmp_path: Path) -> None:
    environ = ENVIRON | {"DATABASE_URL": "sqlite:////var/lib/t.db"}
    shipped, bare = load(environ, ROOT), load(environ, tmp_path)

    assert replace(shipped, deployments=(), warnings=()) == replace(bare, warnings=())


def test_the_shipped_azure_entry_is_off_and_says_why() -> None:
    azure = next(entry for entry in load(ENVIRON, ROOT).deployments if entry.provider == "azure")

    assert azure.off == "AZURE_API_BASE and AZURE_API_KEY are not set"


# --- deployments


def test_the_provider_stands_before_the_first_slash(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: openai/meta-llama/Llama-3, api_base: 'http://localhost:8000/v1'")

    assert (found.provider, found.model) == ("openai", "meta-llama/Llama-3")


def test_a_model_without_a_provider_is_openais(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: gpt-4o, api_key: k")

    assert (found.provider, found.model, found.price_provider) == ("openai", "gpt-4o", "openai")


def test_a_mock_keeps_the_provider_whose_prices_count(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: azure/gpt-4o, mock_response: Hello")

    assert (found.provider, found.model, found.price_provider) == ("mock", "gpt-4o", "azure")


def test_a_mock_may_have_the_prices_of_a_provider_that_cannot_be_called(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: anthropic/claude-sonnet-4, mock_response: Hello")

    assert (found.provider, found.model, found.price_provider) == ("mock", "claude-sonnet-4", "anthropic")


def test_a_mock_needs_no_variable_of_a_provider(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: openai/gpt-4o, mock_response: Hello, api_key: os.environ/NOT_SET")

    assert found.off is None


def test_openai_is_called_with_its_usual_variable(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: openai/gpt-4o", OPENAI_API_KEY="sk-usual")

    assert found.api_key == "sk-usual"


def test_openais_usual_key_is_never_sent_to_another_address(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: openai/x, api_base: 'https://other.example'", OPENAI_API_KEY="sk-usual")

    assert found.api_key is None


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(tmp_path: Path) -> None:
    text = ONE_MODEL.replace("k%s", "os.environ/KEY")

    path = "config.yaml: model_list[0].litellm_params.api_key"
    line = f"{path}: got the value of KEY, expected characters that a header can hold"
    assert problems(tmp_path, text, KEY="sk-secret\n") == [line]


def test_azure_is_called_with_its_usual_variables(tmp_path: Path) -> None:
    usual = {"AZURE_API_KEY": "a", "AZURE_API_BASE": "https://one.openai.azure.com"}
    found = deployment(tmp_path, "model: azure/gpt-4o", **usual)

    assert (found.api_key, found.api_base) == ("a", "https://one.openai.azure.com")


def test_a_reference_takes_its_value_from_the_environment(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: os.environ/MODEL, api_key: os.environ/KEY", MODEL="openai/x", KEY="k")

    assert (found.provider, found.model, found.api_key) == ("openai", "x", "k")


def test_a_reference_inside_a_list_is_looked_up_too(tmp_path: Path) -> None:
    found = deployment(tmp_path, "model: gpt-4o, api_key: k", "{access_groups: [a, os.environ/GROUP]}", GROUP="b")

    assert found.access_groups == ("a", "b")


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_a_deployment_whose_variable_is_unset_is_off(tmp_path: Path, environ: dict[str, str]) -> None:
    assert deployment(tmp_path, "model: gpt-4o, api_key: os.environ/KEY", **environ).off == "KEY is not set"


def test_a_deployment_that_is_off_is_warned_about(tmp_path: Path) -> None:
    found = loaded(tmp_path, ONE_MODEL.replace("k%s", "os.environ/KEY"))

    assert found.warnings == ("config.yaml: model_list[0] (fast) is off: KEY is not set",)


@pytest.mark.parametrize("place", ["params", "info"])
def test_a_price_may_stand_in_either_section(tmp_path: Path, place: str) -> None:
    price = "input_cost_per_token: 0.001, output_cost_per_token: 0.002"
    params, info = (f", {price}", "{}") if place == "params" else ("", f"{{{price}}}")
    found = deployment(tmp_path, f"model: gpt-4o, api_key: k{params}", info)

    assert found.costs == ((Place("input"), Decimal("0.001")), (Place("output"), Decimal("0.002")))


@pytest.mark.parametrize("written", ["1e-7", "1.0e-7", "0.0000001", '"0.0000001"'])
def test_a_price_is_read_exactly_however_it_is_written(tmp_path: Path, written: str) -> None:
    found = deployment(tmp_path, f"model: gpt-4o, api_key: k, cache_read_input_token_cost: {written}")

    assert found.costs == ((Place("cache_read"), Decimal("0.0000001")),)


@pytest.mark.parametrize(
    ("written", "place", "dollars"),
    [
        ("input_price_per_million: 2.5", Place("input"), "0.0000025"),
        ("output_price_per_million_above_200k_flex: 2.5", Place("output", "flex", 200_000), "0.0000025"),
        ("input_cost_per_token_above_200k_tokens: 2e-6", Place("input", "", 200_000), "0.000002"),
        ("output_cost_per_image: 0.04", Place("images"), "0.04"),
        ("input_cost_per_second: 0.0001", Place("audio_ms"), "0.36"),
        ("price_per_audio_minute: 0.006", Place("audio_ms"), "0.36"),
    ],
)
def test_prices_have_names_of_litellms_and_of_our_own(tmp_path: Path, written: str, place: Place, dollars: str) -> None:
    assert deployment(tmp_path, f"model: gpt-4o, api_key: k, {written}").costs == ((place, Decimal(dollars)),)


def test_a_price_in_litellm_params_goes_before_the_same_in_model_info(tmp_path: Path) -> None:
    found = deployment(
        tmp_path, "model: gpt-4o, api_key: k, input_price_per_million: 1", "{input_price_per_million: 2}"
    )
    assert found.costs == ((Place("input"), Decimal("0.000001")),)


@pytest.mark.parametrize("apart", [False, True])
def test_a_price_under_two_names_is_refused_with_both(tmp_path: Path, apart: bool) -> None:  # noqa: FBT001
    ours, theirs = "input_price_per_million: 1", "input_cost_per_token: 0.000001"
    params = f"model: gpt-4o, api_key: k, {theirs}" + ("" if apart else f", {ours}")
    with pytest.raises(SettingsError) as problems:
        deployment(tmp_path, params, f"{{{ours}}}" if apart else "{}")
    section = "model_info" if apart else "litellm_params"
    path, other = (
        f"model_list[0].{section}.input_price_per_million",
        "model_list[0].litellm_params.input_cost_per_token",
    )
    assert problems.value.problems == [f"config.yaml: {path}: stands in {other} too, expected one of them"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("input_price_per_million: 10001", "got 10001, expected dollars per million, from 0 to 10000"),
        ("price_per_image: 101", "got 101, expected dollars, from 0 to 100.00"),
        ("input_prize_per_million: 1", "unknown name, did you mean input_price_per_million?"),
        ("input_cost_per_token_someday: 1", "unknown name, did you mean input_cost_per_token?"),
    ],
)
def test_a_price_that_cannot_be_is_refused(tmp_path: Path, written: str, problem: str) -> None:
    with pytest.raises(SettingsError) as problems:
        deployment(tmp_path, f"model: gpt-4o, api_key: k, {written}")
    name = written.partition(":")[0]
    assert problems.value.problems == [f"config.yaml: model_list[0].litellm_params.{name}: {problem}"]


def test_a_changed_price_leaves_the_id_as_it_is(tmp_path: Path) -> None:
    ids = {deployment(tmp_path, f"model: gpt-4o, api_key: k, input_price_per_million: {price}").id for price in (1, 2)}
    assert len(ids) == 1


# --- models without a price


def test_models_without_a_price_can_have_one(tmp_path: Path) -> None:
    price = "{input_price_per_million: 5, output_price_per_million: 15}"
    found = loaded(tmp_path, f"{ONE_MODEL}\ngeneral_settings: {{unpriced: {price}}}\n")
    assert found.default_price == ((Place("input"), Decimal("0.000005")), (Place("output"), Decimal("0.000015")))
    assert found.deployments[0].default_costs == found.default_price
    assert found.unpriced == "refuse"


def test_a_default_price_is_one_of_input_and_output(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as problems:
        loaded(tmp_path, "general_settings: {unpriced: {input_price_per_million: 5}}\n")
    assert problems.value.problems == [
        "config.yaml: general_settings.unpriced: has no output price, expected output_price_per_million"
    ]


def test_everything_a_deployment_can_say_is_read(tmp_path: Path) -> None:
    params = "model: azure/mine, api_key: k, api_base: 'https://a.example', api_version: 2024-10-21, timeout: 12.5"
    info = "{id: one, base_model: gpt-4o, max_input_tokens: 1000, max_output_tokens: 100}"

    assert deployment(tmp_path, params, info) == Deployment(
        id="one",
        model_name="fast",
        provider="azure",
        model="mine",
        vendor="azure",
        price_provider="azure",
        api_base="https://a.example",
        api_key="k",
        api_version="2024-10-21",
        timeouts=Timeouts(timeout=12.5),
        base_model="gpt-4o",
        max_input_tokens=1000,
        max_output_tokens=100,
    )


# --- ids


def test_an_id_outlives_a_new_secret(tmp_path: Path) -> None:
    before, after = (loaded(tmp_path, ONE_MODEL % number).deployments[0] for number in (1, 2))

    assert before.id == after.id


def test_an_id_changes_with_the_model(tmp_path: Path) -> None:
    before = loaded(tmp_path, ONE_MODEL).deployments[0]
    after = loaded(tmp_path, ONE_MODEL.replace("mini", "nano")).deployments[0]

    assert before.id != after.id


def test_two_accounts_of_one_provider_have_two_ids(tmp_path: Path) -> None:
    entry = ONE_MODEL.removeprefix("model_list:\n")
    found = loaded(tmp_path, f"model_list:\n{entry % 1}{entry % 2}").deployments

    assert len({each.id for each in found}) == 2


def test_an_id_that_was_made_is_16_hex_digits(tmp_path: Path) -> None:
    assert len(bytes.fromhex(loaded(tmp_path, ONE_MODEL).deployments[0].id)) == 8


# --- the environment


SECRET = 'a secret that starts with "sk-" and has 16 or more characters, no spaces'
NO_REDIS = "got something else, expected redis://… or rediss://…, special characters in its password percent-encoded"


@pytest.mark.parametrize("key", ["sk-short", "master-1234567890123", "sk-master 1234567890", "sk-master-1234567890\n"])
def test_a_weak_master_key_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    assert problems(tmp_path, "{}", TOLLGATE_MASTER_KEY=key) == [
        f"TOLLGATE_MASTER_KEY: got something else, expected {SECRET}"
    ]


def test_a_weak_master_key_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    assert problems(tmp_path, "general_settings: {master_key: sk-1234}", TOLLGATE_MASTER_KEY="") == [
        f"config.yaml: general_settings.master_key: got something else, expected {SECRET}"
    ]


def test_the_master_key_may_stand_in_the_file(tmp_path: Path) -> None:
    text = "general_settings: {master_key: os.environ/OTHER}"

    assert loaded(tmp_path, text, TOLLGATE_MASTER_KEY="", OTHER="sk-other-1234567890").master_key == (
        "sk-other-1234567890"
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, "general_settings: {master_key: os.environ/NOT_SET}").master_key == MASTER_KEY


def test_a_master_key_whose_variable_is_unset_is_a_problem(tmp_path: Path) -> None:
    text = "general_settings: {master_key: os.environ/OTHER}"

    assert problems(tmp_path, text, TOLLGATE_MASTER_KEY="") == [
        "config.yaml: general_settings.master_key: OTHER is not set in the environment"
    ]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql+psycopg://u:p@h/d?sslmode=require"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=/run/postgresql"),
        ("sqlite:////var/lib/t.db", "sqlite:////var/lib/t.db"),
    ],
)
def test_database_addresses_name_the_driver(tmp_path: Path, given: str, url: str) -> None:
    assert loaded(tmp_path, "{}", DATABASE_URL=given).database_url == url


def test_a_relative_sqlite_file_starts_at_the_directory(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}", DATABASE_URL="sqlite:///t.db").database_url == f"sqlite:///{tmp_path / 't.db'}"


def test_without_an_address_the_database_is_a_file_in_tollgates_home(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}").database_url == f"sqlite:///{tmp_path / '.tollgate' / 'tollgate.db'}"


def test_tollgates_home_may_be_elsewhere(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}", TOLLGATE_HOME="/var/lib/t").database_url == "sqlite:////var/lib/t/tollgate.db"


def test_the_database_may_stand_in_the_file(tmp_path: Path) -> None:
    found = loaded(tmp_path, "general_settings: {database_url: 'postgres://u:p@h/d'}")

    assert found.database_url == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("mysql://u:p@h/d", "got another kind of address, expected postgres://…, postgresql://… or sqlite:///<file>"),
        ("secret", "got another kind of address, expected postgres://…, postgresql://… or sqlite:///<file>"),
        ("sqlite://", "got no file, expected sqlite:///<file>"),
        ("sqlite:///:memory:", "got no file, expected sqlite:///<file>"),
        (
            "postgres://u:p/w@h/d",
            "got no host and port that can be read, expected special characters in its password percent-encoded",
        ),
    ],
)
def test_a_wrong_database_address_is_refused_and_not_shown(tmp_path: Path, url: str, line: str) -> None:
    assert problems(tmp_path, "{}", DATABASE_URL=url) == [f"DATABASE_URL: {line}"]


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://:pw@redis.example:6380/1"])
def test_redis_addresses_are_taken_as_they_are(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, "{}", REDIS_URL=url).redis_url == url


@pytest.mark.parametrize("url", ["http://localhost", "redis://", "redis://h:port", "localhost:6379"])
def test_a_wrong_redis_address_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, "{}", REDIS_URL=url) == [f"REDIS_URL: {NO_REDIS}"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        ("a-secret-of-sixteen", ("a-secret-of-sixteen",)),
        ("a-secret-of-sixteen, another-of-sixteen", ("a-secret-of-sixteen", "another-of-sixteen")),
    ],
)
def test_encryption_keys_have_commas_between_them(tmp_path: Path, text: str, keys: tuple[str, ...]) -> None:
    assert loaded(tmp_path, "{}", TOLLGATE_ENCRYPTION_KEY=text).encryption_keys == keys


@pytest.mark.parametrize("text", ["short", "a-secret-of-sixteen,short", "a-secret-of-sixteen,", ","])
def test_a_weak_encryption_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    line = "got something else, expected secrets of 16 or more characters with commas between them"
    assert problems(tmp_path, "{}", TOLLGATE_ENCRYPTION_KEY=text) == [f"TOLLGATE_ENCRYPTION_KEY: {line}"]


def test_stored_deployments_may_have_openais_key_and_no_other_variable(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "o", "AZURE_API_KEY": "a", "AZURE_API_BASE": "https://a.example", "HOME": "h"}
    assert loaded(tmp_path, "{}", **environ).provider_keys == {"OPENAI_API_KEY": "o"}


def test_no_secret_is_in_the_text_of_the_settings(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgres://u:pw@h/d", "TOLLGATE_ENCRYPTION_KEY": "x" * 16, "OPENAI_API_KEY": "usual"}
    found = loaded(tmp_path, ONE_MODEL % "ey-secret", **environ)

    secrets = (MASTER_KEY, "key-secret", "pw", "redis://", "x" * 16, "usual")
    assert not any(secret in repr(found) for secret in secrets)


# --- webhooks

WEBHOOKS = "general_settings: {webhook_url: 'https://example.com/hook', webhook_secret: %s}"
WEBHOOK_SECRET = 'expected "whsec_" and 24 to 64 bytes in base64, or any other secret of 16 or more characters'


def test_there_are_no_webhooks_unless_an_address_is_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}").webhook_url is None


def test_address_and_secret_of_webhooks_may_be_references(tmp_path: Path) -> None:
    text = "general_settings: {webhook_url: os.environ/URL, webhook_secret: os.environ/SECRET}"
    found = loaded(tmp_path, text, URL="http://127.0.0.1:9000/hook", SECRET="a-secret-of-mine")

    assert (found.webhook_url, found.webhook_key) == ("http://127.0.0.1:9000/hook", b"a-secret-of-mine")


def test_a_secret_in_the_form_of_standard_webhooks_is_decoded(tmp_path: Path) -> None:
    found = loaded(tmp_path, WEBHOOKS % "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    assert found.webhook_key == b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@pytest.mark.parametrize(
    "secret", ["fifteen-letters", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w", f"whsec_{'A' * 88}"]
)
def test_a_weak_webhook_secret_is_refused_and_not_shown(tmp_path: Path, secret: str) -> None:
    assert problems(tmp_path, WEBHOOKS % secret) == [
        f"config.yaml: general_settings.webhook_secret: got a string, {WEBHOOK_SECRET}"
    ]


def test_webhooks_without_a_secret_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, WEBHOOKS % "null") == [
        f"config.yaml: general_settings.webhook_secret: missing, {WEBHOOK_SECRET}"
    ]


def test_a_webhook_secret_whose_variable_is_unset_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, WEBHOOKS % "os.environ/SECRET") == [
        "config.yaml: general_settings.webhook_secret: SECRET is not set in the environment"
    ]


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/hook", "https://", "https://u:pw@example.com/hook"])
def test_a_wrong_address_of_webhooks_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    text = f"general_settings: {{webhook_url: '{url}', webhook_secret: sixteen-letters-}}"

    expected = 'an address like "https://…" without user and password'
    assert problems(tmp_path, text) == [f"config.yaml: general_settings.webhook_url: got a string, expected {expected}"]


def test_no_secret_of_webhooks_is_in_the_text_of_the_settings(tmp_path: Path) -> None:
    shown = repr(loaded(tmp_path, WEBHOOKS % "sixteen-letters-"))

    assert ("sixteen" in shown, "example.com" in shown) == (False, False)


def test_budgets_are_told_at_80_and_100_percent(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}").alert_thresholds == (80, 100)


@pytest.mark.parametrize(
    ("written", "thresholds"), [("[]", ()), ("[100, 50, 50]", (50, 100)), ("[1, 1000]", (1, 1000))]
)
def test_any_percentages_may_be_told(tmp_path: Path, written: str, thresholds: tuple[int, ...]) -> None:
    assert loaded(tmp_path, f"general_settings: {{alert_thresholds: {written}}}").alert_thresholds == thresholds


@pytest.mark.parametrize("written", ["80", "[0]", "[1001]", "[80.5]", "[true]", "[high]", "{80: 100}"])
def test_wrong_thresholds_are_refused(tmp_path: Path, written: str) -> None:
    (problem,) = problems(tmp_path, f"general_settings: {{alert_thresholds: {written}}}")

    assert problem.startswith("config.yaml: general_settings.alert_thresholds: got ")
    assert problem.endswith("expected a list of whole numbers from 1 to 1000")


# --- read again while a process runs


def problems_of_change(directory: Path, before: str, after: str, **environ: str) -> list[str]:
    running = loaded(directory, before, **environ)
    (directory / "config.yaml").write_text(after)
    with pytest.raises(SettingsError) as raised:
        load(ENVIRON | environ, directory, running)
    return raised.value.problems


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("master_key", "sk-first-0123456789", "sk-other-0123456789"),
        ("database_url", "sqlite:///first.db", "sqlite:///other.db"),
    ],
)
def test_what_needs_a_restart_is_refused_by_its_path_while_a_process_runs(
    tmp_path: Path, name: str, value: str, other: str
) -> None:
    text = "model_list: []\ngeneral_settings: {%s: %s}\n"
    unset = {"TOLLGATE_MASTER_KEY": ""} if name == "master_key" else {}
    (problem,) = problems_of_change(tmp_path, text % (name, value), text % (name, other), **unset)
    assert problem.startswith(f"config.yaml: general_settings.{name}: is another one than at the start")
    assert other not in problem


def test_what_needs_a_restart_is_told_with_everything_else_that_is_wrong(tmp_path: Path) -> None:
    wrong = "general_settings: {database_url: 'sqlite:///other.db', unpriced: maybe}\nmodell_list: []\n"
    assert len(problems_of_change(tmp_path, "model_list: []\n", wrong)) == 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_is_a_mistake_while_a_process_runs(tmp_path: Path, text: str) -> None:
    assert problems_of_change(tmp_path, ONE_MODEL % "1", text) == ["config.yaml: is empty"]


def test_a_file_that_is_gone_is_a_mistake_while_a_process_runs(tmp_path: Path) -> None:
    running = loaded(tmp_path, ONE_MODEL % "1")
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        load(ENVIRON, tmp_path, running)


def test_an_empty_list_that_is_stated_takes_all_models_away(tmp_path: Path) -> None:
    running = loaded(tmp_path, ONE_MODEL % "1")
    (tmp_path / "config.yaml").write_text("model_list: []\n")
    assert load(ENVIRON, tmp_path, running).deployments == ()
