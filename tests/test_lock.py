"""The lock files and the price list are in step with what they come from and with each other. Needs no network."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.ledger.listed.find import LIST, list_source
from tools.prices import price_list

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# A pin, its hashes, and the comment that says who asked for it.
ENTRY = re.compile(r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n((?:    #.*\n)*)", re.MULTILINE)
DIRECT = "tollgate (pyproject.toml)"
CLIENTS, CLIENTS_WANTED = "tests/clients/requirements.txt", "tests/clients/requirements.in"
NODE = REPOSITORY / "tests" / "clients" / "node"


def lock(name: str) -> str:
    return (REPOSITORY / name).read_text() + "\n"


def pins(name: str) -> dict[str, str]:
    return {canonicalize_name(entry[1]): entry[2] for entry in ENTRY.finditer(lock(name))}


def asked_for(name: str, by: str = DIRECT) -> set[str]:
    return {canonicalize_name(entry[1]) for entry in ENTRY.finditer(lock(name)) if by in entry[4]}


def wanted(extras: list[str]) -> list[Requirement]:
    texts = PROJECT["dependencies"] + [text for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("name", "extras"), [("requirements.txt", []), ("requirements-dev.txt", ["dev"])])
def test_each_dependency_is_pinned_within_its_range_and_nothing_else_is_asked_for(name: str, extras: list[str]) -> None:
    pinned = pins(name)
    for requirement in wanted(extras):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier
    assert asked_for(name) == {canonicalize_name(requirement.name) for requirement in wanted(extras)}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", CLIENTS])
def test_a_lock_file_holds_pins_with_hashes_and_nothing_else(name: str) -> None:
    rest = [line for line in ENTRY.sub("", lock(name)).splitlines() if line and not line.startswith("#")]
    assert rest == []


def test_what_runs_is_what_was_tested() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_each_client_of_the_tests_is_pinned_and_nothing_else_is_asked_for() -> None:
    wanted = {canonicalize_name(name) for name in (REPOSITORY / CLIENTS_WANTED).read_text().split()}
    assert asked_for(CLIENTS, f"-r {CLIENTS_WANTED}") == wanted


def test_each_client_for_node_is_pinned_with_its_hash_and_without_a_host() -> None:
    locked = json.loads((NODE / "package-lock.json").read_text())["packages"]
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    assert locked.pop("")["dependencies"] == wanted
    assert {f"node_modules/{name}" for name in wanted} <= set(locked)
    assert [name for name, told in locked.items() if not told["integrity"].startswith("sha512-")] == []
    assert [name for name, told in locked.items() if "resolved" in told] == []


def test_the_price_list_is_that_of_the_pinned_package() -> None:
    assert list_source() == f"genai-prices {pins('requirements-dev.txt')['genai-prices']}"
    same = price_list() == LIST.read_bytes()
    assert same, "`make prices` writes it anew"
