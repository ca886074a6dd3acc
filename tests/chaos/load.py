"""The load: people with keys, budgets and parallel limits, who call without end and write down what they are told."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import requests

from tests.chaos.models import FAILING, OUTPUT_TOKENS, SHAKY, STREAMED, WHOLE
from tests.chaos.people import Group, People, Person

LONGEST_ANSWER = 15.0
PAUSE = 0.1
# After an answer that is none a client waits a moment, though less than it is told to: the more calls meet a fault, the
# better.
PAUSE_AFTER_TROUBLE = 0.3
# How many calls in a hundred are left by their client before the answer is whole.
LEFT_PERCENT = 5
SPENT = {"429 budget_exceeded", "429 budget_too_small"}
OUR_REFUSALS = {*SPENT, "429 budget_held", "429 max_parallel_requests"}


@dataclass(frozen=True, slots=True)
class Told:
    """What one call was told: "200", "429 budget_exceeded", "503", "cut", "left" (by its client), "hang" and others.

    Times are seconds of the epoch; `name` stands in the call's body as its end user, so that it is found again in the
    ledger and at the provider.
    """

    name: str
    what: str
    url: str
    began: float
    ended: float


class Load:
    """A context: so many clients in threads, which call while it lasts."""

    def __init__(self, urls: list[str], people: People, clients: int, seed: int) -> None:
        """Three clients share a person, so that they meet each other at that person's limits."""
        self.told: list[Told] = []
        self.cut = threading.Event()
        self._urls = urls
        self._over = threading.Event()
        self._numbers = count(1)
        groups = [Group(people, kind) for kind in range(-(-clients // 3))]
        self._threads = [
            threading.Thread(target=self._call_on, args=(groups[number // 3], random.Random(f"{seed}-{number}")))
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call_on(self, group: Group, chance: random.Random) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._over.is_set():
                person = group.person(self._over)
                if person is None:
                    return
                what = self._call(session, person, chance)
                if what in SPENT:
                    group.has_spent(person)
                time.sleep(chance.uniform(0, PAUSE if what == "200" else PAUSE_AFTER_TROUBLE))

    def _call(self, session: requests.Session, person: Person, chance: random.Random) -> str:
        stream = chance.random() < 0.5
        model = chance.choice(sorted(STREAMED if stream else {*WHOLE, SHAKY, FAILING}))
        leaves = chance.randrange(100) < LEFT_PERCENT
        url, name = chance.choice(self._urls), f"call-{next(self._numbers)}"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Tell me something."}],
            "max_tokens": OUTPUT_TOKENS,
            "stream": stream,
            "user": name,
        }
        headers = {"Authorization": f"Bearer {chance.choice(person.keys)}"}
        began = time.time()
        try:
            answer = session.post(
                f"{url}/v1/chat/completions",
                json=body,
                headers=headers,
                timeout=(LONGEST_ANSWER, 0.03 if leaves and not stream else LONGEST_ANSWER),
                stream=stream,
            )
            with answer:
                what = self._read(answer, chance.randrange(1, 20) if leaves else None)
        except requests.Timeout:
            what = "left" if leaves else "hang"
        except requests.RequestException as error:
            # A silence between two words of a stream ends in a ConnectionError too.
            what = "left" if leaves and "timed out" in str(error) else "hang" if "timed out" in str(error) else "cut"
        ended = time.time()
        self.told.append(Told(name, "hang" if ended - began > LONGEST_ANSWER else what, url, began, ended))
        return what

    def _read(self, answer: requests.Response, lines: int | None) -> str:
        """Reads a stream to its end, or so many lines of it."""
        if answer.status_code != requests.codes.ok or "text/event-stream" not in answer.headers["Content-Type"]:
            return describe(answer)
        error = "ended without [DONE]"
        for number, line in enumerate(answer.iter_lines()):
            if number == lines or self.cut.is_set():
                return "left"
            if line == b"data: [DONE]":
                return "200"
            if line.startswith(b'data: {"error"'):
                error = f"error event {line[6:].decode()}"
        return error


def describe(answer: requests.Response) -> str:
    """Status and code; what is not as it should be is said behind it."""
    status = answer.status_code
    if status == requests.codes.ok:
        return "200" if answer.json()["usage"]["completion_tokens"] == OUTPUT_TOKENS else "200 with a wrong answer"
    if "application/json" not in answer.headers.get("Content-Type", ""):
        return f"{status} in a strange shape: {answer.text[:80]}"
    error: dict[str, Any] = answer.json()["error"]
    if status == requests.codes.unavailable:
        return "503" if "Retry-After" in answer.headers else "503 without Retry-After"
    return f"{status} {error['code']}"
