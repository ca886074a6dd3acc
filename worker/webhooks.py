"""Webhooks are sent, again and again until their receiver takes them: at least once each, in no promised order.

The form is that of Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md):
`webhook-id` is the same in every attempt, `webhook-timestamp` is that of the attempt, in seconds, and
`webhook-signature` is "v1," and the base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import certifi
import orjson
import sqlalchemy as sa
import urllib3
from celery import shared_task
from flask import Flask, current_app
from redis.exceptions import LockError, RedisError
from sqlalchemy.orm import Session
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from app import webhooks as outbox
from app.access import rotation
from app.errors import Unavailable
from app.extensions import write_transaction
from app.models import Webhook, now
from app.queue import WEBHOOKS
from app.settings import Settings
from worker.schedule import once, only_one

log = logging.getLogger(__name__)

AT_ONCE = 8
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
# Longer than an attempt takes: after this time a message whose sender died is sent again.
CLAIM_SECONDS = 60
# When a worker is killed, another sends after this time. Two at once would do no harm: they claim different messages.
LOCK_SECONDS = 15
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 3600.0
# Pauses differ by up to this share, so that many messages do not come back all at once.
JITTER = 0.1
GIVE_UP_AFTER = timedelta(hours=24)
KEEP = timedelta(days=30)
CLEAN, CLEAN_SECONDS = "tollgate.webhooks.clean", 3600


@dataclass(frozen=True, slots=True)
class Message:
    """A webhook on its way. `attempts` counts the one that is being made."""

    id: str
    event: str
    body: bytes
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: `error` is None where the receiver took it, `pause` is what the receiver asked for."""

    message: Message
    error: str | None
    pause: float = 0.0


class Sender:
    """A thread of the worker's own process that sends what is due.

    Receivers may be slow or dead, and a worker may be the only one: its tasks, settling above all, wait for none of it.
    """

    def __init__(self) -> None:
        """The thread starts with the first task, after any fork."""
        self._thread: threading.Thread | None = None

    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, app: Flask) -> None:
        """Returns at once; a thread that runs already goes on alone."""
        if not self.is_running():
            self._thread = threading.Thread(target=self._run, args=(app,), name="webhooks", daemon=True)
            self._thread.start()

    @staticmethod
    def _run(app: Flask) -> None:
        with app.app_context():
            try:
                deliver()
            except (Unavailable, RedisError) as error:
                log.warning("webhooks cannot be sent now: %s", error)


sender = Sender()


@shared_task(name=WEBHOOKS, ignore_result=True)
def webhooks() -> None:
    """Sends what is due, and deletes what is old. Comes by the clock, and whenever there is something new."""
    if not outbox.wanted():
        return
    if once(CLEAN, CLEAN_SECONDS):
        with write_transaction() as session:
            outbox.delete_old(session, now() - KEEP)
    sender.start(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def deliver() -> None:
    """Sends until nothing is due. One worker at a time, so no more than AT_ONCE connections to the receiver."""
    settings = current_app.extensions["tollgate"].settings
    with only_one("webhooks", LOCK_SECONDS) as lock, connections() as pool, ThreadPoolExecutor(AT_ONCE) as threads:
        send = partial(attempt, pool, settings)
        while lock is not None and (messages := claim()):
            record(list(threads.map(send, messages)))
            try:
                lock.reacquire()
            except LockError:
                return


def claim() -> list[Message]:
    """The oldest messages that are due, as many as are sent at once. Nobody else gets them for CLAIM_SECONDS."""
    at = now()
    due = sa.select(Webhook).where(Webhook.next_attempt_at <= at).order_by(Webhook.created_at, Webhook.id)
    with write_transaction() as session:
        messages = []
        for row in session.scalars(due.limit(AT_ONCE).with_for_update(skip_locked=True)):
            row.attempts += 1
            row.next_attempt_at = at + timedelta(seconds=CLAIM_SECONDS)
            body = orjson.dumps(outbox.message(row) | secrets_of(session, row))
            messages.append(Message(row.id, row.event, body, row.attempts, row.created_at))
    return messages


def secrets_of(session: Session, row: Webhook) -> dict[str, Any]:
    """What a message says beside what is stored: no secret ever is."""
    if row.event != rotation.KEY_ROTATED:
        return {}
    master_key = current_app.extensions["tollgate"].settings.master_key
    return {"key": rotation.secret_to_tell(session, row.payload, master_key)}


def attempt(pool: urllib3.PoolManager, settings: Settings, message: Message) -> Outcome:
    """One POST. The answer's body is nobody's business and is not read."""
    headers = {"Content-Type": "application/json", "User-Agent": "Tollgate"}
    headers |= signed(settings.webhook_key, message.id, int(time.time()), message.body)
    try:
        response = pool.urlopen(
            "POST", str(settings.webhook_url), body=message.body, headers=headers, redirect=False, preload_content=False
        )
    except (HTTPError, OSError) as error:
        return Outcome(message, _reason(error))
    status, pause = response.status, _retry_after(response)
    response.close()
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(message, None)
    redirected = ", and redirects are not followed" if response.get_redirect_location() else ""
    return Outcome(message, f"the receiver answered {status}{redirected}", pause)


def signed(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def connections() -> urllib3.PoolManager:
    """Connections to the receiver: certificates checked, no proxies from the environment, no retries of its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    return urllib3.PoolManager(maxsize=AT_ONCE, retries=False, timeout=timeout, ssl_context=context)


def record(outcomes: Sequence[Outcome]) -> None:
    """Writes down what came of the attempts: delivered, to be tried again, or given up."""
    at = now()
    with write_transaction() as session:
        for outcome in outcomes:
            message, columns = outcome.message, _columns(outcome, at)
            session.execute(sa.update(Webhook).where(Webhook.id == message.id).values(columns))
    for outcome in outcomes:
        if outcome.error is not None and _is_over(outcome.message, at):
            log.error(
                "the webhook %s (%s) is given up after %d attempts: %s",
                *(outcome.message.id, outcome.message.event, outcome.message.attempts, outcome.error),
            )


def _columns(outcome: Outcome, at: datetime) -> dict[str, Any]:
    if outcome.error is None:
        return {"delivered_at": at, "next_attempt_at": None, "last_error": None}
    again = None if _is_over(outcome.message, at) else at + timedelta(seconds=_pause(outcome))
    return {"next_attempt_at": again, "last_error": outcome.error}


def _is_over(message: Message, at: datetime) -> bool:
    return at - message.created_at >= GIVE_UP_AFTER


def _pause(outcome: Outcome) -> float:
    """Seconds to the next attempt: twice as long each time, and no shorter than the receiver has asked for."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(outcome.message.attempts - 1, 32)
    chosen = min(LONGEST_PAUSE_SECONDS, max(doubled, outcome.pause))
    return chosen * secrets.SystemRandom().uniform(1, 1 + JITTER)


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    try:
        return urllib3.Retry().get_retry_after(response) or 0.0
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def _reason(error: Exception) -> str:
    """Why there was no answer, without the address: that often has a secret in it."""
    match error:
        case ConnectTimeoutError() | NewConnectionError():
            return "the receiver cannot be reached"
        case ReadTimeoutError():
            return f"the receiver did not answer within {READ_SECONDS:.0f} seconds"
        case SSLError():
            return "no secure connection to the receiver"
        case _:
            return "the connection to the receiver broke"
