"""POST /config/reload and GET /config/versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.extensions import redis
from app.reload import instances
from app.reload.instances import Instance
from tests.api.conftest import Ask, asking
from tests.reload.conftest import Host
from tests.reload.conftest import host as host  # noqa: PLC0414 - a fixture

OTHER = Instance("web-2", "elsewhere", 7, "web", "another", 1764034800.5, ("config.yaml: is empty",))


@pytest.fixture
def ask(host: Host) -> Ask:
    return asking(host.app.test_client())


@pytest.fixture
def master(host: Host) -> str:
    key: str = host.gateway.settings.master_key
    return key


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there who could follow."""
    monkeypatch.setattr("app.api.config.PATIENCE_SECONDS", 0.0)


def test_the_answer_says_the_version_and_whether_it_is_another(host: Host, admin: Ask) -> None:
    host.write("second")
    first, again = (admin("/config/reload", {}).json for _ in range(2))
    assert (first["changed"], again["changed"]) == (True, False)
    assert first["version"] == again["version"] == host.reloader.instance().version
    assert (first["instances"], first["following"], first["warnings"]) == (1, 1, [])


def test_a_body_is_not_needed(host: Host, master: str) -> None:
    answer = host.app.test_client().post("/config/reload", headers={"Authorization": f"Bearer {master}"})
    assert answer.status_code == 200


def test_warnings_of_the_file_are_told(host: Host, admin: Ask) -> None:
    host.write("first", disable_spend_logs=True)
    (warning,) = admin("/config/reload", {}).json["warnings"]
    assert warning.endswith("not supported yet and without effect: general_settings.disable_spend_logs")


def test_a_wrong_file_is_a_400_with_every_problem(host: Host, admin: Ask) -> None:
    host.write("first", budget_wait="soon", unpriced="maybe")
    answer = admin("/config/reload", {})
    assert (answer.status_code, answer.json["error"]["type"]) == (400, "invalid_request_error")
    paths = [problem.split(": ")[1] for problem in answer.json["error"]["problems"]]
    assert sorted(paths) == ["general_settings.budget_wait", "general_settings.unpriced"]
    assert all(problem in answer.json["error"]["message"] for problem in answer.json["error"]["problems"])


def test_a_wrong_file_here_asks_nobody_else(host: Host, admin: Ask) -> None:
    host.write("first", budget_wait="soon")
    admin("/config/reload", {})
    assert instances.latest_request() == 0


def test_others_that_do_not_have_the_version_do_not_follow(admin: Ask, host: Host) -> None:
    instances.announce(OTHER)
    instances.announce(replace(OTHER, id="web-3", version=host.reloader.instance().version))
    answer = admin("/config/reload", {}).json
    assert (answer["instances"], answer["following"]) == (3, 2)


def test_without_redis_this_process_alone_follows_and_says_so(host: Host, admin: Ask) -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    host.write("second")
    answer = admin("/config/reload", {}).json
    assert (answer["changed"], answer["instances"], answer["following"]) == (True, None, None)
    assert "no other instance was asked" in answer["warnings"][-1]


@pytest.mark.parametrize("role", ["internal_user", "proxy_admin_viewer"])
def test_who_may_not_change_anything_reloads_nothing(host: Host, admin: Ask, ask: Ask, role: str) -> None:
    key = admin("/user/new", {"user_id": "ada", "user_role": role}).json["key"]
    host.write("second")
    assert ask(key, "/config/reload", {}).status_code == 403
    assert host.chat("second") == 404


def test_a_reload_leaves_a_row_with_both_versions(host: Host, admin: Ask) -> None:
    before = host.reloader.instance().version
    host.write("second")
    after = admin("/config/reload", {}).json["version"]
    (row,) = admin("/audit", table_name="config").json["audit_logs"]
    assert (row["actor"], row["action"], row["object_id"]) == ("master", "updated", host.reloader.instance().host)
    assert (row["before_value"], row["updated_values"]) == ({"version": before}, {"version": after})


def test_a_refused_reload_leaves_no_row(host: Host, admin: Ask) -> None:
    host.write("first", budget_wait="soon")
    admin("/config/reload", {})
    assert admin("/audit", table_name="config").json["total"] == 0


def test_every_instance_is_shown_with_its_version_and_problems(admin: Ask) -> None:
    instances.announce(OTHER)
    (shown,) = admin("/config/versions").json["instances"]
    assert shown == {
        "id": "web-2",
        "host": "elsewhere",
        "pid": 7,
        "kind": "web",
        "version": "another",
        "loaded_at": "2025-11-25T01:40:00.500Z",
        "problems": ["config.yaml: is empty"],
    }


def test_without_redis_no_instance_can_be_shown(admin: Ask) -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    assert admin("/config/versions").status_code == 503
