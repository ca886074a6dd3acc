"""Admission on a real Valkey, without SQL."""

from __future__ import annotations

import pytest
from hypothesis import settings

from app.extensions import redis
from app.limits import admission

# More and longer stories: pytest tests/limits/test_stateful.py --hypothesis-profile=long
LONG = "long"
settings.register_profile(LONG, max_examples=800, stateful_step_count=80, deadline=None)


@pytest.fixture
def limits(redis_url: str) -> None:
    """Binds the scripts to an empty Valkey that admits at once."""
    redis.init_app(redis_url)
    admission.warm_up(at_once=True)
