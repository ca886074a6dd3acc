"""How a call waits for a place at a deployment."""

from __future__ import annotations

from dataclasses import replace

from app.extensions import redis
from app.gateway.asked import Request, parse
from app.gateway.offers import offer
from app.gateway.places import Places
from app.limits import admission
from app.limits.meters import places_key
from app.router_settings import Router
from tests.gateway.running import a_call
from tests.services.settings import MOCK

FAR_AWAY_MS = 2**50


def test_who_waits_for_long_looks_less_and_less_often(redis_url: str) -> None:
    """Hundreds may wait for one deployment, and Redis has other things to do."""
    redis.init_app(redis_url)
    admission.warm_up(at_once=True)
    redis.client.zadd(places_key("a"), {"somebody": FAR_AWAY_MS})
    one = offer(replace(MOCK, id="a", max_parallel_requests=1))
    asked = parse(Request("chat/completions", b'{"model": "m", "messages": []}', {}))
    seats = Places(Router(), [one], asked, lease=30.0, wait=1.5)
    redis.client.config_resetstat()
    assert seats.take([one.deployment], a_call(), wait=True) is None
    looks = redis.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert 5 < looks < 20
