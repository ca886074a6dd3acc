"""Virtual keys: what callers hold. Only the hash of a key is stored."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, Names, OptionalMoment, now
from app.models.limits import TemplatedColumns


class VirtualKey(TemplatedColumns, db.Model):  # type: ignore[name-defined,misc]
    """A virtual key. `id` stays for its whole life; `token` is the SHA-256 of the secret, in hex.

    `blocked` is a block by hand. `revoked_reason` is set by the worker ("budget_exceeded") and taken back by it or by a
    raised budget; the two never touch each other. `revoked_until` is the end of the budget's window (None: no end), at
    which the revocation ends by itself. `model_limits` are limits by model name, access group or wildcard, each by the
    names of LimitColumns; `aliases` are other models by the name that is asked for. `rotate_at` is when the next secret
    is due, `rotation_grace` for how long the present one then still works, `rotation_count` how often there was a new
    one. `regenerated_by` is the fingerprint of the request that asked for the present secret with an idempotency key.
    """

    __tablename__ = "virtual_key"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    token: Mapped[str] = mapped_column(sa.String(64), unique=True)
    key_name: Mapped[str] = mapped_column(sa.String(32))
    key_alias: Mapped[str | None] = mapped_column(sa.String(255), unique=True)
    user_id: Mapped[str | None] = mapped_column(
        sa.String(255), sa.ForeignKey("app_user.user_id", ondelete="CASCADE"), index=True
    )
    team_id: Mapped[str | None] = mapped_column(
        sa.String(255), sa.ForeignKey("team.team_id", ondelete="CASCADE"), index=True
    )
    models: Mapped[Names] = mapped_column(default=list)
    model_limits: Mapped[Document] = mapped_column(default=dict)
    aliases: Mapped[Document] = mapped_column(default=dict)
    tags: Mapped[Names] = mapped_column(default=list)
    allowed_routes: Mapped[Names] = mapped_column(default=list)
    key_type: Mapped[str] = mapped_column(sa.String(16), default="default")
    service_account: Mapped[bool] = mapped_column(default=False)
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    expires: Mapped[OptionalMoment]
    blocked: Mapped[bool] = mapped_column(default=False)
    auto_rotate: Mapped[bool] = mapped_column(default=False)
    rotation_interval: Mapped[str | None] = mapped_column(sa.String(32))
    rotation_grace: Mapped[str | None] = mapped_column(sa.String(32))
    rotate_at: Mapped[OptionalMoment] = mapped_column(index=True)
    rotation_count: Mapped[int] = mapped_column(default=0)
    regenerated_by: Mapped[str | None] = mapped_column(sa.String(64))
    created_by: Mapped[str | None] = mapped_column(sa.String(255))
    revoked_reason: Mapped[str | None] = mapped_column(sa.String(32))
    revoked_at: Mapped[OptionalMoment]
    revoked_until: Mapped[OptionalMoment]
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class FormerToken(db.Model):  # type: ignore[name-defined,misc]
    """An earlier secret of a key, by its hash, which works until `valid_until`.

    It is kept for a while after that, because a client may still name its key by it, or ask again with the idempotency
    key by which it was made (`regenerated_by`, as in VirtualKey).
    """

    __tablename__ = "former_token"

    token: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(sa.String(40), sa.ForeignKey("virtual_key.id", ondelete="CASCADE"), index=True)
    valid_until: Mapped[Moment]
    regenerated_by: Mapped[str | None] = mapped_column(sa.String(64))

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
