"""Calls that run, for tests of what becomes of them."""

from __future__ import annotations

from app.gateway.running import Running
from app.ledger.event import CallEvent
from app.limits.meters import Tokens


def an_event(request_id: str) -> CallEvent:
    """Nobody's call, without limits."""
    return CallEvent(
        request_id=request_id,
        key_id="k",
        token="0" * 64,
        user_id="ada",
        end_user=None,
        route="chat/completions",
        model_name="m",
        stream=False,
        started_ms=1,
        hold=0,
        meters=[],
    )


def a_call(request_id: str = "req_1") -> Running:
    """It runs, and nobody looks after it."""
    return Running(an_event(request_id), (), Tokens(), None)
