from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.reload.file import ConfigFile

GOOD = "model_list:\n- model_name: %s\n  litellm_params: {model: openai/gpt-4o, mock_response: Hi}\n"
BAD = "modell_list: []\n"


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    """The file of a process whose master keeps the last good one."""
    (tmp_path / "last").touch()
    environ = {"TOLLGATE_MASTER_KEY": "sk-master-0123456789", "REDIS_URL": "redis://localhost"}
    return ConfigFile(environ | {"TOLLGATE_LAST_GOOD": str(tmp_path / "last")}, tmp_path)


def write(directory: Path, text: str) -> None:
    (directory / "config.yaml").write_text(text)


def names(file: ConfigFile) -> list[str]:
    return [one.model_name for one in file.first()[0].deployments]


def test_a_process_that_is_born_while_the_file_is_wrong_begins_with_the_last_good_one(
    file: ConfigFile, tmp_path: Path
) -> None:
    write(tmp_path, GOOD % "first")
    running, _ = file.first()
    write(tmp_path, GOOD % "second")
    file.again(running)
    write(tmp_path, BAD)
    settings, problems = file.first()
    assert [one.model_name for one in settings.deployments] == ["second"]
    assert problems == ("config.yaml: modell_list: unknown name, did you mean model_list?",)


def test_without_a_good_file_before_it_a_wrong_one_stops_the_start(file: ConfigFile, tmp_path: Path) -> None:
    write(tmp_path, BAD)
    with pytest.raises(SettingsError):
        file.first()


def test_a_wrong_file_is_never_the_last_good_one(file: ConfigFile, tmp_path: Path) -> None:
    write(tmp_path, GOOD % "first")
    running, _ = file.first()
    write(tmp_path, BAD)
    with pytest.raises(SettingsError):
        file.again(running)
    assert names(file) == ["first"]


def test_a_shorter_good_file_leaves_nothing_of_a_longer_one(file: ConfigFile, tmp_path: Path) -> None:
    write(tmp_path, GOOD % "first" + GOOD.partition("\n")[2] % "second")
    assert names(file) == ["first", "second"]
    write(tmp_path, GOOD % "third")
    assert names(file) == ["third"]
    write(tmp_path, BAD)
    assert names(file) == ["third"]
