"""The books are compared by the clock; every difference is an error in the log."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import islice

from celery import shared_task

from app import books
from app.errors import Unavailable
from app.models import now
from app.queue import RECONCILE
from worker.schedule import RECONCILE_SECONDS, once

log = logging.getLogger(__name__)

# A worker may be the only one, and settling waits meanwhile.
MOST_SECONDS = 5.0
MOST_LINES = 100


@shared_task(name=RECONCILE, ignore_result=True)
def reconcile() -> None:
    """Today's and yesterday's rows, every balance, every budget in Redis. `flask reconcile` looks at all days."""
    if not once(RECONCILE, RECONCILE_SECONDS):
        return
    yesterday = now().date() - timedelta(days=1)
    try:
        for line in islice(books.differences(since=yesterday, seconds=MOST_SECONDS), MOST_LINES):
            log.error("the books differ: %s", line)
    except books.OutOfTime:
        log.warning("the books are too large to be compared in %d s; run: flask --app app reconcile", MOST_SECONDS)
    except Unavailable as error:
        log.warning("the books cannot be compared now: %s", error.message)
