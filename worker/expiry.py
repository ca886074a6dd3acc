"""Keys that expired long ago and secrets that have ended are deleted, a few at a time, for as long as there are any."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from celery import shared_task
from flask import current_app

from app.access.expiry import delete_former_secrets, delete_keys
from app.models import now
from app.queue import EXPIRY
from worker.schedule import EXPIRY_SECONDS, once

log = logging.getLogger(__name__)

AT_ONCE = 100
# A worker may be the only one, and settling waits meanwhile.
MOST_SECONDS = 2.0
# For so long after its end a former secret still names its key for whoever did not get the answer with the new one, and
# the idempotency key by which it was made is remembered.
KEEP_FORMER = timedelta(days=1)


@shared_task(name=EXPIRY, ignore_result=True)
def expiry() -> None:
    """One worker at a time; what it does not manage is left to the next tick."""
    if not once(EXPIRY, EXPIRY_SECONDS):
        return
    _delete_all(delete_former_secrets, now() - KEEP_FORMER)
    keep = current_app.extensions["tollgate"].settings.expired_keys_retention
    if keep is not None and (gone := _delete_all(delete_keys, now() - timedelta(seconds=keep))):
        log.info("%d keys that had expired long ago were deleted", gone)


def _delete_all(delete: Callable[[datetime, int], int], before: datetime) -> int:
    end, deleted = time.monotonic() + MOST_SECONDS, 0
    while time.monotonic() < end:
        gone = delete(before, AT_ONCE)
        deleted += gone
        if gone < AT_ONCE:
            break
    return deleted
