"""A key gets a new secret while it is in use."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from app.models import VirtualKey, now
from tests.journeys.conftest import HTTP, Person, config_for, user_of
from tests.journeys.test_secrets import everything_in_redis, everything_in_sql
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack
from tests.webhook_receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@contextmanager
def calling(*people: Person) -> Iterator[Counter[int]]:
    """People who call without a pause, and what they are told."""
    told: Counter[int] = Counter()
    done = threading.Event()

    def call(person: Person) -> None:
        while not done.is_set():
            told[person.chat("beta").status_code] += 1

    threads = [threading.Thread(target=call, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        done.set()
        for thread in threads:
            thread.join()


def regenerated(admin: Person, secret: str, **fields: Any) -> Person:
    answer = admin.post("/key/regenerate", {"key": secret} | fields)
    assert answer.status_code == 200, answer.text
    return Person(answer.json()["key"], admin.url)


@pytest.mark.usefixtures("provider")
def test_with_grace_nobody_who_calls_meanwhile_is_refused(
    stack: Stack, admin: Person, person: Callable[..., Person]
) -> None:
    old = person()
    with calling(*(old.at(url) for url in stack.urls)) as told:
        for _ in range(5):
            new = regenerated(admin, old.secret, grace_period="1h")
            calls = told.total()
            until(lambda so_far=calls: told.total() >= so_far + 10, 20)  # type: ignore[misc]
    assert set(told) == {200}
    assert [new.at(url).chat("beta").status_code for url in stack.urls] == [200, 200]


@pytest.mark.usefixtures("provider")
def test_without_grace_the_old_secret_is_refused_everywhere_on_its_next_call(
    stack: Stack, admin: Person, person: Callable[..., Person]
) -> None:
    old = person()
    other = old.at(stack.urls[1])
    assert [caller.chat("beta").status_code for caller in (old, other)] == [200, 200]
    new = regenerated(admin, old.secret)
    assert [caller.chat("beta").status_code for caller in (other, old)] == [401, 401]
    assert [new.at(url).chat("beta").status_code for url in stack.urls] == [200, 200]


@pytest.mark.usefixtures("provider")
def test_a_grace_ends_everywhere_by_itself(stack: Stack, admin: Person, person: Callable[..., Person]) -> None:
    old = person()
    new = regenerated(admin, old.secret, grace_period="2s")
    for url in stack.urls:
        until(lambda at=url: old.at(at).chat("beta").status_code == 401, 10)  # type: ignore[misc]
    assert [new.at(url).chat("beta").status_code for url in stack.urls] == [200, 200]


@pytest.mark.usefixtures("provider")
def test_limits_and_spend_stay_with_the_key(stack: Stack, admin: Person, ada: str) -> None:
    admin.post("/user/new", {"user_id": ada, "auto_create_key": False})
    made = admin.post("/key/generate", {"user_id": ada, "max_budget": 0.2}).json()
    assert Person(made["key"], stack.urls[0]).chat("dime", max_tokens=100).status_code == 200
    new = regenerated(admin, made["key"])
    assert new.at(stack.urls[1]).chat("dime", max_tokens=100).status_code == 200
    assert new.chat("dime", max_tokens=100).json()["error"]["scope"] == f"key:{made['key_id']}"
    until(lambda: admin.get("/key/info", key=new.secret).json()["info"]["total_spend"] == 0.2)


def never_read(url: str, path: str, master_key: str, idempotency: str, body: dict[str, Any]) -> socket.socket:
    """A request whose answer nobody reads."""
    address, text = urlsplit(url), json.dumps(body)
    headers = {
        "Host": address.netloc,
        "Authorization": f"Bearer {master_key}",
        "Idempotency-Key": idempotency,
        "Content-Length": str(len(text)),
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + text).encode())
    return connection


def test_an_answer_that_is_lost_with_its_process_is_asked_for_again(own_stack: Stack) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    other = admin.at(own_stack.urls[1])
    old = user_of(own_stack, admin, user_id="ada")

    def rotations() -> int:
        (key,) = other.get("/key/list", user_id="ada", return_full_object="true").json()["keys"]
        return int(key["rotation_count"])

    body = {"key": old.secret}
    with never_read(own_stack.urls[0], "/key/regenerate", own_stack.master_key, "once", body):
        until(lambda: rotations() == 1)
        own_stack.kill(0)
    repeat = {"Authorization": f"Bearer {own_stack.master_key}", "Idempotency-Key": "once"}
    answers = [_post(other, "/key/regenerate", body, repeat) for _ in range(2)]
    assert answers[0]["key"] == answers[1]["key"]
    assert rotations() == 1
    assert Person(answers[0]["key"], other.url).chat("beta").status_code == 200
    assert old.at(other.url).chat("beta").status_code == 401


def _post(admin: Person, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    answer = HTTP.post(admin.url + path, json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def make_due(database_url: str) -> None:
    """The schedule would take a minute at least."""
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.update(VirtualKey.__table__).values(rotate_at=now()))
    engine.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_schedule_tells_its_receiver_alone(
    database_url: str, redis_url: str, provider: ScriptedProvider, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_API_BASE", provider.url)
    monkeypatch.setenv("AZURE_API_KEY", "azure-secret-0123456789")
    general = {"webhook_url": receiver.url, "webhook_secret": SECRET}
    with Stack(database_url, redis_url, config_for(provider) | {"general_settings": general}, workers=2) as stack:
        admin = Person(stack.master_key, stack.urls[0])
        rotation = {"auto_rotate": True, "rotation_interval": "30d"}
        old = Person(admin.post("/key/generate", rotation).json()["key"], stack.urls[0])
        make_due(database_url)
        with calling(old, old.at(stack.urls[1])) as told:
            until(lambda: len(receiver.received) == 1, 60)
        new = Person(receiver.received[0].body["key"], stack.urls[0])
        assert set(told) == {200}
        assert [one.chat("beta").status_code for one in (new, new.at(stack.urls[1]), old)] == [200, 200, 200]
        places = {
            "logs": "".join(path.read_text() for path in Path(stack.directory).glob("*.log")),
            "Redis": everything_in_redis(redis_url).decode("latin-1"),
            "SQL": everything_in_sql(database_url),
            "/webhooks": admin.get("/webhooks").text,
        }
        assert [place for place, text in places.items() if new.secret in text] == []
