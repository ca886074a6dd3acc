"""One gateway for all stories about routing: two web processes and a worker, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.conftest import Person, shared_stack
from tests.journeys.routing.models import FINE, PRICED, TEN_CENTS, Models
from tests.scripted_provider import ScriptedProvider
from tests.services import short_lease
from tests.services.stack import Stack

ROUTER = {
    # Longer than any story, so that none ends by itself.
    "cooldown_time": 60,
    # Cooldowns have stories of their own; only rate limits are believed at once.
    "allowed_fails": 1000,
    "model_group_retry_policy": {"impatient": {"InternalServerErrorRetries": 0}},
    "fallbacks": [
        {"down": ["stand-in"]},
        {"free-down": ["dear"]},
        {"down-too": ["down", "stand-in"]},
        {"busy-down": ["slow-stand-in"]},
    ],
    "context_window_fallbacks": [{"short": ["long"]}],
    "content_policy_fallbacks": [{"prim": ["lenient"]}],
    "model_group_alias": {"nickname": "single", "secret-name": {"model": "single", "hidden": True}},
}


def config_for(provider: ScriptedProvider) -> dict[str, Any]:
    models = Models(provider)
    models.add("single", FINE)
    models.add("any-*", FINE)
    # Retries.
    models.add("flaky", "status-500-once")
    models.add("impatient", "status-500")
    models.add("always-500", "status-500")
    models.add("picky", "status-400")
    models.add("limited", "status-429")
    models.add("limited-booked", "status-429")
    models.add("limited-thrice", "status-429", "status-429", "status-429")
    models.add("half-limited", {"model": "status-429", "order": 1}, {"model": FINE, "order": 2})
    models.add("bad-key", {"model": "status-401", "order": 1}, {"model": FINE, "order": 2})
    models.add("mute", {"model": "cut-after-0", "order": 1}, {"model": FINE, "order": 2})
    models.add("torn", {"model": "cut-after-2", "order": 1}, {"model": FINE, "order": 2})
    # Fallbacks.
    models.add("down", "status-500", "status-503")
    models.add("down-too", "status-500")
    models.add("busy-down", "status-500")
    models.add("free-down", "status-500")
    models.add("stand-in", TEN_CENTS, **PRICED)
    models.add("slow-stand-in", f"{TEN_CENTS}-slow-1", **PRICED)
    models.add("dear", TEN_CENTS, **PRICED)
    models.add("short", "scripted")
    models.add("long", FINE)
    models.add("prim", "scripted")
    models.add("lenient", FINE)
    _add_limited(models)
    return {"model_list": models.entries, "router_settings": ROUTER}


def _add_limited(models: Models) -> None:
    # Limits of deployments.
    models.add("narrow", f"{FINE}-slow-0.3", f"{FINE}-slow-0.3", max_parallel_requests=1)
    models.add("two-a-minute", {"model": FINE, "rpm": 2, "order": 1}, {"model": FINE, "order": 2})
    models.add("one-a-minute", FINE, rpm=1)
    models.add("few-tokens", FINE, tpm=50)
    models.add("used-tokens", "tokens-10-30", tpm=120)
    # Timeouts.
    models.add(
        "stuck", {"model": "hang", "order": 1, "stream_timeout": 0.3, "timeout": 0.6}, {"model": FINE, "order": 2}
    )
    models.add("late-pieces", "hang-after-3", idle_timeout=0.3)
    models.add("endless", "endless-gap-0.05", total_timeout=1)
    models.add("slow-whole", f"{FINE}-slow-5", timeout=0.5)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def routed(
    request: pytest.FixtureRequest, scripted: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with shared_stack(request, "routed", config_for(scripted), tmp_path_factory, short_lease.APPLICATION) as running:
        yield running


@pytest.fixture
def stack(routed: Stack) -> Stack:
    """What people of these stories call."""
    return routed


@pytest.fixture
def caller(stack: Stack, admin: Person, ada: str) -> Person:
    """A user without limits, at the first web process."""
    secret = admin.post("/user/new", {"user_id": ada}).json()["key"]
    return Person(secret, stack.urls[0])


@pytest.fixture
def other(caller: Person, stack: Stack) -> Person:
    """The same user at the second web process."""
    return caller.at(stack.urls[1])
