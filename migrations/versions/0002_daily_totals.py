"""Daily totals of the ledger, filled from the rows that are there, and the mark of what retention has deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Moments are stored in UTC: as such on PostgreSQL, as text that begins with the day on SQLite.
DAY = {"postgresql": "(started_at AT TIME ZONE 'UTC')::date", "sqlite": "date(started_at)"}
FILL = """
INSERT INTO daily_spend
    (day, user_id, key_id, model_name, provider, requests, failed_requests, input_tokens, output_tokens, cost)
SELECT {day}, coalesce(user_id, ''), key_id, model_name, provider, count(*),
    sum(CASE WHEN outcome IN ('failure', 'abandoned') THEN 1 ELSE 0 END), sum(input_tokens), sum(output_tokens),
    sum(cost)
FROM ledger GROUP BY 1, 2, 3, 4, 5
"""


def upgrade() -> None:
    op.create_table(
        "daily_spend",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("model_name", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failed_requests", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "user_id", "key_id", "model_name", "provider", name=op.f("pk_daily_spend")),
    )
    op.create_index("ix_daily_spend_key_id_day", "daily_spend", ["key_id", "day"], unique=False)
    op.create_index("ix_daily_spend_user_id_day", "daily_spend", ["user_id", "day"], unique=False)
    op.create_table(
        "ledger_cut",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_cut")),
    )
    op.execute(FILL.format(day=DAY[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.drop_table("ledger_cut")
    op.drop_table("daily_spend")
