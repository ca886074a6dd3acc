"""What the README names is there, and what is there is named: neither can change without the other."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from app import config_file, create_app, errors, meter_names, price_names, settings
from app.access import rights
from app.providers import PROVIDERS
from app.vendors import VENDORS
from tests.services.settings import settings_for
from worker.webhooks import signed

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
# Swagger UI's own files are for the page at / alone.
PAGE = {"/", "/openapi.json", "/swagger-ui/{filename}"}
NEEDED = {"TOLLGATE_MASTER_KEY": "sk-master-for-tests", "REDIS_URL": "redis://127.0.0.1:1/0"}


class Recorder(dict[str, str]):
    """An environment that remembers which variables it was asked for."""

    def __init__(self, *variables: dict[str, str]) -> None:
        super().__init__(*variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def curl_lines() -> list[str]:
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [line[line.index("curl ") :] for line in text.splitlines() if "curl " in line]


def errors_below(kind: type[errors.TollgateError]) -> Iterator[type[errors.TollgateError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from errors_below(below)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Opens no connection: only its routes are asked for."""
    database = tmp_path_factory.mktemp("readme") / "never-opened.db"
    return create_app(settings_for(f"sqlite:///{database}", NEEDED["REDIS_URL"]))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[settings.Settings, Recorder]:
    """The README's config.yaml, as somebody with an account at every provider in it would start it."""
    directory = tmp_path_factory.mktemp("readme")
    (directory / "config.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    azure = {"AZURE_API_BASE": "https://example.openai.azure.com", "AZURE_API_KEY": "a"}
    environ = Recorder(NEEDED | azure | {"OPENAI_API_KEY": "o"})
    return settings.load(environ, directory), environ


def test_the_config_by_example_starts_without_a_word(loaded: tuple[settings.Settings, Recorder]) -> None:
    assert loaded[0].warnings == ()


def test_every_deployment_of_the_config_by_example_is_usable(loaded: tuple[settings.Settings, Recorder]) -> None:
    assert [deployment.off for deployment in loaded[0].deployments] == [None] * 5


@pytest.mark.parametrize("kind", [kind for kind in config_file.OURS if kind != "config"])
def test_every_key_of_config_yaml_is_in_the_example(kind: str) -> None:
    written = set(re.findall(r"^[ #-]*(\w+):", blocks("yaml")[0], flags=re.MULTILINE))
    assert set(config_file.OURS[kind]) - written == set()


def test_every_name_of_a_price_is_in_the_table() -> None:
    assert [name for name in price_names.NAMES if f"`{name}`" not in README] == []


def test_every_variable_that_the_settings_read_is_named(loaded: tuple[settings.Settings, Recorder]) -> None:
    assert {"DATABASE_URL", "TOLLGATE_HOME", "AZURE_API_BASE"} <= loaded[1].asked
    assert {name for name in loaded[1].asked if f"`{name}`" not in README} == set()


def test_every_variable_that_the_web_server_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = Recorder()
    monkeypatch.setattr(os, "environ", environ)
    runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))
    assert "PORT" in environ.asked
    assert {name for name in environ.asked if f"`{name}`" not in README} == set()


def test_every_variable_that_the_launcher_reads_is_named() -> None:
    text = (REPOSITORY / "app/local/launch.py").read_text(encoding="utf-8")
    read = set(re.findall(r'environment(?:\.get\(|\[)"([A-Z_]+)"|"([A-Z_]+)" (?:not )?in environment', text))
    names = {name for pair in read for name in pair if name}
    assert "TOLLGATE_BIND" in names
    assert {name for name in names if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("error", list(errors_below(errors.TollgateError)), ids=lambda error: error.__name__)
def test_every_error_is_named_with_its_status(error: type[errors.TollgateError]) -> None:
    family = error in (errors.LimitReached, errors.Unavailable)
    assert f"`{error.code}`" if family else f"| {error.status} | `{error.code}` |" in README


def rules(app: Flask) -> set[str]:
    """Paths as the README writes them: "/v1/models/{model}"."""
    return {re.sub(r"<(?:[\w(), ]+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()} - PAGE


def test_the_table_of_meters_has_every_kind_in_the_order_of_refusals() -> None:
    table = README[README.index("| meter | `scope` in errors |") :].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| (\w+) \| `", table, flags=re.MULTILINE)[1:]) == meter_names.KINDS


def test_the_table_of_vendors_has_every_vendor_with_its_variables_and_routes() -> None:
    table = README[README.index("| `model:` begins with |") :].partition("\n\n")[0]
    told = {}
    for name, variables, routes in re.findall(r"^\| `(\w+)/` \| (.*?) \| (.*?) \|$", table, flags=re.MULTILINE):
        told[name] = (re.findall(r"`(\w+)`", variables), routes.split(", "))
    assert told == {
        name: ([*vendor.key_variables, *vendor.base_variables], sorted(PROVIDERS[name].formats))
        for name, vendor in VENDORS.items()
    }


def test_the_table_of_roles_has_every_role() -> None:
    table = README[README.index("| role | may |") :].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+_\w+)`", table, flags=re.MULTILINE)) == set(rights.ROLES)


def test_every_route_is_named(app: Flask) -> None:
    there = rules(app)
    # "Also without /v1" is said once, and so is the beginning of Azure's paths.
    shown = {path.replace("/openai/deployments/{model}", "…") for path in there if f"/v1{path}" not in there}
    assert {path for path in shown if f"{path}`" not in README} == set()


def test_every_route_that_is_named_exists(app: Flask) -> None:
    table = README[README.index("\n## Routes\n") : README.index("\n## Coming from LiteLLM\n")]
    named = {path for path in re.findall(r"`(/[\w/{}.]*)`", table) if path != "/v1"}
    assert named - rules(app) - PAGE == set()


def test_the_check_of_a_webhook_takes_what_is_genuine_and_nothing_else() -> None:
    code: dict[str, Any] = {}
    exec(next(text for text in blocks("python") if "is_genuine" in text), code)
    is_genuine, at = code["is_genuine"], int(time.time())
    headers = signed(b"k" * 24, "msg_1", at, b"{}")
    assert is_genuine(b"k" * 24, headers, b"{}")
    wrong = [(b"l" * 24, headers, b"{}"), (b"k" * 24, headers, b"{ }")]
    wrong += [(b"k" * 24, signed(b"k" * 24, "msg_1", at - 301, b"{}"), b"{}")]
    assert [is_genuine(*one) for one in wrong] == [False, False, False]


def test_the_tree_names_every_package_of_the_application_and_every_module_of_the_worker() -> None:
    tree = next(text for text in blocks("") if text.startswith("app/\n"))
    of_app, of_worker = tree.split("worker/\n")
    packages = {path.parent.name + "/" for path in (REPOSITORY / "app").glob("*/__init__.py")}
    assert packages - set(re.findall(r"^  (\S+)", of_app, flags=re.MULTILINE)) == set()
    modules = {path.name for path in (REPOSITORY / "worker").glob("*.py")}
    assert modules - set(re.findall(r"^  (\S+)", of_worker, flags=re.MULTILINE)) == set()


def test_the_tree_names_nothing_that_is_not_there() -> None:
    tree = next(text for text in blocks("") if text.startswith("app/\n"))
    folder, missing = "", []
    for indent, name in re.findall(r"^( *)(\S+)", tree, flags=re.MULTILINE):
        folder = folder if indent else name
        if not (REPOSITORY / (folder + name if indent else name)).exists():
            missing.append(folder + name)
    assert missing == []


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:tests|app|worker)/[\w/.]+)`", README))
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize("line", curl_lines())
def test_every_curl_line_asks_for_something_that_exists(app: Flask, line: str) -> None:
    words = shlex.split(line)
    bodies = [json.loads(words[place + 1]) for place, word in enumerate(words) if word == "-d"]
    assert all(isinstance(body, dict) for body in bodies)
    (url,) = [word for word in words if word.startswith("http")]
    # Raises NotFound or MethodNotAllowed.
    app.url_map.bind("127.0.0.1").match(urlsplit(url).path, "POST" if bodies else "GET")


def test_every_kind_of_model_call_and_edit_has_its_curl_line() -> None:
    paths = {urlsplit(word).path for line in curl_lines() for word in shlex.split(line) if word.startswith("http")}
    assert {"/user/new", "/user/update", "/user/info", "/key/generate", "/v1/chat/completions", "/spend/logs"} <= paths
