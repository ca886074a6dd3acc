"""No member of a body leads past the model that was asked for, or past its price."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import BadRequest
from app.gateway.asked import Request, parse

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
LEAST: dict[str, dict[str, Any]] = {
    "chat/completions": HELLO,
    "messages": HELLO | {"max_tokens": 9},
    "responses": {"model": "m", "input": "hi"},
}


def refused(route: str, body: bytes) -> str | None:
    with pytest.raises(BadRequest) as error:
        parse(Request(route, body, {}))
    return error.value.param


def with_member(route: str, name: str, value: Any) -> bytes:
    return orjson.dumps(LEAST[route] | {name: value})


@pytest.mark.parametrize(
    ("route", "name", "value"),
    [
        ("chat/completions", "Model", "dearer"),
        ("chat/completions", "MAX_TOKENS", 100_000),
        ("chat/completions", "\u017ftream", True),
        ("chat/completions", "max_to\u212aens", 9),
        ("messages", "Speed", "fast"),
        ("responses", "Background", True),
    ],
)
def test_a_name_that_only_some_servers_read_as_another_is_refused(route: str, name: str, value: Any) -> None:
    # Go's encoding/json, which Ollama reads with, matches names without regard to case, as Unicode folds it.
    assert refused(route, with_member(route, name, value)) == name


def test_a_name_that_decides_about_nothing_may_be_written_in_any_case() -> None:
    assert parse(Request("chat/completions", with_member("chat/completions", "Temperature", 1), {})).model == "m"
