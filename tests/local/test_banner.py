from __future__ import annotations

from dataclasses import replace

from app.local import banner
from app.model_list import Deployment
from tests.services.settings import MOCK, settings_for

OPENAI = Deployment(id="1", model_name="gpt-4o", provider="openai", model="gpt-4o")


def text(*deployments: Deployment) -> str:
    return banner.text(settings_for("sqlite:///x.db", "redis://", deployments=deployments), "http://127.0.0.1:4000")


def test_it_shows_where_and_the_master_key() -> None:
    shown = text(MOCK)
    assert "http://127.0.0.1:4000" in shown
    assert "sk-master-for-tests" in shown


def test_it_tries_a_mock_before_a_model_that_costs_money() -> None:
    assert banner.model_to_try((OPENAI, MOCK)) == "mock-gpt-4o"


def test_it_tries_no_model_that_is_off_or_a_pattern() -> None:
    off = replace(OPENAI, off="OPENAI_API_KEY is not set")
    pattern = replace(OPENAI, model_name="openai/*")
    assert banner.model_to_try((off, pattern, OPENAI)) == "gpt-4o"
    assert banner.model_to_try((off, pattern)) is None


def test_without_a_model_it_says_where_one_is_named() -> None:
    shown = text()
    assert "curl" not in shown
    assert "model_list in config.yaml" in shown
