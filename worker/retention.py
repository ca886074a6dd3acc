"""Old ledger rows are deleted, a few at a time, for as long as there are any."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from flask import current_app

from app.ledger.retention import MOST_COUNTED, trim
from app.models import now
from app.queue import RETENTION
from worker.schedule import RETENTION_SECONDS, once

log = logging.getLogger(__name__)

# A worker may be the only one, and settling waits meanwhile. Every minute a bit is enough for 70 million rows a day.
MOST_ROWS = 50_000
MOST_SECONDS = 2.0


@shared_task(name=RETENTION, ignore_result=True)
def retention() -> None:
    """One worker at a time; what it does not manage is left to the next tick."""
    keep = current_app.extensions["tollgate"].settings.ledger_retention
    if keep is None or not once(RETENTION, RETENTION_SECONDS):
        return
    done = trim(now() - timedelta(seconds=keep), most_rows=MOST_ROWS, most_seconds=MOST_SECONDS)
    if done.left:
        more = " or more" if done.left == MOST_COUNTED else ""
        log.warning("retention: %d ledger rows deleted, %d%s are still to go", done.deleted, done.left, more)
    elif done.deleted:
        log.info("retention: %d ledger rows deleted, none is left to go", done.deleted)
