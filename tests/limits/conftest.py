"""Admission on a real Valkey, without SQL."""

from __future__ import annotations

import pytest

from app.extensions import redis
from app.limits import admission


@pytest.fixture
def limits(redis_url: str) -> None:
    """Binds the scripts to an empty Valkey that admits at once."""
    redis.init_app(redis_url)
    admission.warm_up(at_once=True)
