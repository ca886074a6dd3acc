"""One process and its config.yaml: what it takes over, when, and what it leaves as it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import DatabaseUnavailable, SettingsError
from app.extensions import redis
from app.gateway.deployments import StoredDeployments
from app.reload import instances
from app.reload.process import Change, Loaded
from tests.journeys.waiting import until
from tests.people import HELLO, Someone
from tests.reload.conftest import Host


@pytest.fixture(autouse=True)
def hangups() -> Any:
    """A process hears as it did before."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_the_next_call_sees_what_the_file_says_now(host: Host) -> None:
    host.write("second")
    assert [host.chat("first"), host.chat("second")] == [200, 404]
    change = host.reloader.reload()
    assert change.before != change.after
    assert [host.chat("first"), host.chat("second")] == [404, 200]


def test_a_changed_price_is_the_price_of_the_next_call(host: Host) -> None:
    headers = {"Authorization": f"Bearer {host.gateway.settings.master_key}"}
    client, body = host.app.test_client(), HELLO | {"model": "first"}
    first = client.post("/v1/chat/completions", json=body, headers=headers).headers["x-tollgate-cost"]
    file = host.directory / "config.yaml"
    file.write_text(file.read_text().replace("    id: first\n", "    id: first\n    output_cost_per_token: 0.009\n"))
    host.reloader.reload()
    assert float(client.post("/v1/chat/completions", json=body, headers=headers).headers["x-tollgate-cost"]) > float(
        first
    )


def test_a_file_that_says_the_same_changes_nothing(host: Host) -> None:
    before = host.gateway
    file = host.directory / "config.yaml"
    file.write_text("# Only a remark is new.\n" + file.read_text())
    change = host.reloader.reload()
    assert change.before == change.after
    assert host.gateway is before


def test_a_wrong_file_changes_nothing_and_stays_told_until_it_is_right(host: Host) -> None:
    before = host.gateway
    host.write("second", budget_wait="soon", unpriced="maybe")
    with pytest.raises(SettingsError) as raised:
        host.reloader.reload()
    assert len(raised.value.problems) == 2
    assert host.gateway is before
    assert host.reloader.instance().problems == tuple(raised.value.problems)
    host.write("first")
    host.reloader.reload()
    assert host.reloader.instance().problems == ()


@pytest.mark.parametrize("text", ["", "# nothing but remarks\n", None])
def test_a_file_that_is_empty_or_gone_is_a_wrong_one(host: Host, text: str | None) -> None:
    file = host.directory / "config.yaml"
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError):
        host.reloader.reload()
    assert host.chat("first") == 200


def test_what_cannot_be_written_down_is_not_done(host: Host) -> None:
    def refuse(_change: Change) -> None:
        raise DatabaseUnavailable("down")

    host.write("second")
    with pytest.raises(DatabaseUnavailable):
        host.reloader.reload(told=refuse)
    assert host.chat("second") == 404


def test_the_largest_body_is_the_one_of_now(host: Host) -> None:
    host.write("first", max_request_size_mb=0.001)
    host.reloader.reload()
    headers = {"Authorization": f"Bearer {host.gateway.settings.master_key}"}
    answer = host.app.test_client().post("/v1/chat/completions", json={"x": "x" * 2000}, headers=headers)
    assert answer.status_code == 413


def test_a_call_that_runs_keeps_its_gateway(host: Host) -> None:
    headers = {"Authorization": f"Bearer {host.gateway.settings.master_key}"}
    body = HELLO | {"model": "first", "stream": True}
    stream = host.app.test_client().post("/v1/chat/completions", json=body, headers=headers)
    host.write("second")
    host.reloader.reload()
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert host.chat("first") == 404


def test_a_known_caller_goes_on_with_the_database_down_after_a_reload(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("mock-gpt-4o")
    host.reloader.reload()
    ada = Someone(host.app)
    assert ada.call().status_code == 200
    host.write("mock-gpt-4o", "second")
    host.reloader.reload()
    with host.app.app_context():
        monkeypatch.setattr("app.access.callers._read", _down)
        monkeypatch.setattr(StoredDeployments, "all", _down)
        assert ada.call().status_code == 200


def _down(*_: object) -> Any:
    raise DatabaseUnavailable("down")


def test_limits_of_the_gateway_count_for_callers_that_were_known_before(host: Host) -> None:
    host.write("mock-gpt-4o")
    host.reloader.reload()
    ada = Someone(host.app)
    assert ada.call().status_code == 200
    host.write("mock-gpt-4o", gateway_limits={"rpm_limit": 0})
    host.reloader.reload()
    assert ada.call().json["error"]["scope"] == "gateway"


def test_a_hangup_is_followed_without_redis(host: Host) -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    host.reloader.hear_hangups()
    host.write("second")
    signal.raise_signal(signal.SIGHUP)
    host.reloader.look()
    assert [one.model_name for one in host.gateway.settings.deployments] == ["second"]


def test_a_wrong_file_at_a_hangup_is_logged_line_by_line(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.reloader.hear_hangups()
    host.reloader.look()
    host.write("first", budget_wait="soon", unpriced="maybe")
    signal.raise_signal(signal.SIGHUP)
    host.reloader.look()
    assert [record.message.partition(", because of ")[0] for record in caplog.records] == [
        "SIGHUP: nothing is changed"
    ] * 2


def test_a_request_of_another_process_is_followed_once(host: Host) -> None:
    host.reloader.look()
    before = host.gateway
    host.write("second")
    host.reloader.look()
    assert host.gateway is before
    instances.request_all()
    host.reloader.look()
    assert host.chat("second") == 200
    host.write("third")
    host.reloader.look()
    assert host.chat("third") == 404


def test_a_redis_that_forgets_its_requests_makes_nobody_read(host: Host) -> None:
    instances.request_all()
    host.reloader.look()
    redis.client.flushall()
    host.write("second")
    host.reloader.look()
    assert host.chat("second") == 404
    instances.request_all()
    host.reloader.look()
    assert host.chat("second") == 200


def test_the_first_request_after_redis_has_forgotten_the_others_is_followed(host: Host) -> None:
    """The process was frozen meanwhile, or could not reach Redis, and has not seen that it is empty."""
    for _ in range(2):
        instances.request_all()
    host.reloader.look()
    redis.client.flushall()
    host.write("second")
    instances.request_all()
    host.reloader.look()
    assert host.chat("second") == 200


def test_a_request_that_came_while_the_process_started_is_not_missed(host: Host) -> None:
    instances.request_all()
    host.write("second")
    host.reloader.look()
    assert host.chat("second") == 200


def test_a_process_that_watches_is_listed_until_it_ends(host: Host) -> None:
    host.reloader.watch("web")
    until(lambda: [one.kind for one in instances.listed()] == ["web"])
    host.write("second")
    request = instances.request_all()
    until(lambda: [one.request for one in instances.listed()] == [request])
    assert instances.listed()[0].version == host.reloader.instance().version
    host.reloader.close()
    assert instances.listed() == []


def test_a_web_server_has_its_file_read_where_calls_do_not_wait_for_it(host: Host) -> None:
    readers: list[int] = []

    def aside(work: Callable[[], Loaded]) -> Loaded:
        readers.append(threading.get_ident())
        return work()

    host.reloader.watch("web", aside=aside)
    host.write("second")
    host.reloader.reload()
    assert host.chat("second") == 200
    assert threading.get_ident() in readers
