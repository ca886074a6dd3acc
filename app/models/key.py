"""Virtual keys: what callers hold. Only the hash of a key is stored."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, Names, OptionalMoment, OptionalNano, now


class VirtualKey(db.Model):  # type: ignore[name-defined,misc]
    """A virtual key. `id` stays for its whole life; `token` is the SHA-256 of the secret, in hex.

    `blocked` is a block by hand. `revoked_reason` is set by the worker ("budget_exceeded") and taken back by it or by a
    raised budget; the two never touch each other. `revoked_until` is the end of the budget's window (None: no end), at
    which the revocation ends by itself.
    """

    __tablename__ = "virtual_key"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    token: Mapped[str] = mapped_column(sa.String(64), unique=True)
    key_name: Mapped[str] = mapped_column(sa.String(32))
    key_alias: Mapped[str | None] = mapped_column(sa.String(255), unique=True)
    user_id: Mapped[str | None] = mapped_column(
        sa.String(255), sa.ForeignKey("app_user.user_id", ondelete="CASCADE"), index=True
    )
    models: Mapped[Names] = mapped_column(default=list)
    max_budget: Mapped[OptionalNano]
    strict: Mapped[bool] = mapped_column(default=False)
    budget_duration: Mapped[str | None] = mapped_column(sa.String(32))
    max_parallel_requests: Mapped[int | None]
    rpm_limit: Mapped[int | None]
    tpm_limit: Mapped[int | None]
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    expires: Mapped[OptionalMoment]
    blocked: Mapped[bool] = mapped_column(default=False)
    revoked_reason: Mapped[str | None] = mapped_column(sa.String(32))
    revoked_at: Mapped[OptionalMoment]
    revoked_until: Mapped[OptionalMoment]
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
