"""The processes that run under a config.yaml, as Redis knows them, and the request that all of them read it again.

Each process writes its own record every few seconds; a record of one that is dead or frozen vanishes by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import orjson
from redis.exceptions import RedisError

from app.errors import LimitsUnavailable
from app.extensions import redis

REQUESTS = "tollgate:config:requests"
IDS = "tollgate:config:instances"
RECORD_MS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One process. `kind` is "web" (answers calls) or "worker" (runs tasks).

    `version` is that of the settings it runs under; at `loaded_at` (epoch seconds) config.yaml was found to say so.
    `problems` are what was wrong with the file when it was read since. `request` is the number of the request that was
    followed last.
    """

    id: str
    host: str
    pid: int
    kind: str
    version: str
    loaded_at: float
    problems: tuple[str, ...] = ()
    request: int = 0


def record_key(instance_id: str) -> str:
    """The Redis key of a process's record."""
    return f"tollgate:config:instance:{instance_id}"


def announce(instance: Instance) -> None:
    """Writes the record, which lasts for RECORD_MS. Raises LimitsUnavailable."""
    with _redis_errors(), redis.client.pipeline(transaction=False) as pipeline:
        pipeline.sadd(IDS, instance.id)
        pipeline.set(record_key(instance.id), orjson.dumps(instance), px=RECORD_MS)
        pipeline.execute()


def forget(instance_id: str) -> None:
    """The process ends. Raises LimitsUnavailable."""
    with _redis_errors(), redis.client.pipeline(transaction=False) as pipeline:
        pipeline.delete(record_key(instance_id))
        pipeline.srem(IDS, instance_id)
        pipeline.execute()


def listed() -> list[Instance]:
    """All processes that live, by kind and id. Raises LimitsUnavailable."""
    with _redis_errors():
        ids = sorted(one.decode() for one in cast("set[bytes]", redis.client.smembers(IDS)))
        records = cast("list[bytes | None]", redis.client.mget([record_key(one) for one in ids])) if ids else []
        if gone := [one for one, record in zip(ids, records, strict=True) if record is None]:
            # One that lives and was only late adds itself again with its next record.
            redis.client.srem(IDS, *gone)
    found = [_read(record) for record in records if record is not None]
    return sorted(found, key=lambda one: (one.kind, one.id))


def latest_request() -> int:
    """The number of the latest request to read config.yaml again; 0: there was none. Raises LimitsUnavailable."""
    with _redis_errors():
        return int(redis.client.get(REQUESTS) or 0)


def request_all() -> int:
    """Asks all processes to read their config.yaml again; gives the request's number. Raises LimitsUnavailable."""
    with _redis_errors():
        return int(redis.client.incr(REQUESTS))


def _read(record: bytes) -> Instance:
    """Processes of a newer release may say more."""
    names = {field.name for field in dataclasses.fields(Instance)}
    values = {name: value for name, value in orjson.loads(record).items() if name in names}
    return Instance(**values | {"problems": tuple(values.get("problems", ()))})


@contextmanager
def _redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer, so other instances are not heard. Try again.") from error
