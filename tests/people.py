"""Someone with a key, through the routes of an application in this process."""

from __future__ import annotations

from typing import Any

from flask import Flask

HELLO = {"model": "mock-gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


class Someone:
    """A user with one key. `limits` are fields of /user/new."""

    def __init__(self, app: Flask, user_id: str = "ada", **limits: Any) -> None:
        self.client: Any = app.test_client()
        self.user_id = user_id
        master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
        made: Any = self.client.post("/user/new", json={"user_id": user_id} | limits, headers=master)
        assert made.status_code == 200, made.text
        self.secret: str = made.json["key"]
        self.key_id: str = made.json["key_id"]

    def call(self) -> Any:
        return self.client.post("/v1/chat/completions", json=HELLO, headers=self._headers())

    def begin(self) -> Any:
        """A stream of which nothing has been read yet: the call runs until the answer is closed."""
        answer = self.client.post("/v1/chat/completions", json=HELLO | {"stream": True}, headers=self._headers())
        assert answer.status_code == 200
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}
