"""The rules of the house, as tests."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CODE = ["app", "worker", "migrations", "tests"]
LONGEST_FUNCTION, LONGEST_FILE = 80, 500

TOP_LEVEL = {
    *("pyproject.toml", "app", "worker", "migrations", "tests", "config.yaml", "Procfile", "README.md"),
    *("Makefile", "gunicorn.conf.py", "requirements.txt", "requirements-dev.txt", "benchmarks", "tools"),
    *(".ci", ".gitignore", "CHANGELOG.md", "LICENSE"),
}

# Where somebody's own machine or package mirror would show.
MACHINE_PATH = re.compile(r"(?<![\w.~*)}\-])/(?:work|root|tmp|opt|private|Users/\w+|home/\w+)/")
REGISTRY_HOST = re.compile(r"(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com)\b")


def git(*arguments: str) -> list[str]:
    """Names of files, or a skipped test outside of a clone."""
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone of the repository")


@cache
def texts() -> dict[str, str]:
    """Every file that is committed or about to be, as far as it is text."""
    files = [(name, REPOSITORY / name) for name in git("ls-files")]
    return {name: path.read_text(encoding="utf-8", errors="ignore") for name, path in files if path.is_file()}


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_module_says_what_it_is_for() -> None:
    ours = [*modules("app", "worker", "migrations"), REPOSITORY / "gunicorn.conf.py"]
    assert [name_of(path) for path in ours if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_function_is_too_long_to_see_at_once() -> None:
    long = [
        f"{name_of(path)}: {node.name}"
        for path in modules("app", "worker", "tests")  # a first migration is as long as there are columns
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_no_file_is_too_long_to_read() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules("app", "worker", "migrations")}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_module_is_named_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name_of(path) for path in modules(*CODE) if nothing & set(path.with_suffix("").parts)] == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["path", "registry"])
def test_no_file_knows_the_machine_it_was_written_on(pattern: re.Pattern[str]) -> None:
    found = [f"{name}: {match[0]}" for name, text in texts().items() for match in pattern.finditer(text)]
    assert found == []


def test_the_top_level_stays_small() -> None:
    assert {name.split("/")[0] for name in texts()} - TOP_LEVEL == set()


def test_the_procfile_names_exactly_the_three_processes() -> None:
    lines = (REPOSITORY / "Procfile").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["release", "web", "worker"]
