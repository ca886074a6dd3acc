"""The people of the load. Who has spent a budget is followed by somebody new, so that there is always one to break."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import requests

# Dollars; a call costs about ten cents. `key` holds what each key of the user has.
KINDS: tuple[dict[str, Any], ...] = (
    {"max_budget": 2},
    {"max_parallel_requests": 3},
    {"max_budget": 2, "strict": True},
    {"max_budget": 3, "max_parallel_requests": 2},
    {"key": {"max_budget": 1.5, "strict": True}},
    {"max_budget": 0.5, "budget_duration": "5s"},
    {"max_budget": 3, "key": {"max_parallel_requests": 1}},
    {"key": {"max_budget": 1.5}},
    {},
)
NANO = 10**9
# Seconds.
PATIENCE = 15


@dataclass(frozen=True)
class Person:
    """A user with keys. `limits` are the user's, `key_limits` those of each key."""

    user_id: str
    keys: tuple[str, ...]
    limits: dict[str, Any]
    key_limits: dict[str, Any]


class People:
    """Makes people, through whichever web process answers. `troubles` are answers that an admin must never see."""

    def __init__(self, urls: list[str], master_key: str) -> None:
        self.made: list[Person] = []
        self.troubles: list[str] = []
        self._urls = urls
        self._numbers = count(1)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {master_key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def new(self, kind: int, over: threading.Event) -> Person | None:
        """Somebody new of that kind, or None when it is over."""
        limits = dict(KINDS[kind % len(KINDS)])
        key_limits = limits.pop("key", {})
        user_id = f"user-{next(self._numbers)}"
        # Whether a request that was cut has done its work is not known, so a name is asked for until it is there.
        if not self._insist("/user/new", {"user_id": user_id, "auto_create_key": False} | limits, over):
            return None
        keys = [self._insist("/key/generate", {"user_id": user_id} | key_limits, over) for _ in range(2)]
        secrets = tuple(key["key"] for key in keys if key)
        if not secrets:
            return None
        self.made.append(person := Person(user_id, secrets, limits, key_limits))
        return person

    def shown(self) -> list[tuple[str, int]]:
        """What /user/info shows of users and keys, and /key/info of each user's first key: (meter, nano-dollars)."""
        found = []
        for person in self.made:
            info = self._get("/user/info", user_id=person.user_id)
            keys = [*info["keys"], self._get("/key/info", key=person.keys[0])["info"]]
            found += [(f"user:{person.user_id}", info["user_info"]["total_spend"])]
            found += [(f"key:{key['key_id']}", key["total_spend"]) for key in keys]
        return [(meter, round(spend * NANO)) for meter, spend in found]

    def _get(self, path: str, **query: str) -> Any:
        answer = self._session.get(self._urls[0] + path, params=query, timeout=PATIENCE)
        assert answer.ok, answer.text
        return answer.json()

    def _insist(self, path: str, body: dict[str, Any], over: threading.Event) -> dict[str, Any] | None:
        """Asks until it is done, or over."""
        for url in itertools.cycle(self._urls):
            if over.is_set():
                return None
            try:
                answer = self._session.post(url + path, json=body, timeout=PATIENCE)
            except requests.Timeout:
                self.troubles.append(f"{path}: no answer in {PATIENCE} s")
            except requests.ConnectionError:
                # It was killed; whether it has done its work before is not known.
                time.sleep(0.2)
            else:
                if answer.status_code in {requests.codes.ok, requests.codes.conflict}:
                    return dict(answer.json())
                if answer.status_code != requests.codes.unavailable:
                    self.troubles.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                time.sleep(0.2)
        return None


class Group:
    """Clients who share a person, and get another one when that one has spent the budget."""

    def __init__(self, people: People, kind: int) -> None:
        self._people = people
        self._kind = kind
        self._lock = threading.Lock()
        self._person: Person | None = None

    def person(self, over: threading.Event) -> Person | None:
        with self._lock:
            if self._person is None:
                self._person = self._people.new(self._kind, over)
            return self._person

    def has_spent(self, person: Person) -> None:
        with self._lock:
            if self._person is person and "budget_duration" not in person.limits:
                self._person = None
