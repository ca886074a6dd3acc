"""Users: the people whose budgets are kept."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, Names, now
from app.models.limits import TemplatedColumns


class User(TemplatedColumns, db.Model):  # type: ignore[name-defined,misc]
    """A user. Budget and limits count over all of the user's keys.

    What has been spent stands in `Balance`: nobody who edits a user can write over a counter. `model_limits` are limits
    by model name, access group or wildcard, each by the names of LimitColumns.
    """

    __tablename__ = "app_user"

    user_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    user_email: Mapped[str | None] = mapped_column(sa.String(320), unique=True)
    user_alias: Mapped[str | None] = mapped_column(sa.String(255))
    user_role: Mapped[str] = mapped_column(sa.String(32), default="internal_user")
    models: Mapped[Names] = mapped_column(default=list)
    model_limits: Mapped[Document] = mapped_column(default=dict)
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
