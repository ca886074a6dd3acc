"""Customers: whom callers make their calls for, as they name them in `user` or a header."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, Names, now
from app.models.limits import TemplatedColumns


class Customer(TemplatedColumns, db.Model):  # type: ignore[name-defined,misc]
    """A customer. Its limits count over all calls that name it, whichever key makes them."""

    __tablename__ = "customer"

    customer_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    alias: Mapped[str | None] = mapped_column(sa.String(255))
    models: Mapped[Names] = mapped_column(default=list)
    blocked: Mapped[bool] = mapped_column(default=False)
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
