from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from app import create_app
from app.extensions import db, redis
from app.reload.process import Reloader


class Host:
    """A process of a host with a config.yaml of its own."""

    def __init__(self, app: Flask, directory: Path) -> None:
        self.app = app
        self.directory = directory
        self.reloader: Reloader = app.extensions["tollgate_reload"]

    @property
    def gateway(self) -> Any:
        return self.app.extensions["tollgate"]

    def write(self, *models: str, **general: Any) -> None:
        """A config.yaml with these models, which answer by themselves, and these general_settings."""
        (self.directory / "config.yaml").write_text(config(*models, **general))

    def chat(self, model: str) -> int:
        """The status of a call with the master key."""
        headers = {"Authorization": f"Bearer {self.gateway.settings.master_key}"}
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return self.app.test_client().post("/v1/chat/completions", json=body, headers=headers).status_code


def config(*models: str, **general: Any) -> str:
    mock = {"model": "openai/gpt-4o", "mock_response": "Hello from the file."}
    entries = [{"model_name": name, "litellm_params": mock, "model_info": {"id": name}} for name in models]
    return yaml.safe_dump({"model_list": entries, "general_settings": general})


@pytest.fixture
def host(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Runs with the model "first"."""
    (tmp_path / "config.yaml").write_text(config("first"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("TOLLGATE_CONFIG", str(tmp_path / "config.yaml"))
    app = create_app()
    yield Host(app, tmp_path)
    app.extensions["tollgate_reload"].close()
    app.extensions["tollgate"].close()
    redis.client.close()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
