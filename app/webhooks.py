"""Webhooks on their way out: written in the transaction that makes them true, shown to admins, sent by the worker.

How they are signed and sent is in worker/webhooks.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from app.extensions import database_errors, db, insert_into
from app.models import Webhook, now

BUDGET_THRESHOLD = "budget_threshold"
SOFT_BUDGET = "soft_budget"
TEST = "test"

# Databases take only so many values in one query.
OCCASIONS_PER_QUERY = 500

STATES: dict[str, sa.ColumnElement[bool]] = {
    "pending": Webhook.next_attempt_at.is_not(None),
    "delivered": Webhook.delivered_at.is_not(None),
    "given_up": sa.and_(Webhook.next_attempt_at.is_(None), Webhook.delivered_at.is_(None)),
}


def wanted() -> bool:
    """Whether there is anybody to tell."""
    return current_app.extensions["tollgate"].settings.webhook_url is not None


def enqueue(session: Session, event: str, occasion: str, payload: dict[str, Any]) -> str | None:
    """Writes a message in the caller's transaction; once that is committed, `queue.send(WEBHOOKS)` hurries the worker.

    `payload` is what the message says beside its id, event and moment. Gives the message's id, or None where nothing
    was written: nobody is to be told, or this occasion was told before.
    """
    if not wanted():
        return None
    at = now()
    row = {
        "id": f"msg_{secrets.token_hex(12)}",
        "event": event,
        "occasion": occasion,
        "payload": payload,
        "attempts": 0,
        "next_attempt_at": at,
        "created_at": at,
    }
    written: str | None = session.scalar(
        insert_into(session.get_bind().dialect.name, Webhook)
        .values(row)
        .on_conflict_do_nothing(index_elements=["occasion"])
        .returning(Webhook.id)
    )
    return written


def told(session: Session, occasions: Sequence[str]) -> set[str]:
    """Those of the occasions that have their message."""
    found: set[str] = set()
    for first in range(0, len(occasions), OCCASIONS_PER_QUERY):
        some = occasions[first : first + OCCASIONS_PER_QUERY]
        found |= set(session.scalars(sa.select(Webhook.occasion).where(Webhook.occasion.in_(some))))
    return found


def message(row: Webhook) -> dict[str, Any]:
    """The whole message, as it is sent."""
    return {"id": row.id, "event": row.event, "created_at": iso(row.created_at)} | row.payload


def state(row: Webhook) -> str:
    """One of STATES."""
    if row.next_attempt_at is not None:
        return "pending"
    return "given_up" if row.delivered_at is None else "delivered"


def listed(*, page: int, size: int, event: str | None, state: str | None) -> tuple[Sequence[Webhook], int]:
    """One page of messages, newest first, and how many there are. Raises DatabaseUnavailable."""
    conditions: list[sa.ColumnElement[bool]] = [] if event is None else [Webhook.event == event]
    if state is not None:
        conditions.append(STATES[state])
    newest_first = (Webhook.created_at.desc(), Webhook.id)
    with database_errors():
        total = db.session.scalar(sa.select(sa.func.count()).select_from(Webhook).where(*conditions))
        found = db.session.scalars(
            sa.select(Webhook).where(*conditions).order_by(*newest_first).limit(size).offset((page - 1) * size)
        ).all()
        db.session.expunge_all()
        db.session.rollback()
    return found, total or 0


def delete_old(session: Session, before: datetime) -> int:
    """Deletes messages that were written before this moment and came to their end; gives how many.

    As long as a budget's window is open, its messages stay: they are what keeps the same from being told again. So the
    few of a budget without an end stay for good.
    """
    closed = Webhook.payload["resets_at"].as_string() < iso(before)
    over = sa.or_(Webhook.event.not_in((BUDGET_THRESHOLD, SOFT_BUDGET)), closed)
    gone = sa.delete(Webhook).where(Webhook.next_attempt_at.is_(None), Webhook.created_at < before, over)
    return session.connection().execute(gone).rowcount


def iso(moment: datetime) -> str:
    """A moment as messages write it: "2026-11-23T06:40:00.000Z"."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
