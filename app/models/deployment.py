"""Deployments that were added while the gateway runs, beside those of config.yaml."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, now


class StoredDeployment(db.Model):  # type: ignore[name-defined,misc]
    """One deployment, in the words of config.yaml's model_list.

    `litellm_params` holds everything but secrets; those stand in `credentials`, encrypted.
    """

    __tablename__ = "deployment"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    model_name: Mapped[str] = mapped_column(sa.String(255))
    litellm_params: Mapped[Document]
    model_info: Mapped[Document] = mapped_column(default=dict)
    credentials: Mapped[str | None] = mapped_column(sa.Text)
    blocked: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
