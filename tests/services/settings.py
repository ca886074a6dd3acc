"""Settings for tests: a master key, a mock model with real prices, and whatever a test changes."""

from __future__ import annotations

from typing import Any

from app.model_list import Deployment
from app.settings import Settings

MOCK = Deployment(
    id="mock-gpt-4o", model_name="mock-gpt-4o", provider="mock", model="gpt-4o", mock_response="Hello from the mock."
)


def settings_for(database_url: str, redis_url: str, **overrides: Any) -> Settings:
    """Any field of Settings by name."""
    chosen = {"master_key": "sk-master-for-tests", "deployments": (MOCK,)}
    return Settings(**{**chosen, "database_url": database_url, "redis_url": redis_url, **overrides})
