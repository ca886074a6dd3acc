"""Who changed what, when."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Moment, now


class AuditRow(db.Model):  # type: ignore[name-defined,misc]
    """One change of one object. Never changed once written.

    `actor` is "master", a key's id or "worker"; `changed_by` is whom the caller named in a header. `before` and `after`
    hold the columns that changed, without secrets; before is None for what was made, after for what was deleted.
    """

    __tablename__ = "audit"
    __table_args__ = (sa.Index("ix_audit_object_kind_object_id", "object_kind", "object_id"),)

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    at: Mapped[Moment] = mapped_column(default=now, index=True)
    actor: Mapped[str] = mapped_column(sa.String(64))
    actor_user_id: Mapped[str | None] = mapped_column(sa.String(255))
    changed_by: Mapped[str | None] = mapped_column(sa.String(255))
    action: Mapped[str] = mapped_column(sa.String(16))
    object_kind: Mapped[str] = mapped_column(sa.String(32))
    object_id: Mapped[str] = mapped_column(sa.String(600))
    before: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
