"""Models for the stories about routing: each has deployments of its own, whose names say how they behave."""

from __future__ import annotations

from typing import Any

import orjson

from tests.journeys.conftest import OPENAI_KEY, Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider

FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
# A call of a priced model costs ten cents, as estimated.
PRICED = {"input_cost_per_token": 0, "output_cost_per_token": 0.001}
FINE, TEN_CENTS = "tokens-0-1", "tokens-0-100"


class Models:
    """A model_list that grows by model names: each call of `add` gives one a group of deployments."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self._provider = provider
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, *behaviours: str | dict[str, Any], **of_all: Any) -> None:
        """`behaviours` are words for the scripted provider, or litellm_params with such words as `model`.

        A deployment's id is its model's name and a number, from 1; so is what the provider is asked for.
        """
        for number, behaviour in enumerate(behaviours, 1):
            params = behaviour if isinstance(behaviour, dict) else {"model": behaviour}
            known = f"{name}-{number}"
            model = {"model": f"openai/{params['model']}-of-{known}", "api_key": OPENAI_KEY}
            where = {"api_base": self._provider.url + "/v1"}
            entry = {"model_name": name, "litellm_params": FREE | where | of_all | params | model}
            self.entries.append(entry | {"model_info": {"id": known, "max_output_tokens": 100}})


def asked(provider: ScriptedProvider, deployment: str) -> int:
    """How often a deployment was asked."""
    return sum(call.model.endswith(f"-of-{deployment}") for call in provider.calls)


def rows(admin: Person, user_id: str, count: int) -> list[dict[str, Any]]:
    """The user's ledger rows, oldest first, once there are so many."""

    def found() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = admin.get("/spend/logs", user_id=user_id).json()
        return told

    until(lambda: len(found()) >= count)
    # Whatever else were on its way would be there by now: rows are written in the order of their events.
    assert len(found()) == count
    return sorted(found(), key=lambda row: (row["request_id"], row["attempt"]))


def error(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["error"]["code"]


def streamed(person: Person, model: str) -> Any:
    return person.chat(model, stream=True)


def last_event(answer: Any) -> Any:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return lines[-1] if lines[-1] == "[DONE]" else orjson.loads(lines[-1])
