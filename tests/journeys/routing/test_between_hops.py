"""kill -9 while a call is on its way from one model to the one that stands in for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.chaos.counters import leftovers
from tests.journeys.conftest import Person, user_of
from tests.journeys.routing.models import PRICED, TEN_CENTS, Models, asked, rows
from tests.journeys.test_slots import ignoring_errors
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


@pytest.fixture
def breakable(database_url: str, redis_url: str, scripted: ScriptedProvider) -> Iterator[Stack]:
    models = Models(scripted)
    models.add("free-down", "status-500")
    models.add("dear", TEN_CENTS, **PRICED)
    models.add("lasting", f"{TEN_CENTS}-slow-4", **PRICED)
    config = {
        "model_list": models.entries,
        "router_settings": {"num_retries": 0, "fallbacks": [{"free-down": ["dear"]}]},
        "general_settings": {"budget_wait": 30},
    }
    with Stack(database_url, redis_url, config, web=2, workers=1) as running:
        yield running


def test_a_process_that_dies_between_two_models_leaves_the_rows_of_the_first_and_holds_nothing(
    breakable: Stack, provider: ScriptedProvider
) -> None:
    admin = Person(breakable.master_key, breakable.urls[1])
    caller = user_of(breakable, admin, user_id="ada", max_budget=0.15, max_parallel_requests=2)
    other = caller.at(breakable.urls[1])
    # Its row is looked for at the end; where the story fails before that, its connection breaks with the stack.
    lasting = threading.Thread(target=ignoring_errors, args=(lambda: other.chat("lasting", max_tokens=100),))
    lasting.start()
    until(lambda: provider.in_flight == 1)

    # The stand-in needs money that the lasting call holds: it waits, and nobody has admitted it yet.
    calling = threading.Thread(target=ignoring_errors, args=(lambda: caller.chat("free-down", max_tokens=100),))
    calling.start()
    (failed,) = rows(admin, "ada", 1)
    assert calling.is_alive()
    breakable.kill(0)
    calling.join()
    lasting.join()
    until(lambda: not leftovers(breakable.redis_url, "ada"))
    assert [row["request_id"] for row in rows(admin, "ada", 2) if row["model_group"] == "free-down"] == [
        failed["request_id"]
    ]
    assert asked(provider, "dear-1") == 0
    # Both slots are free.
    assert caller.at(breakable.urls[1]).chat("dear", max_tokens=100).status_code == 200
