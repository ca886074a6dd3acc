"""`python -m app.local` from start to stop: real processes, as `make run` starts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from app.local.child import end_with_parent
from app.local.valkey import free_port
from tests.services.stack import REPOSITORY

# Far longer than anything takes, also on a machine that runs other tests: a wait that succeeds costs nothing.
LONGEST_SECONDS = 60.0
CONFIG = """
model_list:
  - model_name: mock-gpt-4o
    litellm_params: {model: openai/gpt-4o, mock_response: Hello}
"""


end_with_us = end_with_parent()


def at_a_terminal() -> None:
    """Ctrl-C counts, also where the tests themselves run in the background of a shell, which has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if end_with_us is not None:
        end_with_us()


class Launch:
    """One run, with a home and a config.yaml of its own."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = directory / "config.yaml"
        if not config.exists():
            config.write_text(CONFIG)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ours = {"TOLLGATE_HOME": str(directory / "home"), "TOLLGATE_CONFIG": str(config), "PORT": str(self.port)}
        with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.local"],
                env=inherited | ours | environ,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=at_a_terminal,  # noqa: PLW1509 - it takes no lock
            )

    def wait_for(self, text: str, seconds: float = LONGEST_SECONDS) -> str:
        deadline = time.monotonic() + seconds
        while text not in self.out():
            assert self.process.poll() is None, self.out() + self.err()
            assert time.monotonic() < deadline, self.out() + self.err()
            time.sleep(0.02)
        return self.out()

    def out(self) -> str:
        return (self.directory / "out").read_text()

    def err(self) -> str:
        return (self.directory / "err").read_text()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def children(self) -> dict[str, int]:
        """Process ids by part."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        ours = [line.split(None, 2) for line in listed if line.split()[1] == str(self.process.pid)]
        parts = {"web": "gunicorn", "worker": "-m worker", "valkey": "valkey-server"}
        return {part: int(pid) for part, word in parts.items() for pid, _, args in ours if word in args}

    @property
    def master_key(self) -> str:
        found = re.search(r"Master key: (sk-\S+)", self.out())
        assert found
        return found[1]

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers={"Authorization": f"Bearer {self.master_key}"}, timeout=10)

    def post(self, path: str, body: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.master_key}"}
        return requests.post(self.url + path, json=body, headers=headers, timeout=10)


@contextmanager
def running(directory: Path) -> Iterator[Launch]:
    launch = Launch(directory)
    try:
        launch.wait_for("Ctrl-C stops everything")
        yield launch
    finally:
        if launch.process.poll() is None:
            launch.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """One for all tests that leave it running."""
    with running(tmp_path_factory.mktemp("started")) as launch:
        yield launch


def refused(launch: Launch) -> list[str]:
    """The lines with which it did not start."""
    try:
        assert launch.process.wait(LONGEST_SECONDS) == 1
    finally:
        # Where it runs all the same, it is not left to the tests that follow.
        launch.process.kill()
        launch.process.wait()
    return launch.err().splitlines()


@pytest.mark.skipif(not shutil.which("curl"), reason="the lines are made for curl")
def test_the_three_lines_work_as_pasted(started: Launch) -> None:
    lines = [line for line in started.out().splitlines() if "curl" in line]
    pasted = subprocess.run(["sh"], input="\n".join(lines), capture_output=True, text=True, check=True)
    answer, info = pasted.stdout.splitlines()
    assert json.loads(answer)["choices"][0]["message"]["content"] == "Hello"
    assert json.loads(info)["user_info"]["spend"] > 0


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        user = first.post("/user/new", {"user_id": "ada", "max_budget": 1}).json()
        master_key = first.master_key
        assert first.stop() == 0
    with running(tmp_path) as again:
        assert again.master_key == master_key
        keys = again.get("/user/info?user_id=ada").json()["keys"]
        assert [key["token"] for key in keys] == [user["token"]]


def test_it_stops_in_order_and_leaves_nobody_behind(tmp_path: Path) -> None:
    with running(tmp_path) as launch:
        children = launch.children()
        assert sorted(children) == ["valkey", "web", "worker"]
        assert launch.stop(signal.SIGTERM) == 0
    stopped = [line for line in launch.out().splitlines() if line.startswith("tollgate |")]
    assert stopped == [f"tollgate | stopping {part}" for part in ("web", "worker", "valkey")]
    assert not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]


def test_a_killed_part_comes_back(started: Launch) -> None:
    for pid in started.children().values():
        os.kill(pid, signal.SIGKILL)
    for part in ("web", "worker", "valkey"):
        started.wait_for(f"{part} was killed by SIGKILL; starting it again in 0.5 s")
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        try:
            if started.get("/health/readiness").ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail(started.out())


def versions_of(launch: Launch) -> list[dict[str, str]]:
    """Those that are alive; who was killed is listed for ten seconds more."""
    listed: list[dict[str, str]] = launch.get("/config/versions").json()["instances"]
    return [one for one in listed if Path(f"/proc/{one['pid']}").exists()]


def test_a_hangup_reads_the_configuration_again_and_ends_nobody(started: Launch) -> None:
    # All of them are past their first moments, in which a hangup would end them.
    deadline = time.monotonic() + LONGEST_SECONDS
    while {one["kind"] for one in versions_of(started)} != {"web", "worker"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = started.children()
    file = started.directory / "config.yaml"
    file.write_text(CONFIG + CONFIG.partition("model_list:")[2].replace("mock-gpt-4o", "added"))
    os.kill(int((started.directory / "home" / "lock").read_text()), signal.SIGHUP)
    started.wait_for("web      | SIGHUP: config.yaml is read")
    started.wait_for("SIGHUP: worker and web read config.yaml again")
    deadline = time.monotonic() + LONGEST_SECONDS
    while len({one["version"] for one in versions_of(started)}) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "added" in started.get("/v1/models").text
    file.write_text("model_list: 5\n")
    os.kill(started.process.pid, signal.SIGHUP)
    started.wait_for("SIGHUP: nothing is changed, because of")
    assert "added" in started.get("/v1/models").text
    assert started.children() == children
    file.write_text(CONFIG)


def test_a_second_one_in_the_same_directory_is_refused(started: Launch) -> None:
    (started.directory / "second").mkdir()
    second = Launch(started.directory / "second", TOLLGATE_HOME=str(started.directory / "home"))
    assert refused(second) == [f"tollgate: already running in this directory (process {started.process.pid})"]


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert refused(Launch(tmp_path, PORT=str(port))) == [
            f"tollgate: port {port} is taken; choose another with PORT=…"
        ]
    assert not (tmp_path / "home" / "valkey").exists()


def test_each_mistake_in_the_configuration_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model_list: 5\nmodell_list: []\n")
    lines = refused(Launch(tmp_path))
    assert len(lines) == 2
    assert all("config.yaml" in line for line in lines)


def test_each_part_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    launch = Launch(tmp_path, REDIS_URL=f"redis://:hush@{nowhere}", DATABASE_URL=f"postgres://ada:hush@{nowhere}/x")
    lines = refused(launch)
    assert [line.split(": ")[1] for line in lines] == ["REDIS_URL", "DATABASE_URL"]
    assert "hush" not in launch.err()


def test_a_master_key_of_ones_own_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("general_settings: {master_key: too-short}\n")
    assert "master_key" in refused(Launch(tmp_path))[0]
    assert not (tmp_path / "home" / "master_key").exists()
