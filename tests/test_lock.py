"""The lock files are in step with pyproject.toml and with each other. Needs no network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# A pin, its hashes, and the comment that says who asked for it.
ENTRY = re.compile(r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n((?:    #.*\n)*)", re.MULTILINE)
DIRECT = "tollgate (pyproject.toml)"


def lock(name: str) -> str:
    return (REPOSITORY / name).read_text() + "\n"


def pins(name: str) -> dict[str, str]:
    return {canonicalize_name(entry[1]): entry[2] for entry in ENTRY.finditer(lock(name))}


def asked_for(name: str) -> set[str]:
    return {canonicalize_name(entry[1]) for entry in ENTRY.finditer(lock(name)) if DIRECT in entry[4]}


def wanted(extras: list[str]) -> list[Requirement]:
    texts = PROJECT["dependencies"] + [text for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("name", "extras"), [("requirements.txt", []), ("requirements-dev.txt", ["dev"])])
def test_each_dependency_is_pinned_within_its_range_and_nothing_else_is_asked_for(name: str, extras: list[str]) -> None:
    pinned = pins(name)
    for requirement in wanted(extras):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier
    assert asked_for(name) == {canonicalize_name(requirement.name) for requirement in wanted(extras)}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_file_holds_pins_with_hashes_and_nothing_else(name: str) -> None:
    rest = [line for line in ENTRY.sub("", lock(name)).splitlines() if line and not line.startswith("#")]
    assert rest == []


def test_what_runs_is_what_was_tested() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()
