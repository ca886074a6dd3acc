"""The ledger, which is only ever added to, and its sums: balances by meter, totals by day."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.models.base import Moment, Names, Nano, OptionalMoment


class LedgerRow(db.Model):  # type: ignore[name-defined,misc]
    """One call that was admitted (one row for each attempt that reached a provider). Never changed once written.

    When it is priced again, two rows are added: one that takes back what it cost and one with what it costs now.

    The primary key is the idempotency key: a batch of rows can be posted any number of times. There are no foreign
    keys, because a call's cost stays in the books when its key or user is deleted.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        sa.Index("ix_ledger_user_id_started_at", "user_id", "started_at"),
        sa.Index("ix_ledger_key_id_started_at", "key_id", "started_at"),
        sa.Index("ix_ledger_started_at", "started_at"),
    )

    request_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key_id: Mapped[str] = mapped_column(sa.String(40))
    token: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str | None] = mapped_column(sa.String(255))
    team_id: Mapped[str | None] = mapped_column(sa.String(255))
    # Whom the caller named, and who of the customers that is; None for a name that is no customer's.
    end_user: Mapped[str | None] = mapped_column(sa.String(255))
    customer_id: Mapped[str | None] = mapped_column(sa.String(255))
    tags: Mapped[Names] = mapped_column(default=list)
    route: Mapped[str] = mapped_column(sa.String(64))
    model_name: Mapped[str] = mapped_column(sa.String(255))
    deployment_id: Mapped[str] = mapped_column(sa.String(64))
    provider: Mapped[str] = mapped_column(sa.String(32))
    model: Mapped[str] = mapped_column(sa.String(255))
    stream: Mapped[bool]
    # "success", "failure" (the provider refused or broke), "cancelled" (the client left), "abandoned" (our process
    # died).
    outcome: Mapped[str] = mapped_column(sa.String(16))
    http_status: Mapped[int]
    # "provider" (measured), "counted" (from what was relayed), "held" (from the hold), "none" (nothing was used).
    usage_source: Mapped[str] = mapped_column(sa.String(16))
    input_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    output_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_read_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_write_5m_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_write_1h_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    reasoning_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    audio_input_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    audio_output_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_read_audio_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    cache_read_image_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    image_input_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    image_output_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    # What is no token, see ledger/usage.py.
    web_searches: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    images: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    audio_ms: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    characters: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    requests: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    pages: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    # The provider's word for how the call was served ("flex"); "": as usual.
    tier: Mapped[str] = mapped_column(sa.String(32), default="")
    cost: Mapped[Nano]
    price: Mapped[str] = mapped_column(sa.String(400))
    started_at: Mapped[Moment]
    first_byte_at: Mapped[OptionalMoment]
    ended_at: Mapped[Moment]
    # "call"; or, when calls are priced again, "reversal" (takes back what was charged) and "correction" (charges anew):
    # those took no tokens and are no requests.
    entry: Mapped[str] = mapped_column(sa.String(16), default="call")
    # The balances that the cost is part of: [meter, window start]; null in rows of versions that did not say.
    meters: Mapped[list[list[Any]] | None] = mapped_column(sa.JSON(none_as_null=True))

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class Balance(db.Model):  # type: ignore[name-defined,misc]
    """What one meter has spent in one window: the sum of its ledger rows.

    `meter` is "user:ada" or "key:<id>". `window_start` is the window's first second (epoch), or 0 for "ever": the
    window is part of the counter's identity, so a new window needs nobody to reset anything. `version` grows with
    every change.
    """

    __tablename__ = "balance"

    meter: Mapped[str] = mapped_column(sa.String(1100), primary_key=True)
    window_start: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    spend: Mapped[Nano] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(sa.BigInteger, default=0)

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class DailySpend(db.Model):  # type: ignore[name-defined,misc]
    """The sum of the ledger rows of one day (UTC, by `started_at`), user, key, team, customer, model and provider.

    Written together with the rows and kept when retention deletes them. `user_id`, `team_id` and `customer_id` are ""
    where there is none. `requests` counts rows, `failed_requests` those of them whose outcome is "failure" or
    "abandoned".
    """

    __tablename__ = "daily_spend"
    __table_args__ = (
        sa.Index("ix_daily_spend_user_id_day", "user_id", "day"),
        sa.Index("ix_daily_spend_key_id_day", "key_id", "day"),
        sa.Index("ix_daily_spend_team_id_day", "team_id", "day"),
        sa.Index("ix_daily_spend_customer_id_day", "customer_id", "day"),
    )

    day: Mapped[date] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    key_id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    team_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    customer_id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    model_name: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    provider: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    requests: Mapped[int] = mapped_column(sa.BigInteger)
    failed_requests: Mapped[int] = mapped_column(sa.BigInteger)
    input_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    output_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_read_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cache_write_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cost: Mapped[Nano]

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class DailyTag(db.Model):  # type: ignore[name-defined,misc]
    """The sum of the ledger rows of one day (UTC) that carry one tag. A row with two tags counts under both."""

    __tablename__ = "daily_tag"

    day: Mapped[date] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    requests: Mapped[int] = mapped_column(sa.BigInteger)
    failed_requests: Mapped[int] = mapped_column(sa.BigInteger)
    input_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    output_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cost: Mapped[Nano]

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)


class LedgerCut(db.Model):  # type: ignore[name-defined,misc]
    """One row, or none: ledger rows that started before this moment may have been deleted by retention."""

    __tablename__ = "ledger_cut"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    before: Mapped[Moment]

    def __init__(self, **columns: Any) -> None:
        """Columns by name."""
        super().__init__(**columns)
