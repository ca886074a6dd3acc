"""A pool, and a call over it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import pytest

from app.http import Answer, Connection, Pool, Waits

HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer sk-1"}
BODY = b'{"model": "m"}'
# Nothing in a test takes so long unless it hangs.
PATIENCE = 20.0


class Nobody:
    """A call that nobody breaks off."""

    def __init__(self) -> None:
        self.connection: Connection | None = None


@dataclass
class Got:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Post(Protocol):
    """post(url, idle=0.2): an answer whose head is there."""

    def __call__(self, url: str, *, body: bytes = ..., headers: Mapping[str, str] = ..., **waits: float) -> Answer: ...


class Fetch(Protocol):
    """fetch(url): an answer that was read to its end."""

    def __call__(self, url: str, *, body: bytes = ..., headers: Mapping[str, str] = ..., **waits: float) -> Got: ...


def waiting(
    connect: float = PATIENCE, first: float = PATIENCE, idle: float = PATIENCE, within: float = math.inf
) -> Waits:
    """`within` is for all of it, in seconds."""
    return Waits(connect, first, idle, time.monotonic() + within)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def post(pool: Pool) -> Iterator[Post]:
    made: list[Answer] = []

    def call(url: str, *, body: bytes = BODY, headers: Mapping[str, str] = HEADERS, **waits: float) -> Answer:
        made.append(pool.post(url, headers, body, waiting(**waits), Nobody()))
        return made[-1]

    yield call
    for answer in made:
        answer.close()


@pytest.fixture
def fetch(post: Post) -> Fetch:
    def call(url: str, *, body: bytes = BODY, headers: Mapping[str, str] = HEADERS, **waits: float) -> Got:
        answer = post(url, body=body, headers=headers, **waits)
        try:
            return Got(answer.status, answer.headers, b"".join(answer.chunks()))
        finally:
            answer.close()

    return call
