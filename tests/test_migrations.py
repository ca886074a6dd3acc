"""Migrations list in order, and lead to the tables that the models describe."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.services.stack import REPOSITORY, alembic, migrate


def test_they_are_numbered_from_one_without_gap_or_branch() -> None:
    directory = ScriptDirectory.from_config(Config(toml_file=REPOSITORY / "pyproject.toml"))
    scripts = list(reversed(list(directory.walk_revisions())))
    numbers = [f"{number:04}" for number in range(1, len(scripts) + 1)]
    assert [script.revision for script in scripts] == numbers
    assert [script.down_revision for script in scripts] == [None, *numbers[:-1]]
    assert [Path(script.path).name.split("_")[0] for script in scripts] == numbers


def test_they_are_in_step_with_the_models(database_url: str) -> None:
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_all_can_be_taken_back_and_made_again(database_url: str) -> None:
    alembic(database_url, "downgrade", "base")
    migrate(database_url)
    assert "No new upgrade operations detected" in alembic(database_url, "check")
