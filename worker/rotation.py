"""Keys with `auto_rotate` get their new secrets when these are due; webhooks tell them."""

from __future__ import annotations

import logging

from celery import shared_task
from flask import current_app

from app import webhooks
from app.access.rotation import due, rotate
from app.queue import ROTATION, WEBHOOKS, send
from worker.schedule import ROTATION_SECONDS, once

log = logging.getLogger(__name__)

AT_ONCE = 100
WARN_SECONDS = 3600


@shared_task(name=ROTATION, ignore_result=True)
def rotation() -> None:
    """One worker at a time; two would do no harm, because each key is looked at again under its lock."""
    if not once(ROTATION, ROTATION_SECONDS):
        return
    found = due(AT_ONCE)
    if found and not webhooks.wanted():
        if once("unheard", WARN_SECONDS):
            log.warning("keys wait for new secrets that nobody would get: general_settings.webhook_url is not set")
        return
    master_key = current_app.extensions["tollgate"].settings.master_key
    if sum(rotate(key_id, master_key) for key_id in found):
        send(WEBHOOKS)
