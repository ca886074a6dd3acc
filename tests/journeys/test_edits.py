"""What an admin changes at one web process acts on the very next request at the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.conftest import Person
from tests.services.stack import Stack

EDITS: dict[str, tuple[str, dict[str, Any], int]] = {
    "blocked": ("/key/block", {}, 401),
    "deleted": ("/key/delete", {}, 401),
    "without the model": ("/key/update", {"models": ["beta"]}, 403),
    "without money": ("/key/update", {"max_budget": 0}, 429),
    "without slots": ("/key/update", {"max_parallel_requests": 0}, 429),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_key_is_refused_by_the_other_process_on_its_next_request(
    stack: Stack, admin: Person, person: Callable[..., Person], edit: str
) -> None:
    path, change, expected = EDITS[edit]
    caller = person()
    other = caller.at(stack.urls[1])
    assert [caller.chat("dime").status_code, other.chat("dime").status_code] == [200, 200]
    body = {"keys": [caller.secret]} if path == "/key/delete" else {"key": caller.secret} | change
    assert admin.post(path, body).status_code == 200
    assert other.chat("dime").status_code == expected


@pytest.mark.parametrize("change", [{"max_budget": 0}, {"max_parallel_requests": 0}])
def test_an_edited_user_is_refused_by_the_other_process_on_its_next_request(
    stack: Stack, admin: Person, person: Callable[..., Person], change: dict[str, Any], ada: str
) -> None:
    caller = person(user_id=ada)
    other = caller.at(stack.urls[1])
    assert other.chat("dime").status_code == 200
    admin.post("/user/update", {"user_id": ada} | change)
    assert other.chat("dime").status_code == 429


def test_an_opened_key_works_at_the_other_process_on_its_next_request(
    stack: Stack, admin: Person, person: Callable[..., Person]
) -> None:
    caller = person()
    other = caller.at(stack.urls[1])
    admin.post("/key/block", {"key": caller.secret})
    assert other.chat("dime").status_code == 401
    admin.post("/key/unblock", {"key": caller.secret})
    assert other.chat("dime").status_code == 200
