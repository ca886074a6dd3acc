"""How often a call asks Redis: once on its way in and once on its way out, unless deployments have to be counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from app.extensions import redis
from app.limits import admission, places
from app.model_list import Deployment
from app.router_settings import Router
from tests.services.settings import MOCK

SCRIPTS = {
    admission._admit.sha: "admit",
    admission._finish.sha: "finish",
    places._place.sha: "place",
    places._leave.sha: "leave",
    places._cool.sha: "cool",
}
MARKER = "nobody-has-this-key"
OTHER = replace(MOCK, id="other")


def asked(app: Flask) -> list[str]:
    """The scripts that one call runs, in order; everything it needs is known by then."""
    headers = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = {"model": MOCK.model_name, "messages": []}

    def call() -> None:
        answer = app.test_client().post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    call()
    with redis.client.monitor() as monitor:  # type: ignore[no-untyped-call]
        call()
        redis.client.get(MARKER)
        found = []
        while MARKER not in (command := str(monitor.next_command()["command"])):
            found += [name for sha, name in SCRIPTS.items() if sha in command]
    return found


@pytest.mark.parametrize("deployments", [(MOCK,), (MOCK, OTHER)], ids=["one", "two"])
def test_a_call_asks_redis_once_before_and_once_after(
    make_app: Callable[..., Flask], deployments: tuple[Deployment, ...]
) -> None:
    assert asked(make_app(deployments=deployments)) == ["admit", "finish"]


def test_limits_of_a_deployment_take_one_more_before_and_one_more_after(make_app: Callable[..., Flask]) -> None:
    app = make_app(deployments=(replace(MOCK, max_parallel_requests=1),))
    assert asked(app) == ["admit", "place", "finish", "leave"]


def test_so_do_strategies_that_all_processes_agree_on(make_app: Callable[..., Flask]) -> None:
    app = make_app(deployments=(MOCK, OTHER), router=Router(strategy="least-busy"))
    assert asked(app) == ["admit", "place", "finish", "leave"]
