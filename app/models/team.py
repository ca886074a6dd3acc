"""Teams and their members."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, Names, now
from app.models.limits import TemplatedColumns


class Team(TemplatedColumns, db.Model):  # type: ignore[name-defined,misc]
    """A team. Its limits count over all keys of the team, whoever holds them.

    `member_limits` are the limits of a member who has none of their own, by the names of LimitColumns.
    """

    __tablename__ = "team"

    team_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    team_alias: Mapped[str | None] = mapped_column(sa.String(255))
    models: Mapped[Names] = mapped_column(default=list)
    blocked: Mapped[bool] = mapped_column(default=False)
    member_limits: Mapped[Document] = mapped_column(default=dict)
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class TeamMember(TemplatedColumns, db.Model):  # type: ignore[name-defined,misc]
    """A user in a team, with limits that count over this user's keys of this team. `role` is "user" or "admin"."""

    __tablename__ = "team_member"

    team_id: Mapped[str] = mapped_column(
        sa.String(255), sa.ForeignKey("team.team_id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        sa.String(255), sa.ForeignKey("app_user.user_id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str] = mapped_column(sa.String(16), default="user")
    models: Mapped[Names] = mapped_column(default=list)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
