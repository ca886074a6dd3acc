"""What every meter can be limited to, and templates of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Document, Moment, OptionalMoment, OptionalNano, now

# The names of what a meter can be limited to, as in LimitColumns and in every document of limits.
LIMIT_NAMES = (
    *("max_budget", "soft_budget", "strict", "budget_duration", "timezone", "week_start", "rollover"),
    *("max_parallel_requests", "queue_timeout", "rpm_limit", "tpm_limit", "alert_thresholds"),
)
# The names of what TemplatedColumns has beside them.
TEMPLATED = (*LIMIT_NAMES, "budget_id", "temp_budget_increase", "temp_budget_expiry")


class LimitColumns:
    """The limits of one meter. None: not limited, or as the template says. Money is nano-dollars.

    `budget_duration` is the budget's window, in `timezone` (an IANA name) and with weeks from `week_start` ("monday").
    With `rollover` what a window leaves unspent is added to the next one. A call waits up to `queue_timeout` seconds
    for a parallel slot. `alert_thresholds` are percentages of the budget.
    """

    max_budget: Mapped[OptionalNano]
    soft_budget: Mapped[OptionalNano]
    strict: Mapped[bool] = mapped_column(default=False)
    budget_duration: Mapped[str | None] = mapped_column(sa.String(32))
    timezone: Mapped[str | None] = mapped_column(sa.String(64))
    week_start: Mapped[str | None] = mapped_column(sa.String(9))
    rollover: Mapped[bool] = mapped_column(default=False)
    max_parallel_requests: Mapped[int | None]
    queue_timeout: Mapped[float | None]
    rpm_limit: Mapped[int | None]
    tpm_limit: Mapped[int | None]
    alert_thresholds: Mapped[list[int] | None] = mapped_column(sa.JSON(none_as_null=True))


class TemplatedColumns(LimitColumns):
    """Limits of a meter's own, which go before those of its template, and what raises its budget for a while."""

    budget_id: Mapped[str | None] = mapped_column(sa.String(255), sa.ForeignKey("budget.budget_id"), index=True)
    temp_budget_increase: Mapped[OptionalNano]
    temp_budget_expiry: Mapped[OptionalMoment]


class Budget(LimitColumns, db.Model):  # type: ignore[name-defined,misc]
    """A budget template: limits that any number of keys, users, teams, members and customers can share.

    Each of them spends for itself; only the numbers are shared.
    """

    __tablename__ = "budget"

    budget_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    metadata_: Mapped[Document] = mapped_column("metadata", default=dict)
    created_at: Mapped[Moment] = mapped_column(default=now)
    updated_at: Mapped[Moment] = mapped_column(default=now, onupdate=now)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class Credit(db.Model):  # type: ignore[name-defined,misc]
    """Money added to one meter's budget in one window, on top of max_budget. Never changed once written.

    `meter` and `window_start` are those of `Balance`. The ledger stays as it is: a credit is no negative cost.
    """

    __tablename__ = "credit"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    meter: Mapped[str] = mapped_column(sa.String(1100))
    window_start: Mapped[int] = mapped_column(sa.BigInteger)
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    reason: Mapped[str | None] = mapped_column(sa.String(255))
    created_at: Mapped[Moment] = mapped_column(default=now)

    __table_args__ = (sa.Index("ix_credit_meter_window_start", "meter", "window_start"),)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
