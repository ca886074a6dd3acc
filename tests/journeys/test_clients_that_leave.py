"""A client that closes its connection: the provider is let go, the slot is free, and what was sent is booked."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.chaos.counters import leftovers
from tests.journeys.conftest import Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack

# A row is promised within five seconds, a closed socket within one; a busy machine gets several times as long.
ROW_SECONDS = 15
SOCKET_SECONDS = 5
WORDS_READ = 5


@dataclass
class Story:
    """One user with one slot, whose client leaves."""

    user_id: str
    caller: Person
    admin: Person
    redis_url: str
    provider: ScriptedProvider

    @contextmanager
    def connection(self, **fields: Any) -> Iterator[socket.socket]:
        """A connection of its own on which the call has been sent, as soon as the provider has it."""
        body = orjson.dumps({"model": "scripted", "messages": [{"role": "user", "content": "hi"}]} | fields)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {self.caller.secret}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        url = urlsplit(self.caller.url)
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: len(self.provider.calls) == 1)
            yield connection

    def row(self) -> dict[str, Any]:
        """The one row of the call, in time."""
        path = ("/spend/logs", {"user_id": self.user_id})
        until(lambda: bool(self.admin.get(path[0], **path[1]).json()), seconds=ROW_SECONDS)
        (row,) = self.admin.get(path[0], **path[1]).json()
        return dict(row)

    def provider_was_left(self) -> None:
        until(lambda: self.provider.calls[0].left, seconds=SOCKET_SECONDS)

    def slot_is_free(self) -> None:
        """For the next call, and in Redis."""
        until(lambda: self.caller.chat("scripted", max_tokens=20).status_code == 200, seconds=SOCKET_SECONDS)
        until(lambda: not leftovers(self.redis_url, self.user_id))


@pytest.fixture
def story(stack: Stack, admin: Person, person: Callable[..., Person], provider: ScriptedProvider, ada: str) -> Story:
    caller = person(user_id=ada, max_budget=5, max_parallel_requests=1)
    return Story(ada, caller, admin, stack._environ["REDIS_URL"], provider)


def read_words(connection: socket.socket) -> int:
    """Reads so many words of a stream; gives how many characters of text it has seen."""
    seen = b""
    while seen.count(b'"content":"word') < WORDS_READ:
        seen += connection.recv(65536)
    lines = [line[6:] for line in seen.splitlines() if line.startswith(b"data: {") and line.endswith(b"}")]
    return sum(len(orjson.loads(line)["choices"][0]["delta"].get("content") or "") for line in lines)


def close_mid_stream(story: Story) -> int:
    story.provider.script.append({"text": " ".join(["word"] * 200), "gap": 0.05})
    with story.connection(stream=True, max_tokens=1000) as connection:
        return read_words(connection)


def test_what_was_sent_before_the_client_closed_a_stream_is_booked(story: Story) -> None:
    sent = close_mid_stream(story)
    row = story.row()
    assert (row["status"], row["usage_source"]) == ("cancelled", "counted")
    assert row["completion_tokens"] >= sent / 4
    assert row["spend"] > 0


def test_a_provider_is_let_go_when_the_client_closes_a_stream(story: Story) -> None:
    close_mid_stream(story)
    story.provider_was_left()


def test_the_slot_is_free_when_the_client_has_closed_a_stream(story: Story) -> None:
    close_mid_stream(story)
    story.slot_is_free()


def close_before_the_first_byte(story: Story, *, stream: bool) -> None:
    story.provider.script.append({"delay": 20})
    with story.connection(stream=stream, max_tokens=100):
        pass


@pytest.mark.parametrize("stream", [True, False])
def test_a_provider_is_let_go_when_the_client_leaves_before_the_first_byte(story: Story, *, stream: bool) -> None:
    close_before_the_first_byte(story, stream=stream)
    story.provider_was_left()


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_that_was_left_before_the_first_byte_has_a_row(story: Story, *, stream: bool) -> None:
    close_before_the_first_byte(story, stream=stream)
    assert story.row()["status"] == "cancelled"


@pytest.mark.parametrize("stream", [True, False])
def test_the_slot_is_free_when_the_client_has_left_before_the_first_byte(story: Story, *, stream: bool) -> None:
    close_before_the_first_byte(story, stream=stream)
    story.slot_is_free()


def test_a_provider_is_let_go_when_the_client_leaves_between_two_words(story: Story) -> None:
    """The provider thinks for long in the middle of its answer, so there is nothing to write that could fail."""
    story.provider.script.append({"hang_after": 3})
    with story.connection(stream=True, max_tokens=100) as connection:
        connection.recv(65536)
    story.provider_was_left()
    assert story.row()["status"] == "cancelled"
