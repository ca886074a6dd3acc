"""What Redis still holds for calls in flight."""

from __future__ import annotations

import json

import redis


def leftovers(redis_url: str, user_id: str | None = None) -> dict[str, int]:
    """Every counter of calls in flight that is not 0, by its name; of one user's calls, or of all calls.

    {"tollgate:slots:user:ada": 1, "tollgate:budget:user:ada@0 held": 20000000, "running calls": 1}
    """
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        found: dict[str, int] = {}
        for name in [*client.scan_iter("tollgate:slots:*"), *client.scan_iter("tollgate:places:*")]:
            found[name] = client.zcard(name)
        for name in client.scan_iter("tollgate:holds:*"):
            found[name] = client.hlen(name)
        for name in client.scan_iter("tollgate:budget:*"):
            for field in ("held", "due"):
                found[f"{name} {field}"] = int(client.hget(name, field) or 0)
        if user_id is not None:
            found = {name: value for name, value in found.items() if f":user:{user_id}" in name}
        else:
            found["tollgate:calls"] = client.zcard("tollgate:calls")
            found["tollgate:events"] = client.xlen("tollgate:events")
            found["tollgate:events:unreadable"] = client.xlen("tollgate:events:unreadable")
        found["running calls"] = sum(
            user_id in (None, json.loads(template)["user_id"]) for template in client.hvals("tollgate:templates")
        )
    return {name: value for name, value in found.items() if value}
