"""Every limit that a team, a member, a customer or a template can have, once and changed."""

from __future__ import annotations

from typing import Any

LIMITS: dict[str, Any] = {
    "max_budget": 5.0,
    "soft_budget": 4.0,
    "strict": True,
    "budget_duration": "30d",
    "timezone": "Europe/Berlin",
    "week_start": "sunday",
    "rollover": True,
    "max_parallel_requests": 3,
    "queue_timeout": 1.5,
    "rpm_limit": 60,
    "tpm_limit": 1000,
    "alert_thresholds": [50, 80],
}
CHANGED: dict[str, Any] = {
    "max_budget": 0.0,
    "soft_budget": 0.5,
    "strict": False,
    "budget_duration": "1mo",
    "timezone": "UTC",
    "week_start": "monday",
    "rollover": False,
    "max_parallel_requests": 0,
    "queue_timeout": 0.0,
    "rpm_limit": 0,
    "tpm_limit": 0,
    "alert_thresholds": [],
}
# What each is after null.
CLEARED: dict[str, Any] = dict.fromkeys(LIMITS) | {"strict": False, "rollover": False}


def shown(answer: Any) -> dict[str, Any]:
    """The limits in an answer."""
    return {name: answer[name] for name in LIMITS}
