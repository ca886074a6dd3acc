"""Calls whose process died: their leases have ended, so they are booked from their holds."""

from __future__ import annotations

import logging

from celery import shared_task

from app.limits import admission
from app.queue import SETTLE, SWEEP, send

log = logging.getLogger(__name__)

AT_ONCE = 200


@shared_task(name=SWEEP, ignore_result=True)
def sweep() -> None:
    """Any number of workers may do this at once: each call is given up by one of them."""
    given_up = 0
    while found := admission.abandon(AT_ONCE):
        given_up += found
        if found < AT_ONCE:
            break
    if given_up:
        log.warning("%d calls of a dead process were booked from their holds", given_up)
        send(SETTLE)
