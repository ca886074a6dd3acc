from __future__ import annotations

from app.local import banner

URL, MASTER_KEY = "http://127.0.0.1:4000", "sk-master-for-tests"


def test_it_shows_where_and_the_master_key() -> None:
    shown = banner.text(MASTER_KEY, "mock-gpt-4o", URL)
    assert URL in shown
    assert MASTER_KEY in shown


def test_it_tries_the_model() -> None:
    assert '"model": "mock-gpt-4o"' in banner.text(MASTER_KEY, "mock-gpt-4o", URL)


def test_without_a_model_it_says_where_one_is_named() -> None:
    shown = banner.text(MASTER_KEY, None, URL)
    assert "curl" not in shown
    assert "model_list in config.yaml" in shown
