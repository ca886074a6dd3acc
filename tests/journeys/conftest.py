"""Whole stories over HTTP: two web processes, a worker, a real Valkey and both databases; only the provider is
scripted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import requests
from requests.adapters import HTTPAdapter

from tests.scripted_provider import ScriptedProvider
from tests.services import short_lease
from tests.services.stack import APPLICATION, Stack, migrate
from tests.services.valkey import Valkey

AZURE_KEY = "azure-secret-0123456789"
OPENAI_KEY = "sk-provider-0123456789"

# One session for everybody: connections are kept as real clients keep them, and closed when all stories are told.
HTTP = requests.Session()
HTTP.trust_env = False
HTTP.mount("http://", HTTPAdapter(pool_connections=100, pool_maxsize=200))


@pytest.fixture(scope="session", autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    HTTP.close()


class Person:
    """Somebody with a key, at one of the gateway's web processes."""

    def __init__(self, secret: str, url: str) -> None:
        self.secret = secret
        self.url = url
        self._headers = {"Authorization": f"Bearer {secret}"}

    def at(self, url: str) -> Person:
        """The same person at another web process."""
        return Person(self.secret, url)

    def get(self, path: str, **query: Any) -> Any:
        return HTTP.get(self.url + path, params=query, headers=self._headers, timeout=30)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return HTTP.post(self.url + path, json=body, headers=self._headers, timeout=30, **options)

    def chat(self, model: str, **fields: Any) -> Any:
        return self.post(
            "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}]} | fields
        )


@pytest.fixture(scope="session")
def scripted() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def provider(scripted: ScriptedProvider) -> ScriptedProvider:
    """The scripted provider, with what earlier tests did forgotten."""
    scripted.reset()
    return scripted


def config_for(provider: ScriptedProvider) -> dict[str, Any]:
    """Deployments whose names say how the scripted provider behaves. A call of `dime` costs ten cents, as estimated."""

    def openai(name: str, model: str, timeout: float = 600, **info: Any) -> dict[str, Any]:
        params: dict[str, Any] = {"model": f"openai/{model}", "api_base": provider.url + "/v1", "api_key": OPENAI_KEY}
        params["timeout"] = timeout
        costs = {"input_cost_per_token": 0, "output_cost_per_token": 0.001}
        return {"model_name": name, "litellm_params": params | costs, "model_info": info}

    # Five cents a call, for ten tokens in and twenty out, whatever cap is stated.
    wordy = openai("wordy", "tokens-10-20-slow-0.3")
    wordy["litellm_params"] |= {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}
    azure = {
        "model": "azure/gpt-4o",
        "api_base": "os.environ/AZURE_API_BASE",
        "api_key": "os.environ/AZURE_API_KEY",
        "api_version": "2024-10-21",
    }
    return {
        "model_list": [
            {"model_name": "azure-models", "litellm_params": azure},
            openai("dime", "tokens-0-100"),
            openai("slow-dime", "tokens-0-100-slow-0.5"),
            openai("busy", "tokens-0-1-slow-0.1"),
            openai("hanging", "hang"),
            openai("stream", "tokens-5-10-chunks-10-gap-0.1"),
            openai("beta", "tokens-1-1", access_groups=["beta-models"]),
            openai("broken", "status-500"),
            wordy,
            openai("scripted", "scripted"),
            openai("hasty", "scripted", timeout=1),
        ],
        # These stories are about single attempts; those about routing have a configuration of their own.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


@pytest.fixture(scope="session")
def azure_variables(scripted: ScriptedProvider) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURE_API_BASE", scripted.url)
        patch.setenv("AZURE_API_KEY", AZURE_KEY)
        yield


@contextmanager
def shared_stack(
    request: pytest.FixtureRequest,
    name: str,
    config: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    application: str = APPLICATION,
) -> Iterator[Stack]:
    """Two web processes and a worker over a database of that name, of the kind that is the fixture's parameter."""
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_sqlite'), tmp_path_factory.mktemp(name))}"
    else:
        url = request.getfixturevalue("postgres").create(name)
        migrate(url)
    with (
        Valkey(tmp_path_factory.mktemp("valkey")) as valkey,
        Stack(url, valkey.url, config, web=2, workers=1, application=application) as running,
    ):
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def stack(
    request: pytest.FixtureRequest,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Two web processes and a worker that all stories of one database share; each story has users of its own."""
    with shared_stack(request, "journeys", config_for(scripted), tmp_path_factory) as running:
        yield running


@pytest.fixture
def own_stack(
    database_url: str,
    redis_url: str,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
) -> Iterator[Stack]:
    """A stack for a story that breaks something."""
    with Stack(database_url, redis_url, config_for(scripted), web=2, workers=1) as running:
        yield running


@pytest.fixture
def mortal_stack(
    database_url: str,
    redis_url: str,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
) -> Iterator[Stack]:
    """A stack for a story that kills a process and waits for the end of its lease, which is a short one."""
    config = config_for(scripted)
    with Stack(database_url, redis_url, config, web=2, workers=1, application=short_lease.APPLICATION) as running:
        yield running


@pytest.fixture
def admin(stack: Stack) -> Person:
    return Person(stack.master_key, stack.urls[0])


@pytest.fixture
def ada() -> str:
    """A user id that no other story has."""
    return f"ada-{uuid4().hex[:8]}"


@pytest.fixture
def person(stack: Stack, admin: Person) -> Callable[..., Person]:
    """person(max_budget=1) makes a user with a key, who calls the first web process."""
    return lambda **limits: user_of(stack, admin, **limits)


def user_of(stack: Stack, admin: Person, **limits: Any) -> Person:
    """A new user with a key, who calls the first web process."""
    made = admin.post("/user/new", limits)
    assert made.status_code == 200, made.text
    return Person(made.json()["key"], stack.urls[0])
