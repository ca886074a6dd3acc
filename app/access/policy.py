"""Policy versions: how an edit in one process acts on the very next request in every other.

A process keeps a caller's snapshot together with the policy version it read *before* it read the rows; admission
compares that version with Redis. An edit puts a marker in place of the version before it changes a row, and a new
version after its commit. A snapshot that was read while a marker stood fits nothing afterwards. Should the editing
process die in between, the marker expires and the next request makes a new version.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from redis.client import Pipeline
from redis.exceptions import RedisError

from app.errors import LimitsUnavailable
from app.extensions import redis

EDITING = "editing:"
# Longer than any edit's transaction can last; the database gives up on one after 30 s.
EDIT_MS = 60_000
VERSION_MS = 24 * 3600 * 1000


def policy_key(subject: str) -> str:
    """The Redis key of a subject's policy version."""
    return f"tollgate:policy:{subject}"


def versions(subjects: Sequence[str]) -> list[str]:
    """The policy version of each subject ("user:ada"), made where there was none. Raises LimitsUnavailable."""
    try:
        with redis.client.pipeline(transaction=False) as pipeline:
            for subject in subjects:
                pipeline.set(policy_key(subject), secrets.token_hex(8), nx=True, px=VERSION_MS)
                pipeline.get(policy_key(subject))
            answers = pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("The limits cannot be checked: Redis does not answer. Try again.") from error
    return [(answer or b"").decode() for answer in answers[1::2]]


def is_settled(version: str) -> bool:
    """False while somebody is editing: what is read now must not be kept."""
    return bool(version) and not version.startswith(EDITING)


@contextmanager
def editing(subjects: Iterable[str]) -> Iterator[None]:
    """Around every change of a key or a user: afterwards every process sees it on its next request.

    Raises LimitsUnavailable, before anything is changed, where Redis does not answer.
    """
    keys = sorted({policy_key(subject) for subject in subjects})
    marker = EDITING + secrets.token_hex(8)
    try:
        with redis.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.set(key, marker, px=EDIT_MS)
            pipeline.execute()
    except RedisError as error:
        raise LimitsUnavailable("Redis does not answer, so the change was not made. Try again.") from error
    try:
        yield
    finally:
        # Should this fail, the marker expires by itself, and until then nothing is kept in any process.
        with suppress(RedisError):
            for key in keys:
                _publish(key, marker)


def _publish(key: str, marker: str) -> None:
    """A new version, unless another edit of the same subject has begun meanwhile: that one will publish its own."""

    def replace(pipeline: Pipeline) -> None:
        current = pipeline.get(key)
        pipeline.multi()
        if current == marker.encode():
            pipeline.set(key, secrets.token_hex(8), px=VERSION_MS)

    redis.client.transaction(replace, key)
