"""The examples that LiteLLM's users have in hand, as they are written there, told as one story."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from tests.journeys.conftest import AZURE_KEY, Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def test_a_user_without_budget_gets_a_key_that_pays_for_nothing(
    stack: Stack, admin: Person, provider: ScriptedProvider
) -> None:
    made = admin.post("/user/new", {"models": ["azure-models"], "max_budget": 0, "user_id": "krrish3@berri.ai"})
    body = made.json()
    assert made.status_code == 200
    assert (body["user_id"], body["max_budget"], body["expires"]) == ("krrish3@berri.ai", 0.0, None)
    refused = Person(body["key"], stack.urls[1]).chat("azure-models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert provider.calls == []


def test_a_key_for_twenty_minutes_runs_one_request_at_a_time(
    stack: Stack, admin: Person, provider: ScriptedProvider
) -> None:
    made = admin.post("/key/generate", {"duration": "20m", "max_parallel_requests": 1}).json()
    expires = datetime.fromisoformat(made["expires"])
    left = (expires - datetime.now(UTC)).total_seconds()
    assert 1190 < left <= 1200
    first, second = Person(made["key"], stack.urls[0]), Person(made["key"], stack.urls[1])
    running = threading.Thread(target=first.chat, args=("slow-dime",))
    running.start()
    until(lambda: provider.in_flight == 1)
    refused = second.chat("dime")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "max_parallel_requests")
    running.join()
    assert second.chat("dime").status_code == 200


def test_another_key_of_a_user_spends_the_same_budget(stack: Stack, admin: Person) -> None:
    user = {"models": ["azure-models"], "user_id": "krrish@berri.ai"}
    admin.post("/user/new", user | {"max_budget": 0})
    second = admin.post("/key/generate", user).json()["key"]
    assert Person(second, stack.urls[0]).chat("azure-models").json()["error"]["scope"] == "user:krrish@berri.ai"


def test_a_key_for_an_unknown_user_makes_the_user(admin: Person) -> None:
    admin.post("/key/generate", {"models": ["azure-models"], "user_id": "new@berri.ai"})
    assert admin.get("/user/info", user_id="new@berri.ai").json()["user_info"]["user_id"] == "new@berri.ai"


def test_a_users_parallel_limit_counts_over_all_keys(
    stack: Stack, admin: Person, provider: ScriptedProvider, ada: str
) -> None:
    first = admin.post("/user/new", {"user_id": ada, "max_parallel_requests": 1}).json()["key"]
    second = admin.post("/key/generate", {"user_id": ada}).json()["key"]
    running = threading.Thread(target=Person(first, stack.urls[0]).chat, args=("slow-dime",))
    running.start()
    until(lambda: provider.in_flight == 1)
    refused = Person(second, stack.urls[1]).chat("dime")
    running.join()
    assert refused.json()["error"]["scope"] == f"user:{ada}"


def test_an_access_group_gives_access_to_its_models_and_no_other(
    person: Callable[..., Person],
) -> None:
    caller = person(models=["beta-models"])
    assert caller.chat("beta").status_code == 200
    denied = caller.chat("dime")
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "model_not_allowed")
    assert [model["id"] for model in caller.get("/v1/models").json()["data"]] == ["beta"]


def test_both_lists_must_allow_a_model(stack: Stack, admin: Person, ada: str) -> None:
    admin.post("/user/new", {"user_id": ada, "models": ["beta-models"]})
    key = admin.post("/key/generate", {"user_id": ada, "models": ["dime"]}).json()["key"]
    assert [Person(key, stack.urls[0]).chat(model).status_code for model in ("dime", "beta")] == [403, 403]


def test_azure_is_called_the_way_azure_is_called(person: Callable[..., Person], provider: ScriptedProvider) -> None:
    caller = person()
    assert caller.chat("azure-models").status_code == 200
    assert caller.post("/v1/embeddings", {"model": "azure-models", "input": "hello"}).status_code == 200
    chat, embeddings = provider.calls
    assert chat.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    assert embeddings.path == "/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21"
    assert chat.headers["api-key"] == AZURE_KEY
    assert "Authorization" not in chat.headers


def test_what_a_call_cost_is_seen_within_a_second(person: Callable[..., Person]) -> None:
    caller = person()
    caller.chat("dime", max_tokens=100)
    waited = until(lambda: caller.get("/user/info").json()["user_info"]["spend"] == 0.1)
    assert waited < 1
    assert caller.get("/key/info").json()["info"]["spend"] == 0.1
    assert [row["spend"] for row in caller.get("/spend/logs").json()] == [0.1]


def test_every_route_answers_with_and_without_v1(person: Callable[..., Person]) -> None:
    caller = person()
    bodies = {
        "/chat/completions": {"model": "dime", "messages": [{"role": "user", "content": "hi"}]},
        "/completions": {"model": "dime", "prompt": "hi"},
        "/embeddings": {"model": "dime", "input": "hi"},
    }
    statuses = {
        prefix + path: caller.post(prefix + path, body).status_code
        for path, body in bodies.items()
        for prefix in ("", "/v1")
    }
    assert set(statuses.values()) == {200}, statuses


def test_a_virtual_key_reads_its_own_and_nothing_else(admin: Person, person: Callable[..., Person], ada: str) -> None:
    caller = person(user_id=ada)
    admin.post("/user/new", {"user_id": "bob-" + ada})
    assert caller.get("/user/info").json()["user_id"] == ada
    assert caller.get("/user/info", user_id="bob-" + ada).status_code == 403
    assert caller.get("/user/list").status_code == 403
    assert caller.post("/user/new", {}).status_code == 403
    assert caller.post("/key/generate", {"user_id": "bob-" + ada}).status_code == 403
    assert admin.get("/user/list").status_code == 200
