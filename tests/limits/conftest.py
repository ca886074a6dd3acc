"""Admission on a real Valkey, without SQL."""

from __future__ import annotations

import pytest

from app.extensions import redis


@pytest.fixture
def limits(redis_url: str) -> None:
    """Binds the scripts to an empty Valkey."""
    redis.init_app(redis_url)
