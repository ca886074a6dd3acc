"""config.yaml is changed while everything runs: the next call sees it everywhere, and a wrong file changes nothing.

Processes hear of a change from signals and from Redis; nothing of it is in the database, so one kind is enough.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.journeys.conftest import Person, config_for, shared_stack, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.process import Process
from tests.services.stack import Stack
from tests.services.valkey import Valkey
from tests.webhook_receiver import Receiver

SECONDS = 30.0
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
# Two web processes and a worker.
EVERYBODY = 3
WRONG = {
    "model_list": [{"model_name": "m", "litellm_params": {"model": 5}}],
    "general_settings": {"budget_wait": "soon"},
}
PROBLEMS = [
    'model_list[0].litellm_params.model: got 5, expected a string like "openai/gpt-4o"',
    'general_settings.budget_wait: got "soon", expected seconds, from 0 to 60',
]


@pytest.fixture(scope="module", params=["sqlite"])
def shared(
    request: pytest.FixtureRequest,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    with shared_stack(request, "reloading", config_for(scripted), tmp_path_factory) as running:
        yield running


@pytest.fixture
def config(provider: ScriptedProvider) -> dict[str, Any]:
    return config_for(provider)


@pytest.fixture
def running(shared: Stack, config: dict[str, Any]) -> Iterator[Stack]:
    """The stack that the stories of this file share, with the usual config.yaml in all of its processes."""
    yield shared
    shared.configure(config)
    answer = master_of(shared).post("/config/reload")
    assert (answer.status_code, answer.json()["following"]) == (200, EVERYBODY), answer.text


def master_of(stack: Stack) -> Person:
    return Person(stack.master_key, stack.urls[0])


def mocked(name: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "openai/gpt-4o", "mock_response": "Hello from the file."}}


def versions(stack: Stack, kind: str | None = None) -> list[dict[str, Any]]:
    found = master_of(stack).get("/config/versions").json()["instances"]
    return [one for one in found if kind in (None, one["kind"])]


def hang_up(process: Process) -> None:
    os.kill(process.pid, signal.SIGHUP)


def below(process: Process) -> set[int]:
    """The processes that it made."""
    return {child.pid for child in psutil.Process(process.pid).children()}


def test_a_model_in_the_file_is_called_everywhere_after_one_request(running: Stack, config: dict[str, Any]) -> None:
    admin = master_of(running)
    callers = [admin.at(url) for url in running.urls]
    assert [caller.chat("added").status_code for caller in callers] == [404, 404]
    running.configure(config | {"model_list": [*config["model_list"], mocked("added")]})
    answer = admin.post("/config/reload").json()
    assert (answer["changed"], answer["instances"], answer["following"]) == (True, EVERYBODY, EVERYBODY)
    assert [caller.chat("added").status_code for caller in callers] == [200, 200]
    assert {one["version"] for one in versions(running)} == {answer["version"]}
    assert sorted(one["kind"] for one in versions(running)) == ["web", "web", "worker"]


def test_a_model_that_left_the_file_is_gone_everywhere(running: Stack, config: dict[str, Any]) -> None:
    admin = master_of(running)
    caller = user_of(running, admin).at(running.urls[1])
    assert caller.chat("dime").status_code == 200
    running.configure(config | {"model_list": [one for one in config["model_list"] if one["model_name"] != "dime"]})
    assert admin.post("/config/reload").status_code == 200
    assert caller.chat("dime").status_code == 404
    assert '"dime"' not in caller.get("/v1/models").text


def test_a_hangup_of_the_master_reloads_its_own_processes_without_a_new_one(
    running: Stack, config: dict[str, Any]
) -> None:
    admin = master_of(running)
    before, processes = versions(running)[0]["version"], below(running.web[1])
    running.configure(config | {"model_list": [*config["model_list"], mocked("added")]})
    hang_up(running.web[1])
    until(lambda: admin.at(running.urls[1]).chat("added").status_code == 200, SECONDS)
    assert admin.chat("added").status_code == 404
    until(lambda: sorted(one["version"] == before for one in versions(running, "web")) == [False, True], SECONDS)
    assert below(running.web[1]) == processes


def test_a_hangup_of_the_worker_reaches_the_process_that_runs_its_tasks(
    running: Stack, config: dict[str, Any], provider: ScriptedProvider
) -> None:
    before, processes = versions(running)[0]["version"], below(running.workers[0])
    with Receiver() as receiver:
        general = {"webhook_url": receiver.url, "webhook_secret": "a-secret-of-the-webhooks"}
        running.configure(config | {"general_settings": general})
        hang_up(running.workers[0])
        until(lambda: all(one["version"] != before for one in versions(running) if one["kind"] != "web"), SECONDS)
        assert below(running.workers[0]) == processes
        hang_up(running.web[0])
        until(lambda: master_of(running).post("/webhooks/test", {}).status_code == 200, SECONDS)
        until(lambda: len(receiver.received) == 1, SECONDS)
    assert provider.calls == []


def test_a_wrong_file_changes_nothing_anywhere_and_every_problem_is_told(
    running: Stack, config: dict[str, Any]
) -> None:
    admin = master_of(running)
    caller = user_of(running, admin)
    before = versions(running)
    running.configure(WRONG)
    answer = admin.post("/config/reload")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_configuration")
    problems = [f"{running.directory}/config.yaml: {problem}" for problem in PROBLEMS]
    assert answer.json()["error"]["problems"] == problems
    hang_up(running.web[1])
    hang_up(running.workers[0])
    until(lambda: sum(one["problems"] == problems for one in versions(running)) == EVERYBODY, SECONDS)
    assert [one["version"] for one in versions(running)] == [one["version"] for one in before]
    assert [one["id"] for one in versions(running)] == [one["id"] for one in before]
    assert [caller.at(url).chat("dime").status_code for url in running.urls] == [200, 200]
    for process in (running.web[1], running.workers[0]):
        assert f"SIGHUP: nothing is changed, because of {problems[1]}" in process.tail()
    running.configure(config)
    assert admin.post("/config/reload").json()["following"] == EVERYBODY
    assert [one["problems"] for one in versions(running)] == [[]] * EVERYBODY


def test_what_needs_a_restart_is_refused_with_its_path(running: Stack, config: dict[str, Any]) -> None:
    # The environment says both, so that the file is not even looked at.
    running.configure(config | {"general_settings": {"master_key": "sk-another-0123456789"}})
    assert master_of(running).post("/config/reload").json()["changed"] is False


def test_a_stream_that_runs_ends_as_it_began_while_its_model_leaves_the_file(
    running: Stack, config: dict[str, Any]
) -> None:
    admin = master_of(running)
    caller = user_of(running, admin, user_id="streamer").at(running.urls[1])
    body = {"model": "stream", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    streamed = caller.post("/v1/chat/completions", body, stream=True)
    lines = streamed.iter_lines(decode_unicode=True)
    assert next(lines).startswith("data: ")
    running.configure(config | {"model_list": [mocked("added")]})
    hang_up(running.web[1])
    until(lambda: caller.chat("added").status_code == 200, SECONDS)
    assert caller.chat("stream").status_code == 404
    rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert len(rest) > 8
    until(lambda: len(admin.get("/spend/logs", user_id="streamer").json()) == 2, SECONDS)
    (row,) = [one for one in admin.get("/spend/logs", user_id="streamer").json() if one["model_group"] == "stream"]
    assert (row["status"], row["usage_source"]) == ("success", "provider")


def test_calls_are_answered_while_the_file_changes_again_and_again(running: Stack, config: dict[str, Any]) -> None:
    admin = master_of(running)
    caller = user_of(running, admin).at(running.urls[1])
    answers: list[int] = []
    enough = threading.Event()

    def call() -> None:
        while not enough.is_set():
            answers.append(caller.chat("dime").status_code)

    thread = threading.Thread(target=call)
    thread.start()
    for turn in range(10):
        until(lambda: len(answers) > turn * 3, SECONDS)  # noqa: B023 - it is waited for here
        running.configure(config | {"general_settings": {"budget_wait": turn}})
        hang_up(running.web[1])
        assert admin.post("/config/reload").status_code == 200
    enough.set()
    thread.join()
    assert set(answers) == {200}


def test_a_limit_of_the_gateway_counts_on_the_next_call_of_a_known_caller(
    running: Stack, config: dict[str, Any]
) -> None:
    admin = master_of(running)
    caller = user_of(running, admin).at(running.urls[1])
    assert caller.chat("dime").status_code == 200
    running.configure(config | {"general_settings": {"gateway_limits": {"rpm_limit": 0}}})
    admin.post("/config/reload")
    refused = caller.chat("dime")
    assert (refused.status_code, refused.json()["error"]["scope"]) == (429, "gateway")
    running.configure(config)
    admin.post("/config/reload")
    assert caller.chat("dime").status_code == 200


@ONE_DATABASE
def test_a_process_that_was_killed_is_gone_from_the_list(own_stack: Stack) -> None:
    until(lambda: len(versions(own_stack)) == EVERYBODY, SECONDS)
    own_stack.kill(1)
    until(lambda: len(versions(own_stack)) == EVERYBODY - 1, SECONDS)
    answer = master_of(own_stack).post("/config/reload").json()
    assert (answer["instances"], answer["following"]) == (EVERYBODY - 1, EVERYBODY - 1)


@ONE_DATABASE
def test_a_frozen_process_follows_when_it_wakes(own_stack: Stack, config: dict[str, Any]) -> None:
    until(lambda: len(versions(own_stack)) == EVERYBODY, SECONDS)
    own_stack.stop(1)
    own_stack.configure(config | {"model_list": [mocked("added")]})
    answer = master_of(own_stack).post("/config/reload").json()
    assert answer["following"] == EVERYBODY - 1
    own_stack.cont(1)
    until(lambda: master_of(own_stack).at(own_stack.urls[1]).chat("added").status_code == 200, SECONDS)


@ONE_DATABASE
def test_without_redis_the_process_that_is_asked_reads_its_file_and_says_that_it_is_alone(
    database_url: str, config: dict[str, Any], valkey: Valkey, redis_url: str
) -> None:
    with Stack(database_url, redis_url, config, web=1, workers=0) as stack:
        # A process that is on the list has read its file once more after its start, and does not do so by itself again.
        until(lambda: len(versions(stack)) == 1, SECONDS)
        valkey.stop()
        try:
            # Not before: while Redis answers, somebody else's request may have the process read it.
            stack.configure(config | {"model_list": [mocked("added")]})
            answer = master_of(stack).post("/config/reload").json()
        finally:
            valkey.cont()
        assert (answer["changed"], answer["instances"], answer["following"]) == (True, None, None)
        assert "Redis does not answer" in answer["warnings"][-1]
        until(lambda: master_of(stack).chat("added").status_code == 200, SECONDS)


def two_in_one(database_url: str, redis_url: str, config: dict[str, Any]) -> Stack:
    """One master with two web processes."""
    return Stack(database_url, redis_url, config, web=1, workers=0, variables={"WEB_CONCURRENCY": "2"})


@ONE_DATABASE
def test_every_process_of_a_master_follows_its_hangup(
    database_url: str, redis_url: str, config: dict[str, Any]
) -> None:
    with two_in_one(database_url, redis_url, config) as stack:
        until(lambda: len(versions(stack)) == 2, SECONDS)
        before, processes = versions(stack)[0]["version"], below(stack.web[0])
        stack.configure(config | {"model_list": [mocked("added")]})
        hang_up(stack.web[0])
        until(lambda: all(one["version"] != before for one in versions(stack)), SECONDS)
        assert below(stack.web[0]) == processes == {one["pid"] for one in versions(stack)}


@ONE_DATABASE
def test_a_web_process_that_dies_while_the_file_is_wrong_is_replaced_under_the_last_good_one(
    database_url: str, redis_url: str, config: dict[str, Any]
) -> None:
    with two_in_one(database_url, redis_url, config) as stack:
        until(lambda: len(versions(stack)) == 2, SECONDS)
        stack.configure(config | {"model_list": [mocked("added")]})
        version = master_of(stack).post("/config/reload").json()["version"]
        stack.configure(WRONG)
        dead = versions(stack)[0]["pid"]
        os.kill(dead, signal.SIGKILL)
        until(lambda: dead not in below(stack.web[0]) and len(below(stack.web[0])) == 2, SECONDS)
        until(lambda: {one["pid"] for one in versions(stack)} == below(stack.web[0]), SECONDS)
        assert [one["version"] for one in versions(stack)] == [version, version]
        (replaced,) = [one for one in versions(stack) if one["problems"]]
        assert replaced["problems"][1].endswith(PROBLEMS[1])
        assert master_of(stack).chat("added").status_code == 200
