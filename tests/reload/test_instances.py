from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import LimitsUnavailable
from app.extensions import redis
from app.reload import instances
from app.reload.instances import Instance

WEB = Instance("web-1", "host", 1, "web", "v1", 1.5, ("config.yaml: is empty",), 7)
WORKER = Instance("worker-1", "host", 2, "worker", "v1", 2.5)

pytestmark = [
    pytest.mark.usefixtures("gateway_app"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def test_who_announces_itself_is_listed_with_all_that_it_says() -> None:
    instances.announce(WORKER)
    instances.announce(WEB)
    assert instances.listed() == [WEB, WORKER]


def test_the_latest_word_counts() -> None:
    instances.announce(WEB)
    instances.announce(replace(WEB, problems=(), version="v2"))
    assert instances.listed() == [replace(WEB, problems=(), version="v2")]


def test_who_says_nothing_any_more_vanishes_and_leaves_nothing() -> None:
    instances.announce(WEB)
    assert 0 < redis.client.pttl(instances.record_key("web-1")) <= instances.RECORD_MS
    redis.client.pexpire(instances.record_key("web-1"), 0)
    assert instances.listed() == []
    assert redis.client.exists(instances.IDS) == 0


def test_who_was_only_late_is_listed_again() -> None:
    instances.announce(WEB)
    redis.client.delete(instances.record_key("web-1"))
    instances.listed()
    instances.announce(WEB)
    assert instances.listed() == [WEB]


def test_who_ends_is_gone_at_once() -> None:
    instances.announce(WEB)
    instances.forget("web-1")
    assert instances.listed() == []


def test_a_word_of_a_newer_release_is_understood() -> None:
    instances.announce(WEB)
    key = instances.record_key("web-1")
    record = redis.client.get(key)
    assert isinstance(record, bytes)
    redis.client.set(key, record.replace(b"{", b'{"mood":"fine",', 1))
    assert instances.listed() == [WEB]


def test_requests_are_numbered() -> None:
    assert instances.latest_request() == 0
    assert [instances.request_all(), instances.request_all(), instances.latest_request()] == [1, 2, 2]


def test_without_redis_nobody_is_heard() -> None:
    redis.init_app("redis://127.0.0.1:1/0")
    with pytest.raises(LimitsUnavailable):
        instances.listed()
    with pytest.raises(LimitsUnavailable):
        instances.announce(WEB)
