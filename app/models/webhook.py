"""Webhooks that are to be sent: written in the transaction that makes them true, sent by the worker."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, OptionalMoment, now


class Webhook(db.Model):  # type: ignore[name-defined,misc]
    """One message. `occasion` is what it is about, and unique: the same occasion is told once.

    `next_attempt_at` is None once it was delivered or given up.
    """

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(64))
    occasion: Mapped[str] = mapped_column(sa.String(1200), unique=True)
    payload: Mapped[Document]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[OptionalMoment] = mapped_column(index=True)
    delivered_at: Mapped[OptionalMoment]
    last_error: Mapped[str | None] = mapped_column(sa.String(255))
    created_at: Mapped[Moment] = mapped_column(default=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
