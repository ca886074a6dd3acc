"""One refusal and one reset of every kind of limit on every kind of meter, at two web processes.

The tables of this story are those of the README: what a call's limits are, and in which order their refusals are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis as redis_py

from app import meter_names
from tests.journeys.conftest import Person, config_for
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

CAP = 100
# A call of "dime" states and uses 100 tokens and costs ten cents. What each limit is set to so that one call fills it
# (a strict budget is too small for the first already), and the code of the refusal.
FULL_AFTER_ONE: dict[str, tuple[dict[str, Any], str]] = {
    "max_budget": ({"max_budget": 0.1, "budget_duration": "5s"}, "budget_exceeded"),
    "strict": ({"max_budget": 0.05, "strict": True}, "budget_too_small"),
    "rpm_limit": ({"rpm_limit": 1}, "rpm_limit"),
    "tpm_limit": ({"tpm_limit": 150}, "tpm_limit"),
    "max_parallel_requests": ({"max_parallel_requests": 1}, "max_parallel_requests"),
}
LIMITED_ROWS = [kind for kind in meter_names.KINDS if kind != meter_names.GATEWAY]


class Holder:
    """Somebody whose calls count in one limited meter, `scope`."""

    def __init__(self, stack: Stack, admin: Person, kind: str, limits: dict[str, Any]) -> None:
        self.stack = stack
        self._admin = admin
        self._name = uuid4().hex[:8]
        self._fields: dict[str, Any] = {}
        self.scope, secret = getattr(self, f"_{kind}")(limits)
        self.person = Person(secret, stack.urls[0])

    def call(self, web: int = 0, model: str = "dime", cap: int = CAP) -> Any:
        return self.person.at(self.stack.urls[web]).chat(model, max_tokens=cap, **self._fields)

    def _made(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = self._admin.post(path, fields)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def _key(self, limits: dict[str, Any]) -> tuple[str, str]:
        made = self._made("/key/generate", **limits)
        return f"key:{made['key_id']}", made["key"]

    def _key_model(self, limits: dict[str, Any]) -> tuple[str, str]:
        made = self._made("/key/generate", model_limits={"*dime": limits})
        return f"key_model:{made['key_id']}/*dime", made["key"]

    def _user(self, limits: dict[str, Any]) -> tuple[str, str]:
        made = self._made("/user/new", user_id=self._name, **limits)
        return f"user:{self._name}", made["key"]

    def _user_model(self, limits: dict[str, Any]) -> tuple[str, str]:
        made = self._made("/user/new", user_id=self._name, model_limits={"*dime": limits})
        return f"user_model:{self._name}/*dime", made["key"]

    def _team(self, limits: dict[str, Any]) -> tuple[str, str]:
        self._made("/team/new", team_id=self._name, **limits)
        return f"team:{self._name}", self._made("/key/generate", team_id=self._name)["key"]

    def _team_member(self, limits: dict[str, Any]) -> tuple[str, str]:
        self._made("/team/new", team_id=self._name)
        member = {"user_id": self._name, "role": "user"}
        self._made("/team/member_add", team_id=self._name, member=member, **limits)
        made = self._made("/key/generate", team_id=self._name, user_id=self._name)
        return f"team_member:{self._name}/{self._name}", made["key"]

    def _customer(self, limits: dict[str, Any]) -> tuple[str, str]:
        self._made("/customer/new", user_id=self._name, **limits)
        self._fields = {"user": self._name}
        return f"customer:{self._name}", self._made("/key/generate")["key"]

    def _gateway(self, _limits: dict[str, Any]) -> tuple[str, str]:
        return "gateway", self._made("/key/generate")["key"]


def told(answer: Any) -> tuple[int, str, str]:
    """Status, code and scope of a refusal; of an answer its status alone."""
    error = answer.json().get("error", {})
    return answer.status_code, error.get("code", ""), error.get("scope", "")


def spend_the_budget(holder: Holder) -> tuple[Any, int]:
    """A window may end between two calls, so several may be needed until one finds the budget spent."""
    deadline = time.monotonic() + 40
    refused = holder.call(1)
    while refused.status_code == 200 and time.monotonic() < deadline:
        refused = holder.call(1)
    until(lambda: holder.call().status_code == 200)
    return refused, 200


def ask_for_too_much(holder: Holder) -> tuple[Any, int]:
    """What is left covers a smaller cap."""
    return holder.call(1), holder.call(0, cap=CAP // 4).status_code


def take_the_slot(holder: Holder) -> tuple[Any, int]:
    with ThreadPoolExecutor(1) as background, redis_py.Redis.from_url(holder.stack.redis_url) as client:
        running = background.submit(holder.call, 0, "slow-dime")
        until(lambda: bool(client.zcard(f"tollgate:slots:{holder.scope}")))
        refused = holder.call(1)
        assert running.result().status_code == 200
    return refused, holder.call(1).status_code


def fill_the_minute(holder: Holder) -> tuple[Any, int]:
    assert holder.call().status_code == 200
    refused = holder.call(1)
    # Everything that Redis remembers of this meter's requests and tokens lies a minute further back.
    with redis_py.Redis.from_url(holder.stack.redis_url) as client:
        for key in (f"tollgate:requests:{holder.scope}", f"tollgate:tokens:{holder.scope}"):
            moments: Any = client.zrange(key, 0, -1, withscores=True)
            for member, moment in moments:
                client.zadd(key, {member: moment - 60_001})
    return refused, holder.call(1).status_code


STEPS: dict[str, Callable[[Holder], tuple[Any, int]]] = {
    "max_budget": spend_the_budget,
    "strict": ask_for_too_much,
    "rpm_limit": fill_the_minute,
    "tpm_limit": fill_the_minute,
    "max_parallel_requests": take_the_slot,
}


def test_the_limits_of_every_kind_of_meter_refuse_in_one_process_and_open_again_in_the_other(
    stack: Stack, admin: Person
) -> None:
    def story(kind: str, limit: str) -> tuple[tuple[int, str, str], int]:
        limits, _ = FULL_AFTER_ONE[limit]
        holder = holders[kind, limit] = Holder(stack, admin, kind, limits)
        refused, again = STEPS[limit](holder)
        return told(refused), again

    holders: dict[tuple[str, str], Holder] = {}
    cells = [(kind, limit) for kind in LIMITED_ROWS for limit in FULL_AFTER_ONE]
    # Most of the time is waiting for windows to end, so all cells of the table are told side by side.
    with ThreadPoolExecutor(len(LIMITED_ROWS)) as crowd:
        found = dict(zip(cells, crowd.map(lambda cell: story(*cell), cells), strict=True))
    expected = {
        (kind, limit): ((429, FULL_AFTER_ONE[limit][1], holders[kind, limit].scope), 200) for kind, limit in cells
    }
    assert found == expected


@pytest.fixture(params=list(FULL_AFTER_ONE))
def limited_gateway(
    request: pytest.FixtureRequest,
    database_url: str,
    redis_url: str,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
) -> Iterator[tuple[Stack, str]]:
    """A stack whose whole gateway has one limit."""
    settings = {"general_settings": {"gateway_limits": FULL_AFTER_ONE[request.param][0]}}
    with Stack(database_url, redis_url, config_for(scripted) | settings, web=2, workers=1) as running:
        yield running, request.param


def test_a_limit_of_the_whole_gateway_refuses_in_one_process_and_opens_again_in_the_other(
    limited_gateway: tuple[Stack, str],
) -> None:
    stack, limit = limited_gateway
    holder = Holder(stack, Person(stack.master_key, stack.urls[0]), "gateway", {})
    refused, again = STEPS[limit](holder)
    assert (told(refused), again) == ((429, FULL_AFTER_ONE[limit][1], "gateway"), 200)
