"""What the supervisor is told of the settings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.local import known, reading
from app.model_list import Deployment
from tests.services.settings import MOCK

OPENAI = Deployment(id="1", model_name="gpt-4o", provider="openai", model="gpt-4o")
CONFIG = "model_list: [{model_name: one, litellm_params: {model: openai/gpt-4o, mock_response: Hello}}]\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.yaml").write_text(CONFIG)
    given = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return given | {
        "TOLLGATE_HOME": str(tmp_path / "home"),
        "TOLLGATE_CONFIG": str(tmp_path / "config.yaml"),
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


def test_a_mock_is_tried_before_a_model_that_costs_money() -> None:
    assert reading.model_to_try((OPENAI, MOCK)) == "mock-gpt-4o"


def test_no_model_is_tried_that_is_off_or_a_pattern() -> None:
    off = replace(OPENAI, off="OPENAI_API_KEY is not set")
    pattern = replace(OPENAI, model_name="openai/*")
    assert reading.model_to_try((off, pattern, OPENAI)) == "gpt-4o"
    assert reading.model_to_try((off, pattern)) is None


def test_what_the_settings_say_is_known(environment: dict[str, str]) -> None:
    found = known.read(environment)
    assert (found.redis_url, found.model) == ("redis://127.0.0.1:1/0", "one")


def test_a_master_key_that_nobody_has_named_is_made_once(environment: dict[str, str], tmp_path: Path) -> None:
    first, again = known.read(environment), known.read(environment)
    kept = tmp_path / "home" / "master_key"
    assert first.master_key == again.master_key == kept.read_text().strip()
    assert first.variables == {"TOLLGATE_MASTER_KEY": first.master_key}
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_master_key_of_the_environment_is_the_one(environment: dict[str, str], tmp_path: Path) -> None:
    assert known.read(environment | {"TOLLGATE_MASTER_KEY": "sk-0123456789abcdef"}).master_key == "sk-0123456789abcdef"
    assert not (tmp_path / "home").exists()


def test_a_master_key_of_config_yaml_stays_there_for_all_processes_to_read(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + "general_settings: {master_key: sk-0123456789abcdef}\n")
    found = known.read(environment)
    assert (found.master_key, found.variables) == ("sk-0123456789abcdef", {})


def test_what_is_wrong_is_told_line_by_line(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model_list: 5\nmodell_list: []\n")
    with pytest.raises(known.Unreadable) as told:
        known.read(environment)
    assert len(told.value.problems) == 2


def test_a_reader_that_fails_is_told_of(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "READING", [*known.READING[:1], "-c", "raise SystemExit(3)"])
    with pytest.raises(known.Unreadable, match="lines above"):
        known.read(environment)
