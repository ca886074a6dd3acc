"""Real clients as processes, the gateway that they call, and the provider behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import pytest

from tests.clients.matrix import REPOSITORY, Client
from tests.journeys.conftest import Person, user_of
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack
from tests.services.valkey import Valkey

OPENAI_KEY = "sk-provider-0123456789"
ANTHROPIC_KEY = "sk-ant-provider-0123456789"
AZURE_KEY = "azure-provider-0123456789"


class Running:
    """A client's process, which does one thing for each line that it is told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        # Whatever stands in the environment for the real vendors must not be found there.
        keep = {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}
        self._environ = {name: value for name, value in os.environ.items() if name in keep}
        self._environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1"}

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self.client.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=REPOSITORY,
            env=self._environ,
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Node runs below Python, and ends when there is nothing more to read; what is killed leaves nothing behind.
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, do: str, url: str, key: str, model: str, retries: int = 0) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        order = {"do": do, "url": url, "key": key, "model": model, "retries": retries}
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(self._last_words()) from None
        line = self._process.stdout.readline()
        assert line, self._last_words()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-3000:]


@pytest.fixture(scope="session")
def running() -> Iterator[Callable[[Client], Running]]:
    """running(client) gives its process, which is started with the first test that needs it."""
    by_program: dict[str, Running] = {}
    with ExitStack() as stack:

        def start(client: Client) -> Running:
            if client.program not in by_program:
                by_program[client.program] = stack.enter_context(Running(client))
            return by_program[client.program]

        yield start


def config_for(provider: ScriptedProvider) -> dict[str, Any]:
    """Models go by the same names at the gateway and at the provider, so that both can be asked the same."""

    def models(names: str, vendor: str, address: str, key: str) -> list[dict[str, Any]]:
        """`names` are like "gpt-*" or "ours=theirs"."""
        params = {"api_base": address, "api_key": key, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        pairs = [(name.partition("=")[0], name.rpartition("=")[2]) for name in names.split()]
        return [
            {"model_name": ours, "litellm_params": {"model": f"{vendor}/{theirs}", **params}} for ours, theirs in pairs
        ]

    # What fails has deployments of its own, so that nothing else suffers from it.
    openai = "codex=gpt-5-codex failing-gpt-* gpt-* ft:gpt-* text-embedding-* whisper-* tts-* omni-* rerank-*"
    return {
        "model_list": [
            *models(openai, "openai", provider.url + "/v1", OPENAI_KEY),
            *models("sonnet=claude-sonnet-4-5 claude-* failing-claude-*", "anthropic", provider.url, ANTHROPIC_KEY),
            *models("az-*", "azure", provider.url, AZURE_KEY),
        ],
        "general_settings": {"budget_wait": 0.2, "max_request_size_mb": 2},
        # These tests are about what a client makes of one attempt.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


@pytest.fixture(scope="session")
def scripted() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def provider(scripted: ScriptedProvider) -> ScriptedProvider:
    """The scripted provider, with what earlier tests did forgotten."""
    scripted.reset()
    return scripted


@pytest.fixture(scope="session")
def valkey_of_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest,
    scripted: ScriptedProvider,
    valkey_of_stack: Valkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """One web process and a worker that all clients share; each test has a user of its own."""
    path = shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path_factory.mktemp("stack"))
    with Stack(f"sqlite:///{path}", valkey_of_stack.url, config_for(scripted), web=1, workers=1) as running:
        yield running


@pytest.fixture
def admin(stack: Stack) -> Person:
    return Person(stack.master_key, stack.urls[0])


@pytest.fixture
def person(stack: Stack, admin: Person) -> Callable[..., Person]:
    """person(max_budget=1) makes a user with a key."""
    return lambda **limits: user_of(stack, admin, **limits)
